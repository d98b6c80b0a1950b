"""Word similarity and analogies, equal to gensim's own evaluation."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from semvec.encoders.word import WordEncoder
from semvec.encoders.word_table import WordTable
from semvec.encoders.word_text import Flaws, WordBatch
from semvec.errors import InputError
from semvec.evaluate.words import analogies, read_analogies, read_pairs, word_pairs

NAMES = [f"w{i}" for i in range(60)]


@pytest.fixture(scope="module")
def both() -> tuple[WordEncoder, Any]:
    from gensim.models import KeyedVectors

    vectors = np.random.default_rng(0).standard_normal((60, 3)).astype(np.float32)
    keyed = KeyedVectors(3)
    keyed.add_vectors(NAMES, vectors)
    return WordEncoder(WordTable.of([WordBatch(NAMES, vectors)], Flaws()), model="random"), keyed


def test_pairs(tmp_path: Path, both: tuple[WordEncoder, Any]) -> None:
    encoder, keyed = both
    rng = np.random.default_rng(1)
    rows = [
        f"{NAMES[a].upper()}\t{NAMES[b]}\t{score:.2f}"
        for a, b, score in zip(*rng.integers(0, 60, (2, 80)), rng.random(80), strict=True)
    ]
    (tmp_path / "pairs").write_text("# a comment\n" + "\n".join([*rows, "zyxxy\tw1\t3.0"]) + "\n")
    for among in (300_000, 40):
        mine = word_pairs(encoder, read_pairs(tmp_path / "pairs"), among=among)
        _, theirs, left_out = keyed.evaluate_word_pairs(str(tmp_path / "pairs"), restrict_vocab=among)
        assert mine.spearman == pytest.approx(theirs[0], abs=1e-9)
        assert mine.left_out == round(left_out / 100 * 81)
        assert mine.pairs + mine.left_out == 81


def test_analogies(tmp_path: Path, both: tuple[WordEncoder, Any]) -> None:
    encoder, keyed = both
    rng = np.random.default_rng(2)
    questions = [" ".join(NAMES[i].upper() for i in rng.choice(60, 4, replace=False)) for _ in range(150)]
    for i in range(0, 150, 3):  # some that are answered right
        a, b, c, _ = questions[i].lower().split()
        questions[i] = f"{a} {b} {c} {keyed.most_similar(positive=[b, c], negative=[a], topn=1)[0][0]}"
    lines = [": first", *questions[:70], ": second", *questions[70:], "w1 w2 w3 zyxxy"]
    (tmp_path / "q").write_text("\n".join(lines) + "\n")
    mine = analogies(encoder, read_analogies(tmp_path / "q"))
    theirs, sections = keyed.evaluate_word_analogies(str(tmp_path / "q"))
    assert mine.accuracy == pytest.approx(theirs)
    assert mine.accuracy >= 1 / 3
    assert (mine.asked, mine.left_out) == (150, 1)
    assert mine.sections == {s["section"]: (len(s["correct"]), len(s["correct"]) + len(s["incorrect"])) for s in sections[:2]}


def test_capitals(tmp_path: Path) -> None:
    from gensim.models import KeyedVectors

    names = [form(f"w{i}") for i in range(25) for form in (str.upper, str.lower, lambda w: w.upper() + "x")]
    np.random.default_rng(4).shuffle(names)
    vectors = np.random.default_rng(3).standard_normal((75, 3)).astype(np.float32)
    vectors[1::2] = vectors[::2][: len(vectors[1::2])] + 0.05
    keyed = KeyedVectors(3)
    keyed.add_vectors(names, vectors)
    encoder = WordEncoder(WordTable.of([WordBatch(names, vectors)], Flaws()), model="cased")
    rng = np.random.default_rng(5)
    drawn = [(names[a], names[b]) for a, b in rng.integers(0, 75, (120, 2)) if names[a].upper() != names[b].upper()]
    rows = [f"{a}\t{b}\t{rng.random():.2f}" for a, b in drawn]
    (tmp_path / "pairs").write_text("\n".join(rows) + "\n")
    theirs = keyed.evaluate_word_pairs(str(tmp_path / "pairs"))[1]
    assert word_pairs(encoder, read_pairs(tmp_path / "pairs")).spearman == pytest.approx(theirs[0], abs=1e-6)
    questions = [" ".join(names[i] for i in rng.choice(75, 4, replace=False)) for _ in range(200)]
    for i in range(0, 200, 2):
        a, b, c, _ = questions[i].split()
        questions[i] = f"{a} {b} {c} {keyed.most_similar(positive=[b, c], negative=[a], topn=3)[rng.integers(3)][0]}"
    (tmp_path / "q").write_text("\n".join([": s", *questions]) + "\n")
    assert analogies(encoder, read_analogies(tmp_path / "q")).accuracy == pytest.approx(
        keyed.evaluate_word_analogies(str(tmp_path / "q"))[0]
    )


def test_files_that_are_something_else(tmp_path: Path, both: tuple[WordEncoder, Any]) -> None:
    (tmp_path / "x").write_text("w1\tw2\t0.5\nw1 w2 0.5\n")
    with pytest.raises(InputError, match="line 2: not 'word TAB word TAB score'"):
        read_pairs(tmp_path / "x")
    with pytest.raises(InputError, match="line 1: not four words of a section"):
        read_analogies(tmp_path / "x")
    with pytest.raises(InputError, match="only 0 of 1 pairs"):
        word_pairs(both[0], [("zyxxy", "yxzzy", 1.0)])
    with pytest.raises(InputError, match="none of 1 analogies"):
        analogies(both[0], {"s": [("w1", "w2", "w3", "zyxxy")]})


def test_pairs_as_they_are_published(tmp_path: Path) -> None:
    (tmp_path / "SimLex-999.txt").write_text("word1\tword2\tPOS\tSimLex999\tconc(w1)\nold\tnew\tA\t1.58\t2.72\n")
    (tmp_path / "combined.csv").write_text("Word 1,Word 2,Human (mean)\nlove,sex,6.77\n")
    (tmp_path / "plain.tsv").write_text("a\tb\t1\n")
    (tmp_path / "mark.csv").write_bytes(b'\xef\xbb\xbf"king","queen",5\n')
    assert read_pairs(tmp_path / "mark.csv") == [("king", "queen", 5)]
    (tmp_path / "latin.tsv").write_bytes("caf\xe9\tb\t1\n".encode("latin-1"))
    with pytest.raises(InputError, match=r"latin.tsv, line 1: "):
        read_pairs(tmp_path / "latin.tsv")
    (tmp_path / "nan.tsv").write_text("a\tb\t1\nc\td\tnan\n")
    assert read_pairs(tmp_path / "SimLex-999.txt") == [("old", "new", 1.58)]
    assert read_pairs(tmp_path / "combined.csv") == [("love", "sex", 6.77)]
    assert read_pairs(tmp_path / "plain.tsv") == [("a", "b", 1)]
    with pytest.raises(InputError, match="line 2: not 'word TAB word TAB score'"):
        read_pairs(tmp_path / "nan.tsv")
