"""The ways a transformer can be run: the same vectors sooner, or nearly the same in bytes."""
