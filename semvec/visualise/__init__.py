"""Vectors → two dimensions → pictures: maps that say how true they are."""
