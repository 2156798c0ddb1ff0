"""Where each framework keeps its weights: data only, one file a framework."""
