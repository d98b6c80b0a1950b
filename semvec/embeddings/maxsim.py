"""Late interaction of two texts: every token of the query with the token that is nearest to it."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from semvec.embeddings.transforms import normalize


def maxsim(query: NDArray[np.float32], document: NDArray[np.float32]) -> float:
    """Return the sum over the ``query``'s tokens (tokens, dim) of the greatest cosine to a token of ``document`` (tokens, dim).

    0 for a document without tokens (Khattab and Zaharia, "ColBERT", 2020).
    """
    if not len(query) or not len(document):
        return 0.0
    return float((normalize(query) @ normalize(document).T).max(axis=1).sum())
