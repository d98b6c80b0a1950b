"""The on-disk formats of `Embeddings`, one file a format."""
