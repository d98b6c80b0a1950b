"""Static word vectors: loading, queries and scores beside gensim; what the ladder and SIF are worth.

python benchmarks/words.py --data ../shared/data
"""

from __future__ import annotations

import argparse
import json
import random
import string
import subprocess
import sys
import tempfile
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import Any

import harness
import numpy as np
from scipy.stats import spearmanr

import semvec
from semvec.embeddings.transforms import normalize
from semvec.encoders.word import WordEncoder
from semvec.encoders.word_folder import write_table
from semvec.encoders.word_table import WordTable
from semvec.encoders.word_text import Flaws, WordBatch
from semvec.evaluate.words import analogies, read_analogies, read_pairs, word_pairs

RUNS = 5

OPENERS = {
    "gensim, text": "from gensim.models import KeyedVectors as K; k = K.load_word2vec_format(sys.argv[1] + '/glove.txt', no_header=True)",
    "semvec, text": "import semvec; k = semvec.load_encoder(sys.argv[1] + '/glove.txt')",
    "semvec, folder": "import semvec; k = semvec.load_encoder(sys.argv[1] + '/glove')",
    "gensim, its own file": "from gensim.models import KeyedVectors as K; k = K.load(sys.argv[1] + '/own', mmap='r')",
    "semvec, folder of 400,000 x 300": "import semvec; from semvec.encoders.word import WordEncoder; started = time(); k = WordEncoder.from_pretrained(sys.argv[1] + '/large')",
}
IMPORTS = {"gensim": "import gensim", "semvec": "import semvec.encoders.catalog, semvec.encoders.word"}
SCRIPT = """
import sys, json, psutil
from time import perf_counter as time
{imports}
before = psutil.Process().memory_info().rss
started = time()
{opener}
seconds = time() - started
now = psutil.Process().memory_info()
peak = next(int(line.split()[1]) for line in open("/proc/self/status") if line.startswith("VmHWM"))
print(json.dumps(dict(seconds=seconds, resident_mb=now.rss / 1e6, peak_mb=peak * 1.024e-3)))
"""


def opened(folder: Path) -> dict[str, Any]:
    """Measure each way of opening in processes of their own, imports not counted."""
    found = {}
    for name, opener in OPENERS.items():
        script = SCRIPT.format(imports=IMPORTS[name.split(",")[0]], opener=opener)
        times = 3 if name == "gensim, text" else RUNS
        runs = [json.loads(subprocess.check_output([sys.executable, "-c", script, str(folder)], text=True)) for _ in range(times)]
        found[name] = {key: round(median(run[key] for run in runs), 3) for key in runs[0]}
    found["ratio of text loaders"] = round(found["gensim, text"]["seconds"] / found["semvec, text"]["seconds"], 1)
    return found


SHARER = """
import sys, semvec, psutil
k = semvec.load_encoder(sys.argv[1] + '/large')
k.nearest(['king'], 10)
sys.stdout.write('ready\\n'); sys.stdout.flush(); sys.stdin.readline()
"""


