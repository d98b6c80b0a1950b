"""semvec in the forms of other libraries: scikit-learn's transformer, LangChain's embeddings and vector store."""
