"""Files at a distance: what fsspec reaches by a URL, read by the ranges that are needed, or fetched whole."""
