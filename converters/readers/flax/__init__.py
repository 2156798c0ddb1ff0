"""Flax and its neighbours in JAX: msgpack bytes, and the folders of Orbax. JAX itself is never imported."""
