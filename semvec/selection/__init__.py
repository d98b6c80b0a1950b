"""Which tokens of a text matter: top k by counts, by vectors, or by what was learned."""
