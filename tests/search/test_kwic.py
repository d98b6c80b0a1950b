"""A word in its contexts: found where it stands, ordered by use, parted by sense."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from semvec.embeddings.transforms import normalize
from semvec.encoders.sentence import SentenceEncoder
from semvec.encoders.word import WordEncoder
from semvec.errors import InputError, OptionError
from semvec.search.kwic import Concordance, Occurrence, _finder, in_collection, in_texts, use_of, used_like
from semvec.search.token_searcher import TokenSearcher, token_settings
from semvec.store.collection import Collection
from semvec.store.token_collection import TokenCollection
from semvec.text.document import Document
from tests.cli.test_encode import refused, run

TEXTS = ["the bank of the river", "Money in the Bank; banks", "no such word", "bank\nbank", "embankment, the river  bank"]
DOCUMENTS = [Document(f"d{at}", text, metadata={"at": at}) for at, text in enumerate(TEXTS)]
WHERE = [("d0", 4), ("d1", 13), ("d3", 0), ("d3", 5), ("d4", 23)]


def test_an_accent_is_found_however_it_is_written() -> None:
    text = "cafe\u0301 bar caf\u00e9 cafe CAF\u00c9"
    both = [(0, 5), (10, 14), (20, 24)]
    assert _finder("caf\u00e9")(text) == both
    assert _finder("cafe\u0301")(text) == both
    assert _finder("cafe")(text) == [(15, 19)]


def test_whole_words_are_found() -> None:
    assert [(f"d{at}", start) for at, text in enumerate(TEXTS) for start, _ in _finder("bank")(text)] == WHERE
    assert _finder("river bank")("the river  bank, river-bank") == [(4, 15)]
    assert _finder("银行")("我在银行工作") == [(2, 4)]
    assert _finder("C++")("in C++ and C") == [(3, 6)]
    assert _finder("cafe")("cafe\u0301 cafe") == [(6, 10)]  # an accent is part of its letter
    with pytest.raises(InputError, match="empty"):
        _finder("  ")


def test_an_occurrence_and_its_vector(sentence: SentenceEncoder) -> None:
    found = in_texts(DOCUMENTS, "bank", sentence)
    assert [(one.id, one.start) for one in found.occurrences] == WHERE
    assert found.occurrences[1].word == "Bank"
    assert found.occurrences[1].metadata == {"at": 1}
    tokens = sentence.encode_document([TEXTS[1]], level="token")
    inside = (tokens.start < 17) & (tokens.end > 13)
    true = normalize(tokens.vectors)[inside].mean(axis=0)
    assert found.vectors[1] == pytest.approx(true / np.linalg.norm(true), abs=1e-5)
    assert found.occurrences[1].line(6) == ("n the ", "Bank", "; bank")
    assert found.occurrences[3].line() == ("bank ", "bank", "")


def test_a_collection_gives_the_same(tmp_path: Path, sentence: SentenceEncoder) -> None:
    true = in_texts(DOCUMENTS, "bank", sentence)
    with Collection.open(tmp_path / "c", token_settings(sentence, 16)) as collection:
        assert isinstance(collection, TokenCollection)
        assert len(in_collection(collection, "bank")) == 0
        list(TokenSearcher(sentence, collection).add(DOCUMENTS))
        found = in_collection(collection, "bank")
        assert found.occurrences == true.occurrences
        assert found.vectors == pytest.approx(true.vectors, abs=1e-3)
        asked = sentence.encode_document(TEXTS, level="token")
        use = use_of(sentence, "the [river] of")
        cosines = normalize(asked.vectors) @ use
        words = used_like(collection, use, 3)
        assert words[0].score == pytest.approx(cosines[~asked.special].max(), abs=1e-3)
        assert len({one.word for one in words}) == 3
        assert words[0].word not in {one.word for one in used_like(collection, use, 3, without=[words[0].word.upper()])}


def test_the_nearest_use_comes_first(word: WordEncoder) -> None:
    use = use_of(word, "the [river bank] of")
    found = in_texts(DOCUMENTS, "river bank", word).like(use)
    assert [one.id for one in found.occurrences] == ["d4"]
    assert found.occurrences[0].score == pytest.approx(1)
    both = in_texts([Document("a", "Paris the"), Document("b", "the of")], "the", word).like(use_of(word, "[the]"))
    assert [one.score for one in both.occurrences] == pytest.approx([1, 1])
    for text in ("no brackets", "[two] of [them]", "[zzzz]"):
        with pytest.raises(InputError, match="brackets"):
            use_of(word, text)


def test_senses_are_told_apart() -> None:
    rng = np.random.default_rng(0)
    middles = normalize(rng.standard_normal((3, 12)))
    group = np.array([0] * 20 + [1] * 9 + [2] * 4)
    vectors = normalize(middles[group] + 0.1 * rng.standard_normal((33, 12)))
    found = Concordance(tuple(Occurrence(f"d{at}", "bank", 0, 4) for at in range(33)), vectors).senses()
    assert [one.sense for one in found.occurrences] == [1] * 20 + [2] * 9 + [3] * 4
    assert {one.id for one in found.occurrences[:20]} == {f"d{at}" for at in range(20)}
    centre = vectors[:20].mean(axis=0)
    assert found.occurrences[0].id == f"d{int(np.argmax(vectors[:20] @ centre))}"
    assert {one.sense for one in found.senses(2).occurrences} == {1, 2}
    one = normalize(middles[np.zeros(30, int)] + rng.standard_normal((30, 12)) * 0.3)
    assert {its.sense for its in Concordance(found.occurrences[:30], one).senses(1).occurrences} == {1}
    assert [its.sense for its in Concordance(found.occurrences[:1], one[:1]).senses().occurrences] == [1]
    assert [its.sense for its in Concordance(found.occurrences[:2], vectors[[0, 25]]).senses(2).occurrences] == [1, 2]
    with pytest.raises(OptionError, match="at least 1"):
        found.senses(0)


def test_many_occurrences_join_the_groups_of_some(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("semvec.search.kwic.MOST_GROUPED", 50)
    rng = np.random.default_rng(0)
    group = rng.integers(2, size=400)
    vectors = normalize(normalize(rng.standard_normal((2, 12)))[group] + 0.1 * rng.standard_normal((400, 12)))
    found = Concordance(tuple(Occurrence(f"{its}", "bank", 0, 4) for its in group), vectors).senses()
    assert {(one.id, one.sense) for one in found.occurrences} in ({("0", 1), ("1", 2)}, {("0", 2), ("1", 1)})


def test_commands(tmp_path: Path, glove_file: Path) -> None:
    (tmp_path / "t.txt").write_text("\n\n".join(["the bank of the river", "Paris bank", "the of"]), encoding="utf-8")
    done = run("kwic", tmp_path / "t.txt", "bank", "-m", glove_file, "--format", "jsonl", "--like", "the [bank]")
    assert [json.loads(line)["id"] for line in done.stdout.splitlines()] == ["1", "3"]
    few = run("kwic", tmp_path / "t.txt", "bank", "-m", glove_file, "-k", "1")
    assert len(few.stdout.splitlines()) == 1
    assert "1 of 2 lines" in few.stderr
    shown = run("kwic", tmp_path / "t.txt", "bank", "-m", glove_file, "--senses", "1", "--width", "9").stdout
    assert shown.splitlines()[0] == "sense 1: 2 of 2"
    assert "     the bank of the r" in shown
    assert "nothing found" in run("kwic", tmp_path / "t.txt", "zzz", "-m", glove_file).stderr
    (tmp_path / "u.txt").write_text("the bank of the river\nParis bank\n", encoding="utf-8")
    assert run("index", "build", tmp_path / "u.txt", "-o", tmp_path / "c", "-m", glove_file, "--level", "token").exit_code == 0
    shown = run("kwic", tmp_path / "c", "bank", "--like", "the [river]", "--words", "2").stdout
    assert shown.split("used like it")[1].split()[1] == "river"
    assert run("index", "build", tmp_path / "u.txt", "-o", tmp_path / "plain", "-m", glove_file).exit_code == 0
    assert run("index", "add", tmp_path / "c", tmp_path / "u.txt", "-m", glove_file).exit_code == 0
    refused(run("kwic", tmp_path / "plain", "bank"), "keeps no token vectors")
    refused(run("kwic", tmp_path / "t.txt", "a" * 201, "-m", glove_file), "has 201 characters, 200 are the most")
    refused(run("kwic", tmp_path / "t.txt", "bank", "-m", glove_file, "--like", "bank"), "the [bank] of the river")
    same = run("kwic", tmp_path / "t.txt", "bank", "-m", glove_file, "--like", "[bank]")
    assert "gives the word one vector wherever it stands" in same.stderr
    few = (
        tmp_path / "u.txt",
        "-o",
        tmp_path / "few",
        "-m",
        glove_file,
        "--level",
        "token",
        "--keep-tokens",
        "0.3",
        "--keep-by",
        "lead",
    )
    assert run("index", "build", *few).exit_code == 0
    shown = run("kwic", tmp_path / "few", "bank")  # of "the bank of the river" the first two are kept, of "Paris bank" Paris
    assert len(shown.stdout.splitlines()) == 1
    assert "1 more are not shown" in shown.stderr
    refused(run("kwic", tmp_path / "c", "bank", "--text-field", "body"), "text_field is for files")
    refused(run("kwic", tmp_path / "c", "bank", "-m", glove_file), "holds its vectors already")
    refused(run("kwic", tmp_path / "c", "bank", "--words", "2"), "--words wants to know which use")
    refused(run("kwic", tmp_path / "c", "bank", "--senses", "x"), "a number or auto")
    refused(run("kwic", tmp_path / "c", "bank", "--senses", "auto", "--like", "[x]"), "one of the two")
    refused(run("kwic", tmp_path / "t.txt", "bank", "-m", glove_file, "--like", "[bank]", "--words", "2"), "wants a collection")
    refused(run("kwic", tmp_path / "nowhere.txt", "bank"), "nowhere.txt")


def test_a_terminal_is_told_nothing_by_a_text(tmp_path: Path, glove_file: Path) -> None:
    (tmp_path / "t.jsonl").write_text(json.dumps({"text": "the \x1b[31mbank\x07 of the river"}), encoding="utf-8")
    build = ("index", "build", tmp_path / "t.jsonl", "-o", tmp_path / "c", "-m", glove_file, "--level", "token")
    assert run(*build).exit_code == 0
    for command in (("kwic", tmp_path / "c", "river"), ("search", tmp_path / "c", "river", "--highlight")):
        shown = run(*command).stdout
        assert "�[31mbank� of the river" in shown
        assert not set("\x1b\x07") & set(shown)
