"""A tiny reader, and a collection of the texts that it reads."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from semvec.encoders.catalog import load_encoder
from semvec.finetune.loading import load_model
from semvec.finetune.model import FineTuned
from semvec.finetune.train import finetune
from semvec.search.searcher import Searcher, settings_for
from semvec.store.collection import Collection
from semvec.text.document import Document
from tests import tiny
from tests.finetune import small

PASSAGES = [
    "the right of everyone is freedom",
    "no one has freedom in the law",
    "all of the law is one",
    "freedom shall be a right",
]


@pytest.fixture(scope="session")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny.make_sentence_model(tmp_path_factory.mktemp("augment"))


@pytest.fixture(scope="session")
def reader_folder(base: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("reader")
    options = small.quick(epochs=3, max_tokens=32)
    finetune("qa", base, small.write("qa", folder), folder / "reader", options=options, before=False)
    return folder / "reader"


@pytest.fixture(scope="session")
def reader(reader_folder: Path) -> FineTuned:
    model = load_model(reader_folder)
    assert isinstance(model, FineTuned)
    return model


@pytest.fixture
def searcher(base: Path, tmp_path: Path) -> Iterator[Searcher]:
    encoder = load_encoder(base, device="cpu")
    with Collection.open(tmp_path / "passages.index", settings_for(encoder)) as collection:
        its = Searcher(encoder, collection)
        list(its.add([Document(str(at), text) for at, text in enumerate(PASSAGES)]))
        yield its
