"""Keras: everything it ever wrote, of any version."""