def shared(folder: Path) -> dict[str, float]:
    """Open one folder in two processes that read all of it, and see how much memory is theirs alone."""
    import psutil

    runs = [
        subprocess.Popen([sys.executable, "-c", SHARER, str(folder)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        for _ in range(2)
    ]
    for run in runs:
        assert run.stdout
        assert run.stdout.readline() == "ready\n"
    memory = [psutil.Process(run.pid).memory_full_info() for run in runs]
    for run in runs:
        run.communicate("\n")
    return {
        "resident_mb_each": round(max(m.rss for m in memory) / 1e6),
        "together_mb": round(sum(m.pss for m in memory) / 1e6),
        "private_mb_each": round(max(m.uss for m in memory) / 1e6),
    }


def timed(run: Any) -> float:
    run()
    times = []
    for _ in range(RUNS):
        started = perf_counter()
        run()
        times.append(perf_counter() - started)
    return median(times)


def queried(encoder: WordEncoder, keyed: Any) -> dict[str, Any]:
    """Ask for ten nearest neighbours of 512 words: gensim one by one, as it does, semvec one by one and all at once."""
    words = [encoder.table.words[i] for i in np.random.default_rng(0).integers(0, 100_000, 512).tolist()]
    few = words[:64]
    theirs = [keyed.most_similar(word, topn=10) for word in few]
    mine = encoder.nearest(few, 10)
    assert [[one.word for one in found] for found in mine] == [[word for word, _ in found] for found in theirs]
    seconds = {
        "gensim": timed(lambda: [keyed.most_similar(word, topn=10) for word in few]) / len(few),
        "one by one": timed(lambda: [encoder.nearest([word], 10) for word in few]) / len(few),
        "512 at once": timed(lambda: encoder.nearest(words, 10)) / len(words),
    }
    table = np.asarray(encoder.table.vectors)
    query = np.ascontiguousarray(table[:1])
    floor = timed(lambda: query @ table.T)
    return {
        **{f"{name}, ms a query": round(1000 * value, 3) for name, value in seconds.items()},
        "reading all vectors once, ms": round(1000 * floor, 3),
        "ratio one by one": round(seconds["gensim"] / seconds["one by one"], 2),
        "ratio at once": round(seconds["gensim"] / seconds["512 at once"], 1),
        "the same words": True,
    }


def scored(encoder: WordEncoder, keyed: Any, data: Path, folder: Path) -> dict[str, Any]:
    """Compare WordSim-353, SimLex-999 and the Google analogies with gensim's own evaluation."""
    found: dict[str, Any] = {}
    for name in ("wordsim353", "simlex999"):
        path = data / "wordsim_en" / f"{name}.tsv"
        mine = word_pairs(encoder, read_pairs(path))
        theirs = keyed.evaluate_word_pairs(str(path))[1][0]
        found[name] = {
            "semvec": round(mine.spearman, 4),
            "gensim": round(float(theirs), 4),
            "pairs": mine.pairs,
            "left_out": mine.left_out,
        }
    path = folder / "questions.txt"
    path.write_text("\n".join(harness.zipped(data / "analogy_en" / "google-questions-words.txt.gz")) + "\n", encoding="utf-8")
    started = perf_counter()
    mine = analogies(encoder, read_analogies(path))
    seconds = perf_counter() - started
    started = perf_counter()
    theirs = keyed.evaluate_word_analogies(str(path))[0]
    found["google analogies"] = {
        "semvec": round(mine.accuracy, 4),
        "gensim": round(float(theirs), 4),
        "asked": mine.asked,
        "left_out": mine.left_out,
        "semvec, seconds": round(seconds, 1),
        "gensim, seconds": round(perf_counter() - started, 1),
    }
    return found


def pairs_of(data: Path, name: str) -> tuple[list[str], list[str], list[float]]:
    rows = [line.split("\t") for line in (data / "stsb" / f"{name}.tsv").read_text(encoding="utf-8").splitlines()[1:]]
    return [row[1] for row in rows], [row[2] for row in rows], [float(row[0]) for row in rows]


def interval(one: np.ndarray, gold: np.ndarray, seed: int = 0) -> list[float]:
    """Return Spearman's correlation and its bootstrap 95 % interval."""
    rng = np.random.default_rng(seed)
    samples = [rng.integers(0, len(gold), len(gold)) for _ in range(1000)]
    low, high = np.percentile([spearmanr(one[s], gold[s]).statistic for s in samples], [2.5, 97.5])
    return [round(float(value), 4) for value in (spearmanr(one, gold).statistic, low, high)]


def similarity_of_texts(encoder: WordEncoder, pairs: tuple[list[str], list[str], list[float]], **options: Any) -> list[float]:
    one, two = (normalize(encoder.encode(texts, **options).vectors) for texts in pairs[:2])
    return interval((one * two).sum(1), np.array(pairs[2]))


def with_sif(encoder: WordEncoder, data: Path) -> dict[str, Any]:
    """STS-B dev by the mean and by SIF, fitted on the texts (not the scores) of STS-B train."""
    one, two, _ = pairs_of(data, "train")
    fitted = encoder.fit_sif([*one, *two])
    dev = pairs_of(data, "dev")
    return {"mean": similarity_of_texts(encoder, dev), "sif": similarity_of_texts(fitted, dev, pooling="sif")}


def mistyped(text: str, rng: random.Random, share: float = 0.3) -> str:
    """Return ``text`` with one typing error in ``share`` of its words of five letters or more."""
    words = text.split(" ")
    for at, word in enumerate(words):
        if len(word) >= 5 and word.isalpha() and rng.random() < share:
            place = rng.randrange(1, len(word) - 1)
            kind = rng.randrange(4)
            letter = rng.choice(string.ascii_lowercase)
            cut = {
                0: word[:place] + word[place + 1 :],
                1: word[:place] + letter + word[place:],
                2: word[:place] + letter + word[place + 1 :],
            }
            words[at] = cut.get(kind, word[:place] + word[place + 1] + word[place] + word[place + 2 :])
    return " ".join(words)


def climbed(encoder: WordEncoder, data: Path) -> dict[str, Any]:
    """What each rung is worth: STS-B dev as it stands and mistyped, and words left out of the table, made again."""
    dev = pairs_of(data, "dev")
    rng = random.Random(0)
    wrong = ([mistyped(text, rng) for text in dev[0]], [mistyped(text, rng) for text in dev[1]], dev[2])
    found: dict[str, Any] = {"sts-b dev": {}, "sts-b dev, 30 % of long words mistyped": {}}
    fitted = encoder.fit_sif([*pairs_of(data, "train")[0]])
    for rungs in ("none", "case", "case,fold", "case,fold,subword", "all"):
        for name, pairs in zip(found, (dev, wrong), strict=True):
            found[name][rungs] = similarity_of_texts(fitted, pairs, oov=rungs, pooling="sif")
    found["words left out"] = left_out(encoder)
    return found


def left_out(encoder: WordEncoder, count: int = 4000) -> dict[str, Any]:
    """Take words out of the table and compare what the ladder makes of them with their true vectors, by cosine."""
    rng = np.random.default_rng(0)
    words, vectors = list(encoder.table.words), np.asarray(encoder.table.vectors)
    gone = set(rng.choice(np.arange(20_000, 200_000), count, replace=False).tolist())
    kept = [at for at in range(len(words)) if at not in gone]
    table = WordTable.of([WordBatch([words[at] for at in kept], vectors[kept])], Flaws())
    made = WordEncoder(table, model="held out").encode([[words[at] for at in sorted(gone)]], level="word")
    true = normalize(vectors[sorted(gone)])
    cosines = (normalize(made.vectors) * true).sum(1)
    chance = (true * true[rng.permutation(len(true))]).sum(1)
    report: dict[str, Any] = {"a word by chance": {"mean cosine": round(float(chance.mean()), 3)}}
    for rung in semvec.Oov:
        on = made.oov == rung
        if on.any():
            report[rung.name.lower()] = {"share": round(float(on.mean()), 3), "mean cosine": round(float(cosines[on].mean()), 3)}
    return report


def main() -> None:
    from gensim.models import KeyedVectors

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    data = parser.parse_args().data
    encoder = semvec.load_encoder("glove-50d")
    assert isinstance(encoder, WordEncoder)
    words, vectors = list(encoder.table.words), np.asarray(encoder.table.vectors)
    keyed = KeyedVectors(vectors.shape[1])
    keyed.add_vectors(words, vectors)
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        keyed.save_word2vec_format(str(folder / "glove.txt"), write_header=False)
        keyed.save(str(folder / "own"))
        encoder.save(folder / "glove")
        large = np.random.default_rng(0).standard_normal((len(words), 300), dtype=np.float32)
        write_table(folder / "large", WordTable.of([WordBatch(words, large)], Flaws()))
        del large
        results = {
            "file_mb": round((folder / "glove.txt").stat().st_size / 1e6),
            "opening": opened(folder),
            "two processes, 400,000 x 300": shared(folder),
            "queries": queried(encoder, keyed),
            "scores": scored(encoder, keyed, data, folder),
            "sif, sts-b dev": with_sif(encoder, data),
            "ladder": climbed(encoder, data),
        }
    harness.keep("words", results)


if __name__ == "__main__":
    main()
