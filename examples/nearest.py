"""Print the nearest neighbours of one text among the vectors in a file: nearest.py VECTORS TEXT."""

import sys

import semvec


def main(path: str, text: str, k: int = 5) -> None:
    """Print the ``k`` texts in ``path`` that are nearest to ``text``, itself left out."""
    embeddings = semvec.read_embeddings(path)
    print(f"{path}: {embeddings.rows} rows, dim {embeddings.dim}, made by {embeddings.fingerprint.model}")
    row = list(embeddings.surface).index(text)
    best, scores = semvec.nearest(embeddings.floats()[row : row + 1], embeddings.floats(), k + 1)
    print(f"nearest to {text!r} (cosine):")
    for other, score in zip(best[0], scores[0], strict=True):
        if other != row:
            print(f"  {score:.3f}  {embeddings.surface[other]}")


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2])
