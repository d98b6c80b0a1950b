"""Measures against scipy and by hand; tables of scored pairs, good and bad."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from semvec.encoders.word import WordEncoder
from semvec.errors import InputError
from semvec.evaluate.sts import pair_quality
from semvec.measures.basic import spearman
from semvec.measures.intervals import bootstrap
from semvec.text.examples import read_scored_pairs

HEAD = "score\tsentence1\tsentence2\n"


def test_spearman_is_scipys_ties_and_all() -> None:
    from scipy.stats import spearmanr

    rng = np.random.default_rng(0)
    for n in (2, 5, 300):
        one, two = rng.integers(0, 6, n), rng.standard_normal(n)
        one[0], one[1] = 0, 1
        assert spearman(one, two) == pytest.approx(spearmanr(one, two).statistic)
    assert spearman(np.array([1, 2, 3]), np.array([10, 200, 3000])) == pytest.approx(1)
    assert spearman(np.array([1, 2, 3]), np.array([3, 2, 1])) == pytest.approx(-1)


def test_no_correlation_of_what_does_not_vary() -> None:
    with pytest.raises(InputError, match="3 numbers that are all equal"):
        spearman(np.ones(3), np.arange(3))
    with pytest.raises(InputError, match="2 numbers cannot be compared with 3"):
        spearman(np.ones(2), np.ones(3))


def test_intervals_hold_the_truth_as_often_as_they_say() -> None:
    rng = np.random.default_rng(1)
    held = 0
    for seed in range(60):
        x = rng.standard_normal(80)
        found = bootstrap(lambda rows: float(rows.mean()), x, seed=seed, resamples=300)
        assert found.low <= found.value <= found.high
        held += found.low <= 0 <= found.high
    assert 50 <= held <= 60
    one, two = (bootstrap(spearman, x, x**2, seed=5, resamples=50) for _ in range(2))
    assert one == two
    assert bootstrap(spearman, np.array([1, 2]), np.array([1, 2]), resamples=20).low == pytest.approx(1)


def test_pairs_are_scored_by_their_cosines(tmp_path: Path, word: WordEncoder) -> None:
    (tmp_path / "p.tsv").write_text(
        "source\tscore\tsentence1\tsentence2\nx\t5\tbank\tbank\ny\t3.5\tbank river\tthe bank\nz\t0\tParis\tthe\nz\t1\t\tbank\n"
    )
    pairs = read_scored_pairs(tmp_path / "p.tsv")
    assert (len(pairs), pairs.scores, pairs.first[1], pairs.second[1]) == (4, [5, 3.5, 0, 1], "bank river", "the bank")
    found = pair_quality(word, pairs)
    left, right = word.encode(pairs.first).vectors, word.encode(pairs.second).vectors
    lengths = np.linalg.norm(left, axis=1) * np.linalg.norm(right, axis=1)
    expected = spearman((left * right).sum(1) / np.where(lengths > 0, lengths, 1), np.array(pairs.scores))
    assert found.spearman.value == pytest.approx(expected)
    assert found.texts_per_second > 0


def test_a_csv_may_quote(tmp_path: Path) -> None:
    (tmp_path / "p.csv").write_text('sentence1,sentence2,score\n"a, b","c ""d""",1\nx,y,2\n')
    assert read_scored_pairs(tmp_path / "p.csv").second == ['c "d"', "y"]
    (tmp_path / "p.tsv").write_text(HEAD + '1\t"a\tb\n\n2\tc\td\n')
    assert read_scored_pairs(tmp_path / "p.tsv").first == ['"a', "c"]


@pytest.mark.parametrize(
    ("name", "content", "complaint"),
    [
        ("p.tsv", "label\tsentence1\ttext\n1\ta\tb\n", "p.tsv: no column 'score' or 'sentence2'; there are 'label', 'sentence1', 'text'"),
        ("p.tsv", HEAD + "1\ta\tb\nhigh\ta\tb\n", "p.tsv, line 3: the score 'high' is not a number"),
        ("p.tsv", HEAD + "nan\ta\tb\n", "line 2: the score 'nan' is not a number"),
        ("p.tsv", HEAD + "1\ta\n", "line 2: 2 cells where the header has 3"),
        ("p.tsv", HEAD + "1\ta\0\tb\n", "line 2: NUL character"),
        ("p.tsv", b"score\tsentence1\tsentence2\n1\t\xff\tb\n", "line 2: not UTF-8: byte 0xff"),
        ("p.tsv", "", "p.tsv: is empty"),
        ("p.tsv", HEAD, "p.tsv: no pairs"),
        ("p.tsv", HEAD + "1\ta\tb\n1\tc\td\n", "2 pairs, all of them scored 1"),
        ("p.csv", 'score,sentence1,sentence2\n1,a,"b\n', "p.csv, line .*: not a row of a table"),
        ("p.txt", "{}\n", "p.txt: examples are a table"),
    ],
)  # fmt: skip
def test_tables_that_are_no_scored_pairs(tmp_path: Path, name: str, content: str | bytes, complaint: str) -> None:
    (tmp_path / name).write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(InputError, match=complaint) as caught:
        read_scored_pairs(tmp_path / name)
    assert "\n" not in str(caught.value)


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such file"):
        read_scored_pairs(tmp_path / "nowhere.tsv")
