"""Vectors as a function of batches: every kind of batch comes back as it came, with the vectors of the encoder."""

from __future__ import annotations

import pickle
from typing import Any

import datasets
import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from semvec.adapters.batches import BatchEncoder
from semvec.encoders.catalog import load_encoder
from semvec.errors import InputError
from tests import tiny
from tests.sample import TEXTS

ROWS = [text for text in TEXTS if text.strip()][:6]


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(tiny.make_sentence_model(tmp_path_factory.mktemp("base")))


@pytest.fixture(scope="module")
def wanted(base: str) -> np.ndarray:
    return load_encoder(base, device="cpu").encode(ROWS).floats()


@pytest.fixture
def its(base: str) -> BatchEncoder:
    return BatchEncoder(base, cut="cut", device="cpu")


def test_every_kind_of_batch(its: BatchEncoder, wanted: np.ndarray) -> None:
    number = list(range(len(ROWS)))
    plain = its({"text": np.array(ROWS, dtype=object), "n": np.array(number)})
    np.testing.assert_allclose(plain["vector"], wanted, atol=1e-5)
    assert plain["n"].tolist() == number
    assert plain["cut"].tolist() == [0] * len(ROWS)
    table = its(pa.table({"text": ROWS, "n": number}))
    assert table.schema.field("vector").type == pa.list_(pa.float32(), wanted.shape[1])
    np.testing.assert_allclose(np.array(table["vector"].to_pylist()), wanted, atol=1e-5)
    assert its(table).column_names == table.column_names  # once more is the same
    frame = its(pd.DataFrame({"text": ROWS, "n": number}, index=[7, 1, 2, 3, 4, 5]))
    np.testing.assert_allclose(np.stack(frame["vector"].tolist()), wanted, atol=1e-5)
    assert frame.index.tolist() == [7, 1, 2, 3, 4, 5]
    assert its({"text": []})["vector"].shape == (0, wanted.shape[1])


def test_it_goes_to_workers_without_the_model(its: BatchEncoder, wanted: np.ndarray) -> None:
    its({"text": ROWS})
    content = pickle.dumps(its)
    assert len(content) < 2000
    np.testing.assert_allclose(pickle.loads(content)({"text": ROWS})["vector"], wanted, atol=1e-5)
    batches = list(its.each(iter(pa.table({"text": ROWS}).to_batches(max_chunksize=2))))
    assert [len(batch) for batch in batches] == [2, 2, 2]
    np.testing.assert_allclose(np.concatenate([np.array(one["vector"].to_pylist()) for one in batches]), wanted, atol=1e-4)


def test_datasets_maps_it(its: BatchEncoder, wanted: np.ndarray) -> None:
    mapped = datasets.Dataset.from_dict({"text": ROWS}).map(its, batched=True, batch_size=4)
    np.testing.assert_allclose(np.array(mapped["vector"]), wanted, atol=1e-4)


@pytest.mark.parametrize(
    "wrong",
    [
        {"words": ["a"]},
        {"text": ["a", None]},
        {"text": [1]},
        pa.table({"text": ["a", None]}),
        ["a"],
        pa.record_batch({"text": ["a"]}),
    ],
)
def test_what_has_no_texts_is_refused(wrong: Any, its: BatchEncoder) -> None:
    with pytest.raises(InputError, match="no column|is no text|a batch is a mapping"):
        its(wrong)
