"""Arrays by name in the layouts of a framework that the caller names: in memory, or in an `.npz` file."""
