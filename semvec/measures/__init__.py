"""Measures, how sure they are, and what tagged spans are worth: pure functions of numbers."""
