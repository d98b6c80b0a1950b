"""The ways a transformer can be run: the same vectors, sooner."""
