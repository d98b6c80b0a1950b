"""Keyphrases: the candidates by hand, the ranking by numpy."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from semvec.encoders.word import WordEncoder
from semvec.errors import InputError, OptionError
from semvec.search.keyphrases import candidates, keyphrases
from tests.cli.test_encode import refused, run

TEXT = "The bank of the river. River bank, Paris; the  river\nbank"


def test_candidates() -> None:
    found = candidates("The well-known bank of France (1999) has river  banks, 12 of", 1, 3, {"the", "of", "has"})
    assert set(found) == {"well-known", "well-known bank", "bank", "bank of france", "france", "river", "river banks", "banks"}
    assert found["river banks"] == [(41, 53)]
    assert candidates("a", 1, 2, {"a"}) == {}
    assert set(candidates("x-ray film", 2, 2, set())) == {"x-ray film"}
    assert set(candidates("我们在银行工作", 2, 2, {"在"}, lambda text: ["我们", "在", "银行", "工作"])) == {"银行工作"}


def test_the_ranking_is_the_cosine(word: WordEncoder) -> None:
    found = keyphrases([TEXT, "", "of the"], word, 10, ngrams=(1, 2), diversity=0)
    assert found[1:] == [[], []]
    whole = word.encode([TEXT]).vectors[0]
    true = {}
    for name in ("bank", "river", "river bank", "paris"):
        vector = word.encode([name]).vectors[0]
        true[name] = float(vector @ whole / np.linalg.norm(vector) / np.linalg.norm(whole))
    assert [its.text.lower() for its in found[0]] == sorted(true, key=lambda name: -true[name])
    assert [its.score for its in found[0]] == pytest.approx(sorted(true.values(), reverse=True), abs=1e-6)
    both = next(its for its in found[0] if its.text == "River bank")
    assert [TEXT[slice(*span)] for span in both.spans] == ["River bank", "river\nbank"]
    assert keyphrases([TEXT], word, 10, ngrams=(1, 2), diversity=0)[0] == found[0]


def test_diversity_prefers_what_is_unlike(word: WordEncoder) -> None:
    plain, mixed = (keyphrases([TEXT], word, 2, ngrams=(1, 2), diversity=its)[0] for its in (0, 0.9))
    assert plain[0] == mixed[0]
    assert mixed[1].text == "Paris"


def test_what_is_refused(word: WordEncoder) -> None:
    with pytest.raises(InputError, match="list of texts"):
        keyphrases("text", word)
    for wrong in ({"ngrams": (2, 1)}, {"ngrams": (0, 1)}, {"diversity": 2.0}, {"k": 0}):
        with pytest.raises(OptionError):
            keyphrases([TEXT], word, **wrong)  # type: ignore[arg-type]


def test_commands(tmp_path: Path, glove_file: Path) -> None:
    (tmp_path / "t.txt").write_text("The bank of the river\nParis\n", encoding="utf-8")
    done = run("keyphrases", tmp_path / "t.txt", "-m", glove_file, "--format", "jsonl", "-k", "2")
    rows = [json.loads(line) for line in done.stdout.splitlines()]
    assert [row["id"] for row in rows] == ["1", "2"]
    assert rows[1]["keyphrases"][0]["text"] == "Paris"
    assert rows[1]["keyphrases"][0]["spans"] == [[0, 5]]
    (tmp_path / "stop.txt").write_text("paris\n", encoding="utf-8")
    shown = run("keyphrases", tmp_path / "t.txt", "-m", glove_file, "--stop-words", tmp_path / "stop.txt").stdout
    assert "Paris" not in shown
    assert "The bank" in shown
    split = run("keyphrases", tmp_path / "t.txt", "-m", glove_file, "--splitter", "shlex:split", "--ngrams", "1").stdout
    assert "bank" in split
    refused(run("keyphrases", tmp_path / "t.txt", "--ngrams", "3-1"), "--ngrams")
    refused(run("keyphrases", tmp_path / "t.txt", "--splitter", "nothing"), "--splitter")
