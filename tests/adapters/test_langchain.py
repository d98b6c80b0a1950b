"""LangChain's own conformance tests, over our embeddings and our store."""

from __future__ import annotations

from collections.abc import Generator
from pathlib import Path

import numpy as np
import pytest
from langchain_core.documents import Document
from langchain_core.vectorstores import VectorStore
from langchain_tests.integration_tests import VectorStoreIntegrationTests
from langchain_tests.unit_tests import EmbeddingsUnitTests

from semvec.adapters.langchain import SemvecEmbeddings, SemvecVectorStore
from semvec.encoders.catalog import load_encoder
from semvec.errors import OptionError
from tests import tiny
from tests.sample import TEXTS


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny.make_sentence_model(tmp_path_factory.mktemp("base"))


class TestEmbeddings(EmbeddingsUnitTests):
    """LangChain's unit tests of embeddings."""

    @property
    def embeddings_class(self) -> type[SemvecEmbeddings]:
        return SemvecEmbeddings

    @property
    def embedding_model_params(self) -> dict[str, str]:
        return {"model": "minilm", "device": "cpu"}


class TestStore(VectorStoreIntegrationTests):
    """LangChain's tests of vector stores."""

    @pytest.fixture
    def vectorstore(self, base: Path, tmp_path: Path) -> Generator[VectorStore, None, None]:
        store = SemvecVectorStore(tmp_path / "c", SemvecEmbeddings(str(base), device="cpu"))
        yield store
        store.collection.close()

    @property
    def has_async(self) -> bool:
        return True


def test_it_finds_what_the_collection_finds(base: Path, tmp_path: Path) -> None:
    embeddings = SemvecEmbeddings(str(base), device="cpu")
    texts = [text for text in TEXTS if text.strip()][:8]
    kept = [{"at": at, "even": at % 2 == 0, "name": f"it's {at}"} for at in range(len(texts))]
    store = SemvecVectorStore.from_texts(
        texts, embeddings, kept, ids=[f"n{at}" for at in range(len(texts))], place=tmp_path / "c"
    )
    encoder = load_encoder(base, device="cpu")
    vectors, query = encoder.encode_document(texts).floats(), encoder.encode_query([texts[3]]).floats()[0]
    cosines = vectors @ query / np.linalg.norm(vectors, axis=1) / np.linalg.norm(query)
    found = store.similarity_search_with_score(texts[3], 3)
    assert [document.id for document, _ in found] == [f"n{at}" for at in np.argsort(-cosines)[:3]]
    assert [score for _, score in found] == pytest.approx(np.sort(cosines)[::-1][:3], abs=1e-4)
    assert {one.metadata["even"] for one in store.similarity_search(texts[3], 8, filter={"even": True})} == {True}
    assert [one.id for one in store.similarity_search(texts[3], 8, filter={"name": "it's 2", "at": 2})] == ["n2"]
    assert [one.id for one in store.similarity_search(texts[3], 8, filter="at >= 6")] in (["n6", "n7"], ["n7", "n6"])
    assert store.similarity_search_by_vector(query.tolist(), 1)[0].id == found[0][0].id
    assert len(store.max_marginal_relevance_search(texts[3], 3)) == 3
    [(_, near), *_] = store.similarity_search_with_relevance_scores(texts[3], 1)
    assert 0 <= near <= 1
    retriever = store.as_retriever(search_kwargs={"k": 2})
    assert [one.id for one in retriever.invoke(texts[3])] == [document.id for document, _ in found[:2]]
    assert store.get_by_ids(["n1", "nowhere"]) == [Document(id="n1", page_content=texts[1], metadata=kept[1])]
    for wrong in ({"at": [1]}, {"at": None}):
        with pytest.raises(OptionError):
            store.similarity_search("x", filter=wrong)  # type: ignore[arg-type]
    with pytest.raises(OptionError, match="everything would be too much|name the ids"):
        store.delete()
    store.collection.close()
