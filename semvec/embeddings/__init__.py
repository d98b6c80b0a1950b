"""`Embeddings`, the one result, and what can be done with it without a model: keep, read, compare."""
