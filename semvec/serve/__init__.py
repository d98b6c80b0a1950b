"""A server: embeddings, search and reranking over HTTP, as OpenAI's clients ask for them."""
