"""Clients that others wrote, unchanged, and requests that nobody would write."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import schemathesis
import uvicorn
from hypothesis import given, settings
from langchain_openai import OpenAIEmbeddings
from llama_index.embeddings.openai import OpenAIEmbedding

from semvec.encoders.catalog import load_encoder
from semvec.encoders.protocol import Encoder
from semvec.search.index_files import IndexOptions, open_searcher, write_texts
from semvec.search.rerank import MaxSim
from semvec.search.searcher import Searcher
from semvec.serve.app import make_app
from semvec.serve.options import ServeOptions
from semvec.serve.served import Served
from semvec.types import Level, Overflow
from tests import tiny

TEXTS = ["the law", "everyone has the right", "freedom of all"]


@pytest.fixture(scope="module")
def encoder(tmp_path_factory: pytest.TempPathFactory) -> Encoder:
    return load_encoder(tiny.make_sentence_model(tmp_path_factory.mktemp("base")), device="cpu")


@pytest.fixture(scope="module")
def where(encoder: Encoder, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A server with all that it can serve, at a place of its own."""
    folder: Path = tmp_path_factory.mktemp("served")
    (folder / "t.txt").write_text("\n".join(TEXTS), encoding="utf-8")
    model = encoder.fingerprint.model
    list(write_texts([folder / "t.txt"], folder / "c", IndexOptions(model=model, device="cpu"), new=True))
    with open_searcher(folder / "c", model, device="cpu", level=Level.TEXT) as searcher:
        assert isinstance(searcher, Searcher)
        served = Served(searcher.encoder, ["tiny"], overflow=Overflow.ERROR, searcher=searcher, reranker=MaxSim(searcher.encoder))
        server = uvicorn.Server(uvicorn.Config(make_app(served, ServeOptions()), port=0, log_level="error"))
        listening = server.config.bind_socket()
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]}, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"
        server.should_exit = True
        thread.join(10)


def test_langchains_embeddings_of_openai(where: str, encoder: Encoder) -> None:
    its = OpenAIEmbeddings(base_url=f"{where}/v1", api_key="any", model="tiny", check_embedding_ctx_length=False)  # type: ignore[arg-type]
    np.testing.assert_allclose(its.embed_documents(TEXTS), encoder.encode(TEXTS).floats(), atol=1e-5)
    np.testing.assert_allclose(its.embed_query(TEXTS[0]), encoder.encode(TEXTS[:1]).floats()[0], atol=1e-5)


def test_llama_indexs_embeddings_of_openai(where: str, encoder: Encoder) -> None:
    its = OpenAIEmbedding(model_name="tiny", api_base=f"{where}/v1", api_key="any", max_retries=0)
    np.testing.assert_allclose(its.get_text_embedding_batch(TEXTS), encoder.encode(TEXTS).floats(), atol=1e-5)
    np.testing.assert_allclose(its.get_query_embedding(TEXTS[0]), encoder.encode(TEXTS[:1]).floats()[0], atol=1e-5)


def test_no_request_makes_the_server_fail(where: str) -> None:
    schema = schemathesis.openapi.from_url(f"{where}/openapi.json")
    tried: list[int] = []
    for its in schema.get_all_operations():
        operation = its.ok()

        @settings(max_examples=40, deadline=None, derandomize=True, database=None)
        def attack(case: schemathesis.Case) -> None:
            answer = case.call()
            tried.append(answer.status_code)
            assert answer.status_code < 500, (case.body, answer.text)

        given(case=operation.as_strategy())(attack)()
        if operation.body:
            given(case=operation.as_strategy(generation_mode=schemathesis.GenerationMode.NEGATIVE))(attack)()
    assert len(tried) > 100
    assert 200 in tried
    assert 400 in tried
