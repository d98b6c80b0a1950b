"""One task after the other: learners that are taught new labels, or new kinds of texts, without forgetting the old ones."""
