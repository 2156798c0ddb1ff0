"""What a framework offers as a destination."""
