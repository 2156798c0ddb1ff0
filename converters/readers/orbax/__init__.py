"""Orbax: folders of checkpoints, whose arrays are zarr (2 or 3), in files of their own or in one OCDBT database."""
