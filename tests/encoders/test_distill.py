"""Static models made of tiny encoders: model2vec and sentence-transformers read the same, and the corpus teaches."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from semvec.encoders.catalog import load_encoder
from semvec.encoders.contextual import ContextualEncoder
from semvec.encoders.distill import distill
from semvec.encoders.sentence import SentenceEncoder
from semvec.encoders.static import StaticEncoder
from semvec.encoders.word import WordEncoder
from semvec.errors import InputError, MissingExtra, OptionError, OutputError, OutputExists
from semvec.types import Oov, Step
from tests import tiny
from tests.sample import TEXTS

KNOWN = [text for text in TEXTS if text.strip()]


def cosines(left: np.ndarray, right: np.ndarray) -> np.ndarray:
    return (left * right).sum(1) / np.linalg.norm(left, axis=1) / np.linalg.norm(right, axis=1)


def files(folder: Path) -> dict[str, bytes]:
    return {file.relative_to(folder).as_posix(): file.read_bytes() for file in folder.rglob("*") if file.is_file()}


def test_it_is_what_model2vec_makes(tmp_path: Path, sentence: SentenceEncoder, sentence_folder: Path) -> None:
    from model2vec.distill import distill_from_model
    from transformers import AutoModel, AutoTokenizer

    made = distill(sentence, tmp_path / "m", dims=16)
    theirs = distill_from_model(
        AutoModel.from_pretrained(sentence_folder), AutoTokenizer.from_pretrained(sentence_folder), device="cpu", pca_dims=16
    )
    theirs.tokenizer.no_padding()
    theirs.tokenizer.no_truncation()
    mine = load_encoder(tmp_path / "m").encode(KNOWN).vectors
    expected = theirs.encode(KNOWN)
    np.testing.assert_allclose(mine @ mine.T, expected @ expected.T, atol=2e-3)  # its vectors are float16, their signs free
    assert (made.tokens, made.dim, made.texts) == (len(theirs.embedding), 16, 0)


@pytest.mark.parametrize("corpus", [None, KNOWN])
def test_every_library_reads_it_alike(tmp_path: Path, sentence: SentenceEncoder, corpus: list[str] | None) -> None:
    from model2vec import StaticModel
    from sentence_transformers import SentenceTransformer

    distill(sentence, tmp_path / "m", corpus=corpus)
    texts = [*KNOWN, "the ☃ bank", "", "the bank of the river " * 40]
    encoder = load_encoder(tmp_path / "m")
    assert isinstance(encoder, StaticEncoder)
    mine = encoder.encode(texts).vectors
    np.testing.assert_allclose(mine, StaticModel.from_pretrained(tmp_path / "m").encode(texts), atol=1e-5)
    np.testing.assert_allclose(mine, SentenceTransformer(str(tmp_path / "m"), device="cpu").encode(texts), atol=1e-5)
    assert encoder.dim == 32


def test_the_same_seed_gives_the_same_bytes(tmp_path: Path, sentence: SentenceEncoder) -> None:
    for name, seed in (("one", 3), ("two", 3), ("other", 4)):
        distill(sentence, tmp_path / name, corpus=KNOWN * 2, seed=seed, dims=8)
    assert files(tmp_path / "one") == files(tmp_path / "two")
    assert files(tmp_path / "one") != files(tmp_path / "other")


def test_a_corpus_brings_it_nearer_to_its_teacher(tmp_path: Path, sentence: SentenceEncoder) -> None:
    rng = np.random.default_rng(0)
    words = sorted({word for text in KNOWN[:3] for word in text.split()})
    texts = [" ".join(rng.choice(words, 6)) for _ in range(1500)]
    seen: list[Step] = []
    plain = distill(sentence, tmp_path / "plain")
    fitted = distill(sentence, tmp_path / "fitted", corpus=iter([*texts, texts[0], "☃"]), progress=seen.append)
    assert (plain.texts, fitted.texts) == (0, len(set(texts)))
    held_out = [" ".join(rng.choice(words, 6)) for _ in range(200)]
    gram = [load_encoder(one).encode(held_out).vectors for one in (tmp_path / "plain", tmp_path / "fitted")]
    goal = sentence.encode(held_out).vectors
    goal = goal - sentence.encode(texts).vectors.mean(0)
    wanted = np.corrcoef(goal)[np.triu_indices(200, 1)]
    agreement = [np.corrcoef((one @ one.T)[np.triu_indices(200, 1)], wanted)[0, 1] for one in gram]
    assert agreement[1] > agreement[0] + 0.05
    assert {step.unit for step in seen} == {"tokens", "texts", "steps"}


@pytest.mark.parametrize("kind", ["bert", "roberta", "gpt2", "llama", "t5"])
def test_transformers_of_every_kind(tmp_path: Path, contextual: dict[str, ContextualEncoder], kind: str) -> None:
    distill(contextual[kind], tmp_path / "m", dims=8, corpus=KNOWN)
    found = load_encoder(tmp_path / "m").encode(KNOWN)
    assert found.vectors.shape == (len(KNOWN), 8)
    np.testing.assert_allclose(np.linalg.norm(found.vectors[found.oov == Oov.EXACT], axis=1), 1, atol=1e-5)
    if kind in ("bert", "llama", "t5"):  # the others know every byte
        assert load_encoder(tmp_path / "m").encode(["the☃"], level="token").oov.tolist()[-1] == Oov.ZERO


@pytest.mark.parametrize(("pooling", "dense", "dim"), [("cls", False, 32), ("mean", True, 24), (("mean", "max"), False, 64)])
def test_pooling_and_what_follows_it_are_the_teachers(tmp_path: Path, pooling: Any, dense: bool, dim: int) -> None:
    teacher = load_encoder(tiny.make_sentence_model(tmp_path, pooling=pooling, dense=dense), device="cpu")
    assert distill(teacher, tmp_path / "m").dim == dim
    words = [name for name in ("the", "bank", "river", "rights") if teacher.encode([name]).n_tokens[0] == 1]
    student = load_encoder(tmp_path / "m").encode(words, level="token").vectors
    goals = teacher.encode(words).vectors
    assert len(words) > 2
    assert student.shape == (len(words), dim)
    assert goals.shape[1] == dim


def test_the_pooling_of_single_tokens_by_hand(tmp_path: Path) -> None:
    """Differences of token vectors, which centring does not change, are those of the teacher's CLS vectors."""
    folder = tiny.make_sentence_model(tmp_path, pooling="cls", normalize=False)
    teacher = load_encoder(folder, device="cpu")
    distill(teacher, tmp_path / "m")
    student = load_encoder(tmp_path / "m")
    names = ["the", "bank", "river", "rights"]
    places = np.array([student.table.tokenizer.token_to_id(name) for name in names])  # type: ignore[attr-defined]
    tokens = student.encode(names, level="token").vectors
    share = 1 / np.arange(2, len(student.table.vectors) + 2)  # type: ignore[attr-defined]
    rarity = 1e-4 / (1e-4 + share / share.sum())
    apart = tokens / rarity[places][:, None]
    goals = teacher.encode(names).vectors
    np.testing.assert_allclose(
        np.linalg.norm(apart[:, None] - apart[None], axis=-1), np.linalg.norm(goals[:, None] - goals[None], axis=-1), atol=1e-3
    )


