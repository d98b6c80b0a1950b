"""Collections: ids, vectors, texts and metadata that last."""
