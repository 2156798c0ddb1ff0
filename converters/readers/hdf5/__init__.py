"""HDF5 files from strangers: structure by pyfive within bounds, data by our own reads."""