def test_what_cannot_be_distilled(tmp_path: Path, sentence: SentenceEncoder, word: WordEncoder, static: StaticEncoder) -> None:
    with pytest.raises(OptionError, match=r"glove.txt is a word model: only sentence and contextual ones can be distilled"):
        distill(word, tmp_path / "m")
    with pytest.raises(OptionError, match="is a static model: only sentence"):
        distill(static, tmp_path / "m")
    for dims in (33, 0, True):
        with pytest.raises(OptionError, match="dims must be a whole number from 1 to 32"):
            distill(sentence, tmp_path / "m", dims=dims)
    for corpus in ([], ["", " "], ["☃"]):
        with pytest.raises(InputError, match="the corpus has no text that could be learnt from"):
            distill(sentence, tmp_path / "m", corpus=corpus)
    with pytest.raises(InputError, match="not a string"):
        distill(sentence, tmp_path / "m", corpus=["fine", 3])  # type: ignore[list-item]
    assert not list(tmp_path.iterdir())


def test_an_output_is_whole_or_what_it_was(
    tmp_path: Path, sentence: SentenceEncoder, static_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(OutputError, match=r"the folder .*nowhere does not exist"):
        distill(sentence, tmp_path / "nowhere" / "m")
    with pytest.raises(OutputError, match="cannot be written: File name too long"):
        distill(sentence, tmp_path / ("m" * 300))
    (tmp_path / "papers").mkdir()
    (tmp_path / "papers" / "thesis.txt").write_text("years of work")
    for overwrite, complaint in ((False, "exists already; --overwrite replaces it"), (True, "no static model")):
        with pytest.raises(OutputExists, match=complaint):
            distill(sentence, tmp_path / "papers", overwrite=overwrite)
    assert files(tmp_path / "papers") == {"thesis.txt": b"years of work"}
    distill(sentence, tmp_path / "m", dims=4)
    before = files(tmp_path / "m")
    with monkeypatch.context() as patched:

        def full(*_: object, **__: object) -> None:
            raise OSError(28, "No space left on device")

        patched.setattr("model2vec.persistence.save_pretrained", full)
        with pytest.raises(OutputError, match="m: cannot be written: the disk is full"):
            distill(sentence, tmp_path / "m", dims=8, overwrite=True)
    assert files(tmp_path / "m") == before
    (tmp_path / "link").symlink_to(tmp_path / "m")
    distill(sentence, tmp_path / "link", dims=8, overwrite=True)
    assert (tmp_path / "link").is_symlink()
    assert load_encoder(tmp_path / "m").dim == 8
    assert sorted(path.name for path in tmp_path.iterdir()) == ["link", "m", "papers"]


def test_the_library_that_is_missing_is_named(tmp_path: Path, sentence: SentenceEncoder, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "model2vec.distill", None)
    with pytest.raises(MissingExtra, match=r"pip install 'semvec\[distill\]'"):
        distill(sentence, tmp_path / "m")


def test_nothing_is_drawn_on_the_terminal(tmp_path: Path, sentence_folder: Path) -> None:
    script = "import sys, semvec; semvec.distill(semvec.load_encoder(sys.argv[1], device='cpu'), sys.argv[2])"
    done = subprocess.run(
        [sys.executable, "-c", script, str(sentence_folder), str(tmp_path / "m")], capture_output=True, text=True, check=True
    )
    assert (done.stdout, done.stderr) == ("", "")
