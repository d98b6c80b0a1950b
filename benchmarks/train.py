"""Does a seed repeat the bytes, and what does training cost beside gensim alone? News and film reviews, 2 million words.

python benchmarks/train.py --data ../shared/data
"""

from __future__ import annotations

import argparse
import hashlib
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import harness

from semvec.encoders.word_corpus import words_of
from semvec.encoders.word_train import train_words
from semvec.encoders.word_train_options import TrainOptions

TRAIN = "from semvec_cli.main import run; run()"
REVIEWS = 8_000
EPOCHS = 3
RUNS = 3


def texts_of(data: Path) -> list[str]:
    """Return the texts of AG News, and some of IMDB."""
    news = (data / "agnews" / "train.tsv").read_text(encoding="utf-8").splitlines()[1:]
    return [line.split("\t", 1)[1] for line in news + harness.zipped(data / "imdb" / "train.tsv.gz")[1 : 1 + REVIEWS]]


def twice(kind: str, texts: list[str]) -> dict[str, Any]:
    """Run the command twice with one seed, in processes whose ``hash()`` differs, and compare all files."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "corpus.txt").write_text("\n".join(texts), encoding="utf-8")
        hashes, seconds = [], []
        for n in ("1", "2"):
            began = time.monotonic()
            command = [
                "train",
                kind,
                str(folder / "corpus.txt"),
                "-o",
                str(folder / n),
                "--seed",
                "7",
                "--epochs",
                "1",
                "--quiet",
            ]
            subprocess.run([sys.executable, "-c", TRAIN, *command], env={**os.environ, "PYTHONHASHSEED": n}, check=True)
            seconds.append(round(time.monotonic() - began, 1))
            hashes.append({path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in sorted((folder / n).iterdir())})
    return {"texts": len(texts), "files": hashes[0], "bytes_equal": hashes[0] == hashes[1], "seconds": seconds}


def ours(tokens: list[list[str]], workers: int) -> tuple[float, float]:
    """Return the seconds of a whole run, corpus and output included, and those of training alone."""
    from semvec.encoders import word_gensim

    alone, train = [0.0], word_gensim.train

    def timed(*args: Any) -> Any:
        began = time.monotonic()
        done = train(*args)
        alone[0] = time.monotonic() - began
        return done

    word_gensim.train = timed
    try:
        with tempfile.TemporaryDirectory() as folder:
            began = time.monotonic()
            train_words("word2vec", tokens, Path(folder) / "m", TrainOptions(epochs=EPOCHS, workers=workers))
            return time.monotonic() - began, alone[0]
    finally:
        word_gensim.train = train


def gensims(tokens: list[list[str]], workers: int) -> tuple[float, float]:
    """Return the same of gensim's ``Word2Vec`` on the lists in memory, which writes nothing and computes no loss."""
    from gensim.models import Word2Vec

    began = time.monotonic()
    model = Word2Vec(vector_size=100, workers=workers)
    model.build_vocab(tokens)
    built = time.monotonic()
    model.train(tokens, total_examples=len(tokens), epochs=EPOCHS)
    return time.monotonic() - began, time.monotonic() - built


def beside_gensim(tokens: list[list[str]], workers: int) -> dict[str, Any]:
    """Compare words a second, the best of some runs in turns, with gensim's on the same words."""
    words = EPOCHS * sum(map(len, tokens))
    least = {"semvec": (float("inf"),) * 2, "gensim": (float("inf"),) * 2}
    for _ in range(RUNS):
        for name, run in (("semvec", ours), ("gensim", gensims)):
            whole, alone = run(tokens, workers)
            least[name] = min(least[name][0], whole), min(least[name][1], alone)
    found: dict[str, Any] = {"workers": workers, "words": words, "runs": RUNS}
    for at, part in enumerate(("whole", "training")):
        rates = {f"{name}_words_a_second": round(words / seconds[at]) for name, seconds in least.items()}
        found[part] = {**rates, "ratio": round(least["gensim"][at] / least["semvec"][at], 3)}
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    texts = texts_of(parser.parse_args().data)
    tokens = [words_of(text, lower=True) for text in texts]
    repeats = {kind: twice(kind, texts if kind == "word2vec" else texts[:3000]) for kind in ("word2vec", "fasttext", "doc2vec")}
    harness.keep("train", {"repeats": repeats, "speed": [beside_gensim(tokens, workers) for workers in (1, 2)]})


if __name__ == "__main__":
    main()
