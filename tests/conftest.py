"""Models that all tests share, made once; no test reaches a network."""

from __future__ import annotations

import os

os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["TOKENIZERS_PARALLELISM"] = "false"

from pathlib import Path

import pytest

from semvec.encoders.contextual import ContextualEncoder
from semvec.encoders.sentence import SentenceEncoder
from semvec.encoders.static import StaticEncoder
from semvec.encoders.word import WordEncoder
from tests import tiny

GLOVE = """the 0.1 0.2 -0.3 0.5
bank 0.9 -0.1 0.3 0.25
river 0.4 0.4 -0.6 0.1
of 0.05 0.15 0.1 -0.2
Paris 1.0 0.0 0.5 -0.5
don't -0.25 0.75 0.125 1.5
中 0.3 0.3 0.3 0.1
é 0.2 -0.2 0.2 -0.2
"""


@pytest.fixture(scope="session")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A folder for each kind of tiny model."""
    root = tmp_path_factory.mktemp("models")
    return {kind: tiny.make_model(kind, root / kind) for kind in tiny.KINDS}


@pytest.fixture(scope="session")
def contextual(folders: dict[str, Path]) -> dict[str, ContextualEncoder]:
    """A contextual encoder for each kind of tiny model."""
    return {kind: ContextualEncoder.from_pretrained(folder, device="cpu") for kind, folder in folders.items()}


@pytest.fixture(scope="session")
def sentence_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny sentence-transformers model with prompts."""
    return tiny.make_sentence_model(tmp_path_factory.mktemp("st"), prompts={"query": "query: ", "passage": "passage: "})


@pytest.fixture(scope="session")
def sentence(sentence_folder: Path) -> SentenceEncoder:
    return SentenceEncoder.from_pretrained(sentence_folder, device="cpu")


@pytest.fixture(scope="session")
def static_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny model of model2vec."""
    return tiny.make_static_model(tmp_path_factory.mktemp("static") / "model")


@pytest.fixture(scope="session")
def static(static_folder: Path) -> StaticEncoder:
    return StaticEncoder.from_pretrained(static_folder)


@pytest.fixture(scope="session")
def glove_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("words") / "glove.txt"
    path.write_text(GLOVE, encoding="utf-8")
    return path


@pytest.fixture(scope="session")
def word(glove_file: Path) -> WordEncoder:
    return WordEncoder.from_pretrained(glove_file)
