"""Texts → `Embeddings`: one protocol, three families, and the catalog that finds models."""
