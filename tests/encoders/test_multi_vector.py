"""Models made for late interaction: the rows that sentence-transformers scores, and where they stand."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import semvec
from semvec.embeddings.transforms import normalize
from semvec.encoders.model_folder import is_multi_vector
from semvec.encoders.multi_vector import MultiVectorEncoder
from semvec.errors import LevelError, ModelError, OptionError, TextsCut
from semvec.search.keyphrases import keyphrases
from semvec.search.kwic import in_texts, use_of
from semvec.search.token_searcher import TokenSearcher, token_settings
from semvec.store.collection import Collection
from semvec.text.document import Document
from tests import tiny

TEXTS = ["the bank, of the river.", "Paris", "don't  river, é"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny ColBERT: queries filled up with [MASK], documents without punctuation, 16 numbers a token."""
    import torch
    from sentence_transformers import MultiVectorEncoder as Peer
    from sentence_transformers.base.modules import Transformer
    from sentence_transformers.multi_vector_encoder.modules import MultiVectorMask
    from sentence_transformers.sentence_transformer.modules import Dense, Normalize

    root = tmp_path_factory.mktemp("colbert")
    tiny.make_model("bert", root / "bert")
    torch.manual_seed(0)
    dense = Dense(32, 16, bias=False, activation_function=torch.nn.Identity(), module_input_name="token_embeddings")
    modules = [
        Transformer(str(root / "bert"), query_expansion={"strategy": "min", "length": 12}),
        dense,
        MultiVectorMask(skiplist_words=[".", ","]),
        Normalize(module_input_name="token_embeddings"),
    ]
    Peer(modules=modules, prompts={"query": "the ", "document": "of "}, device="cpu").save(str(root / "model"))
    return root / "model"


@pytest.fixture(scope="module")
def peer(folder: Path) -> Any:
    from sentence_transformers import MultiVectorEncoder as Peer

    return Peer(str(folder), device="cpu")


@pytest.fixture(scope="module")
def encoder(folder: Path) -> MultiVectorEncoder:
    found = semvec.load_encoder(folder, device="cpu")
    assert isinstance(found, MultiVectorEncoder)
    return found


def test_the_rows_are_those_that_are_scored(encoder: MultiVectorEncoder, peer: Any) -> None:
    for mine, theirs in (
        (encoder.encode_query(TEXTS), peer.encode_query(TEXTS)),
        (encoder.encode_document(TEXTS), peer.encode_document(TEXTS)),
    ):
        assert [its.rows for its in mine] == [len(its) for its in theirs]
        for one, other in zip(mine, theirs, strict=True):
            assert one.vectors == pytest.approx(other.numpy(), abs=1e-5)


def test_where_they_stand(encoder: MultiVectorEncoder) -> None:
    found = encoder.encode_document(TEXTS)[0]
    pieces = [str(its) for its in found.surface if its]
    assert "".join(pieces) == "thebankoftheriver"  # no punctuation
    assert {",", "."}.isdisjoint(pieces)
    asked = encoder.encode_query(["river"])
    assert asked.rows == 12
    assert [str(its) for its in asked.surface if its] == ["river"] or "".join(map(str, asked.surface)) == "river"
    assert not asked.special.any()


def test_texts_and_long_ones(encoder: MultiVectorEncoder, peer: Any) -> None:
    with pytest.warns(TextsCut):
        found = encoder.encode_document(["river " * 200, ""])
    assert found.n_tokens[0] == 200 * (found.n_tokens[0] // 200)
    assert found.n_truncated[0] > 0
    assert found[0].rows == len(peer.encode_document(["river " * 200])[0])
    assert (found[1].rows, found.n_tokens[1]) == (0, 0)
    counts, over = encoder.prompted("document").count_tokens(["river " * 200, "river"])
    assert counts[0] == found.n_tokens[0]
    assert over.tolist() == [found.n_truncated[0], 0]
    means = encoder.encode_document(TEXTS, level="text")
    rows = normalize(encoder.encode_document(TEXTS)[1].vectors)
    assert means.vectors[1] == pytest.approx(rows.mean(axis=0), abs=1e-6)
    assert encoder.encode([""], level="text").oov.tolist() == [5]


def test_maxsim_is_the_models_own(tmp_path: Path, encoder: MultiVectorEncoder, peer: Any) -> None:
    scores = peer.similarity(peer.encode_query(["river bank"]), peer.encode_document(TEXTS))[0].numpy()
    with Collection.open(tmp_path / "c", token_settings(encoder, 16)) as collection:
        searcher = TokenSearcher(encoder, collection)
        list(searcher.add([Document(str(at), text) for at, text in enumerate(TEXTS)]))
        hits = searcher.search(["river bank"], 3, evidence=True)[0]
    assert [hit.score for hit in hits] == pytest.approx(np.sort(scores)[::-1], abs=0.005)
    assert hits.ids == [str(at) for at in np.argsort(-scores)]
    assert len(hits[0].evidence) == 12


def test_fingerprints_and_options(encoder: MultiVectorEncoder, folder: Path, tmp_path: Path) -> None:
    query, document = encoder.prompted("query").fingerprint, encoder.prompted("document").fingerprint
    assert query != document
    query.require_comparable(document)
    assert encoder.dim == 16
    with pytest.raises(LevelError):
        encoder.encode(TEXTS, level="word")
    with pytest.raises(OptionError, match="layers"):
        encoder.encode(TEXTS, layers=1)
    with pytest.raises(OptionError, match="kind"):
        encoder.prompted("nothing")
    (tmp_path / "x").mkdir()
    (tmp_path / "x" / "config_sentence_transformers.json").write_text('{"model_type": "MultiVectorEncoder"}')
    with pytest.raises(ModelError):
        semvec.load_encoder(tmp_path / "x")
    with pytest.raises(ModelError, match="was not made for late interaction"):
        semvec.load_encoder(folder.parent / "bert", family="multi_vector")
    settings = json.loads((folder / "config_sentence_transformers.json").read_text())
    for name in ("ColBERT", "SentenceTransformer"):
        (tmp_path / "x" / "config_sentence_transformers.json").write_text(json.dumps({**settings, "model_type": name}))
        assert is_multi_vector(tmp_path / "x") == (name == "ColBERT")
    (tmp_path / "y").mkdir()
    (tmp_path / "y" / "config.json").write_text('{"architectures": ["HF_ColBERT"]}')
    assert is_multi_vector(tmp_path / "y")


def test_words_in_context(encoder: MultiVectorEncoder) -> None:
    documents = [Document("a", "the bank of the river"), Document("b", "Paris")]
    found = in_texts(documents, "river", encoder).like(use_of(encoder, "of the [river]"))
    assert [(one.id, one.word) for one in found.occurrences] == [("a", "river")]
    assert keyphrases(["the river bank"], encoder, 2, ngrams=(1, 2))[0]
