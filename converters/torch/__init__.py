"""What needs torch: drop-in layers, weights into a module, its gates, its initial values."""
