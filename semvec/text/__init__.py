"""Source → Document: reading text from files, and cutting it into words, sentences and spans."""
