"""PyTorch as a destination."""
