"""Vectors → the nearest rows."""
