"""Models that look things up in a collection, and read what they find together with their input."""
