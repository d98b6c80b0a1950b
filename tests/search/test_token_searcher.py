"""Late interaction by texts: any encoder, the right items, and the words that met."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from semvec.embeddings.maxsim import maxsim
from semvec.encoders.contextual import ContextualEncoder
from semvec.encoders.protocol import Encoder
from semvec.encoders.sentence import SentenceEncoder
from semvec.encoders.static import StaticEncoder
from semvec.encoders.word import WordEncoder
from semvec.errors import FingerprintMismatch, InputError, LevelError, OptionError
from semvec.results import Evidence
from semvec.search.evidence import evidence_page, heat, pairs
from semvec.search.token_searcher import TokenSearcher, bytes_of, token_settings
from semvec.store.collection import Collection
from semvec.text.document import Document
from tests.cli.test_encode import refused, run

TEXTS = ["the bank of the river", "Paris of the river, the Paris", "don't bank", "the the of", "中 é bank"]
DOCUMENTS = [Document(f"d{at}", text, metadata={"at": at}) for at, text in enumerate(TEXTS)]


def filled(place: Path, encoder: Encoder, bits: int = 16) -> TokenSearcher:
    searcher = TokenSearcher(encoder, Collection.open(place, token_settings(encoder, bits)))
    assert sum(done.new for done in searcher.add(DOCUMENTS)) == len(TEXTS)
    return searcher


@pytest.fixture(params=["bert", "gpt2", "sentence", "word"])
def encoder(
    request: pytest.FixtureRequest, contextual: dict[str, ContextualEncoder], sentence: SentenceEncoder, word: WordEncoder
) -> Encoder:
    return {**contextual, "sentence": sentence, "word": word}[request.param]


def test_the_scores_are_maxsim(tmp_path: Path, encoder: Encoder) -> None:
    searcher = filled(tmp_path / "c", encoder)
    level = "token" if "token" in encoder.levels else "word"
    for query in ("bank of the river", "Paris"):
        asked = encoder.encode_query([query], level=level).floats()
        held = encoder.encode_document(TEXTS, level=level)
        true = {f"d{at}": maxsim(asked, held[at].floats()) for at in range(len(TEXTS))}
        best = searcher.search([query], 3, candidates=None)[0]
        assert [hit.score for hit in best] == pytest.approx(sorted(true.values(), reverse=True)[:3], abs=0.01)
        for candidates in (None, 3):
            hits = searcher.search([query], 3, candidates=candidates, evidence=True)[0]
            assert hits.query == query
            for hit in hits:
                assert hit.score == pytest.approx(true[hit.id], abs=0.01)
                assert sum(its.score for its in hit.evidence) == pytest.approx(hit.score, abs=1e-4)
                for its in hit.evidence:
                    assert query[its.query_start : its.query_end]
                    assert hit.text is not None
                    assert hit.text[its.start : its.end]
    assert {hit.id for hit in searcher.search(["bank"], 10, where="at < 2")[0]} == {"d0", "d1"}
    assert len(searcher.search(["bank"], 10, min_score=1e9)[0]) == 0


def test_the_vectors_of_texts_are_the_encoders_own(tmp_path: Path, encoder: Encoder) -> None:
    searcher = filled(tmp_path / "c", encoder)
    true = encoder.encode_document(TEXTS, level="text").floats()
    items = searcher.collection.get([f"d{at}" for at in range(len(TEXTS))])
    kept = np.stack([item.vector for item in items if item is not None])
    cosines = (true * kept).sum(axis=1) / np.linalg.norm(true, axis=1) / np.linalg.norm(kept, axis=1)
    assert cosines == pytest.approx(np.ones(len(TEXTS)), abs=1e-5)


def test_pooling_that_is_no_mean_is_computed(tmp_path: Path, contextual: dict[str, ContextualEncoder]) -> None:
    encoder = contextual["bert"].with_options(pooling="cls")
    searcher = filled(tmp_path / "c", encoder)
    true = encoder.encode_document(TEXTS[:1]).floats()[0]
    item = searcher.collection.get(["d0"])[0]
    assert item is not None
    assert item.vector == pytest.approx(true, abs=1e-5)


def test_nothing_that_is_known(tmp_path: Path, word: WordEncoder) -> None:
    with Collection.open(tmp_path / "c", token_settings(word, 2)) as collection:
        searcher = TokenSearcher(word, collection)
        assert [done.left_out for done in searcher.add([Document("a", "zzz"), Document("b", "")])] == [2]
        assert searcher.search(["bank"])[0].ids == []
        assert sum(done.new for done in searcher.add(DOCUMENTS)) == len(TEXTS)
        assert len(searcher.search(["bank"])[0]) == len(TEXTS)


def test_what_is_refused(tmp_path: Path, word: WordEncoder, static: StaticEncoder, sentence: SentenceEncoder) -> None:
    searcher = filled(tmp_path / "c", word)
    with pytest.raises(InputError, match="nothing that the model knows"):
        searcher.search(["zzz"])
    with pytest.raises(InputError, match="list of texts"):
        searcher.search("bank")
    with pytest.raises(OptionError, match="min_score must be a number"):
        searcher.search(["bank"], min_score=float("nan"))
    with pytest.raises(FingerprintMismatch, match="two encoders"):
        TokenSearcher(sentence, searcher.collection)
    if not {"token", "word"} & set(static.levels):
        with pytest.raises(LevelError, match="late interaction wants"):
            token_settings(static)
    done = list(searcher.add([Document("x", "zzz"), Document("d0", "zzz"), Document("y", "bank")]))
    assert (done[0].new, done[0].left_out) == (1, 2)
    assert [item is None for item in searcher.collection.get(["x", "d0", "y"])] == [True, True, False]


def test_sizes(word: WordEncoder) -> None:
    two, four = (bytes_of(token_settings(word, bits), 10, 1000) for bits in (2, 4))
    assert four == two == 1000 * (8 + 6) + 10 * 2 * 16  # few tokens are kept as float16
    two, four = (bytes_of(token_settings(word, bits), 10, 100_000) for bits in (2, 4))
    assert four - two == 100_000  # a byte more for the four numbers of each token
    assert two == 100_000 * (1 + 6) + 10 * 2 * 16


EVIDENCE = (Evidence(0, 4, 4, 8, 0.5), Evidence(5, 7, 0, 3, 0.25), Evidence(8, 11, 4, 8, 0.75))


def test_heat_adds_up() -> None:
    parts = heat("the bank <b>", EVIDENCE)
    assert [(part.text, part.share) for part in parts] == [("the", 0.25), ("bank", 1.25)]
    assert pairs("bank of sea", "the bank <b>", EVIDENCE, 2) == [("sea", "bank", 0.75), ("bank", "bank", 0.5)]


def test_the_page_is_whole_and_escaped(tmp_path: Path, word: WordEncoder) -> None:
    searcher = filled(tmp_path / "c", word)
    list(searcher.add([Document("<x>", "bank <script> of the river")]))
    page = evidence_page(searcher.search(["bank <i>"], 6, evidence=True))
    assert "<script>" not in page
    assert "&lt;script&gt;" in page
    assert "&lt;x&gt;" in page
    assert "http" not in page


def test_commands(tmp_path: Path, glove_file: Path) -> None:
    rows = [{"id": f"d{at}", "text": text, "at": at} for at, text in enumerate(TEXTS)]
    (tmp_path / "t.jsonl").write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    done = run("index", "build", tmp_path / "t.jsonl", "-o", tmp_path / "c", "-m", glove_file, "--level", "token", "--bits", "4")
    assert done.exit_code == 0, done.output
    assert "5 texts of 19 tokens: about 0.0 MB" in done.stderr
    assert "in 16 bits" in run("index", "info", tmp_path / "c").stdout  # few tokens are kept exactly
    done = run("search", tmp_path / "c", "bank river", "-k", 2, "--format", "json", "--html", tmp_path / "x.html")
    hits = json.loads(done.stdout)[0]["hits"]
    assert hits[0]["id"] == "d0"
    assert [TEXTS[0][its["start"] : its["end"]] for its in hits[0]["evidence"]] == ["bank", "river"]
    assert "<!doctype html>" in (tmp_path / "x.html").read_text(encoding="utf-8")
    (tmp_path / "x.html").write_text("dear")
    refused(run("search", tmp_path / "c", "bank", "--html", tmp_path / "x.html"), "exists already; --overwrite replaces it")
    assert (tmp_path / "x.html").read_text() == "dear"
    assert run("search", tmp_path / "c", "bank", "--html", tmp_path / "x.html", "--overwrite").exit_code == 0
    assert "<!doctype html>" in (tmp_path / "x.html").read_text(encoding="utf-8")
    refused(run("search", tmp_path / "c", "bank", " "), "one of the queries is empty")
    shown = run("search", tmp_path / "c", "bank", "-k", 1, "--highlight").stdout
    assert "bank – bank 1.00" in shown
    assert json.loads(run("search", tmp_path / "c", "bank", "--level", "text", "--format", "json").stdout)[0]["hits"]
    assert run("search", tmp_path / "c", "bank", "--hybrid").exit_code == 0  # at level text
    (tmp_path / "more.txt").write_text("the river\n", encoding="utf-8")
    assert "1 items new" in run("index", "add", tmp_path / "c", tmp_path / "more.txt").stdout
    assert "sound" in run("index", "check", tmp_path / "c").stdout
    refused(run("copy", tmp_path / "c", tmp_path / "d"), "copy the folder itself")
    assert not (tmp_path / "d").exists()


def test_commands_refuse(tmp_path: Path, glove_file: Path) -> None:
    (tmp_path / "t.txt").write_text("the bank\n", encoding="utf-8")
    refused(run("index", "build", tmp_path / "t.txt", "-o", tmp_path / "c", "--bits", "2"), "--bits", "--level token")
    assert run("index", "build", tmp_path / "t.txt", "-o", tmp_path / "c", "-m", glove_file).exit_code == 0
    refused(run("search", tmp_path / "c", "bank", "--level", "token"), "keeps no token vectors")
    refused(run("search", tmp_path / "c", "--html", "x.html", stdin=b""), "QUERY")
    (tmp_path / "blank.txt").write_text("\n\n")
    build = ("index", "build", tmp_path / "blank.txt", "-o", tmp_path / "d", "-m", glove_file, "--keep-blank", "--level")
    for level in ("token", "text"):
        refused(run(*build, level), "there was no text to index")
        assert not (tmp_path / "d").exists()
    build = ("index", "build", tmp_path / "t.txt", "-o", tmp_path / "d", "-m", glove_file, "--level", "token")
    assert run(*build).exit_code == 0
    refused(run("search", tmp_path / "d", "bank", "--level", "token", "--hybrid"), "--hybrid does nothing at level token")
    refused(run("search", tmp_path / "c", "bank", "--highlight"), "keeps no token vectors")
    refused(run("search", tmp_path / "c", "bank", "--highlight", "--level", "text"), "--highlight does nothing at level text")
