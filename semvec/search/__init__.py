"""Encoders and collections together: texts in, hits out."""
