"""The server as its clients see it: OpenAI's own, and by hand; limits, keys, errors; what it counts and that it stops in order."""

from __future__ import annotations

import base64
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import openai
import pytest
from click.testing import CliRunner
from starlette.testclient import TestClient

from semvec.encoders.catalog import load_encoder
from semvec.encoders.protocol import Encoder
from semvec.errors import InputError, OptionError
from semvec.search.index_files import IndexOptions, open_searcher, write_texts
from semvec.search.rerank import MaxSim
from semvec.search.searcher import Searcher
from semvec.serve.app import make_app
from semvec.serve.keys import admits, read_keys
from semvec.serve.options import ServeOptions
from semvec.serve.served import Served
from semvec.types import Level, Overflow
from semvec_cli.main import main
from tests import tiny
from tests.cli.test_encode import refused
from tests.sample import TEXTS

ASKED = "the right of everyone to freedom and law"
SHORT = [text for text in TEXTS if text.strip() and len(text) < 60][:8]


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny.make_sentence_model(tmp_path_factory.mktemp("base"))


@pytest.fixture(scope="module")
def encoder(base: Path) -> Encoder:
    return load_encoder(base, device="cpu")


def client(encoder: Encoder, options: ServeOptions | None = None, **more: Any) -> TestClient:
    its = options or ServeOptions()
    return TestClient(make_app(Served(encoder, ["tiny", "other"], overflow=its.overflow, **more), its))


def ask(its: TestClient, **body: Any) -> Any:
    return its.post("/v1/embeddings", json={"model": "tiny", **body})


def test_vectors_are_those_of_the_encoder(encoder: Encoder) -> None:
    wanted = encoder.encode(SHORT).floats()
    with client(encoder) as its:
        found = ask(its, input=SHORT).json()
        assert found["object"] == "list"
        assert found["model"] == "tiny"
        assert [one["index"] for one in found["data"]] == list(range(len(SHORT)))
        np.testing.assert_allclose([one["embedding"] for one in found["data"]], wanted, atol=1e-5)
        assert found["usage"]["prompt_tokens"] == found["usage"]["total_tokens"] == int(encoder.encode(SHORT).n_tokens.sum())
        coded = ask(its, input=SHORT, encoding_format="base64").json()["data"]
        rows = [np.frombuffer(base64.b64decode(one["embedding"]), "<f4") for one in coded]
        np.testing.assert_allclose(rows, wanted, atol=1e-5)
        [one] = ask(its, input=SHORT[0]).json()["data"]
        np.testing.assert_allclose(one["embedding"], wanted[0], atol=1e-5)
        fewer = np.array([one["embedding"] for one in ask(its, input=SHORT, dimensions=5).json()["data"]])
        np.testing.assert_allclose(fewer, wanted[:, :5] / np.linalg.norm(wanted[:, :5], axis=1, keepdims=True), atol=1e-5)
        assert [one["id"] for one in its.get("/v1/models").json()["data"]] == ["tiny", "other"]
        assert its.get("/health").json()["dim"] == encoder.dim


def test_search_and_reranking_are_those_of_the_library(encoder: Encoder, base: Path, tmp_path: Path) -> None:
    (tmp_path / "t.txt").write_text("\n".join(SHORT), encoding="utf-8")
    list(write_texts([tmp_path / "t.txt"], tmp_path / "c", IndexOptions(model=str(base), device="cpu"), new=True))
    with open_searcher(tmp_path / "c", str(base), device="cpu", level=Level.TEXT) as searcher:
        assert isinstance(searcher, Searcher)
        with client(searcher.encoder, searcher=searcher, reranker=MaxSim(searcher.encoder)) as its:
            found = its.post("/v1/search", json={"query": SHORT[:2], "k": 3}).json()["data"]
            for one, hits in zip(found, searcher.search(SHORT[:2], 3), strict=True):
                assert [hit["id"] for hit in one["hits"]] == hits.ids
                assert [hit["score"] for hit in one["hits"]] == pytest.approx([hit.score for hit in hits], abs=1e-5)
            assert its.post("/v1/search", json={"query": SHORT[0], "where": "lang ="}).status_code == 400
            assert its.get("/health").json()["items"] == len(SHORT)
            for path in ("/rerank", "/v1/rerank"):
                body = {"query": SHORT[0], "documents": SHORT, "top_n": 3, "return_documents": True}
                best = its.post(path, json=body).json()["results"]
                scores = MaxSim(encoder).scores(SHORT[0], SHORT)
                assert [one["index"] for one in best] == np.argsort(-scores, kind="stable")[:3].tolist()
                assert best[0]["relevance_score"] == pytest.approx(float(scores.max()), abs=1e-4)
                assert best[0]["document"]["text"] == SHORT[best[0]["index"]]
    with client(encoder) as its:
        assert its.post("/v1/search", json={"query": "x"}).status_code == 404
        assert its.post("/rerank", json={"query": "x", "documents": ["y"]}).status_code == 404


@pytest.mark.parametrize(
    ("body", "status", "said"),
    [
        ({"input": []}, 400, "empty"),
        ({"input": None}, 400, "input"),
        ({"input": ["a", 3]}, 400, "input"),
        ({"input": [1, 2, 3]}, 400, "another tokenizer's"),
        ({"input": [None] * 50_000}, 400, "item 0 is no text"),
        ({"input": [[]] * 200_000}, 400, "far too many"),
        ({"input": "  "}, 400, "input 0: is blank"),
        ({"input": "a" * 30_000}, 400, "characters"),
        ({"input": [[1], [2]]}, 400, "check_embedding_ctx_length"),
        ({"input": "a", "model": "gpt"}, 404, "no model 'gpt'"),
        ({"input": "a", "dimensions": 0}, 400, "dimensions"),
        ({"input": "a", "dimensions": 10_000}, 400, "more than the 32"),
        ({"input": "a", "encoding_format": "hex"}, 400, "encoding_format"),
        ({"input": "a\x00b\ud800"}, 400, "input 0"),
        ({"input": "the " * 100}, 400, "more than the model reads"),
        ({"input": ["a"] * 9}, 400, "8 are the most"),
        ({"input": ["the of right"] * 8 + []}, 400, "20 are the most"),
    ],
)
def test_what_cannot_be_answered_is_said_in_openais_form(body: dict[str, Any], status: int, said: str, encoder: Encoder) -> None:
    most = 20 if said.startswith("20") else 1000
    with client(encoder, ServeOptions(max_texts=8, max_tokens=most)) as its:
        content = json.dumps({"model": "tiny", **body}).encode()
        answer = its.post("/v1/embeddings", content=content, headers={"content-type": "application/json"})
        assert answer.status_code == status, answer.text
        assert said in answer.json()["error"]["message"]
        assert set(answer.json()["error"]) == {"message", "type", "param", "code"}
        assert ask(its, input="a").status_code == 200  # and goes on
        assert its.get("/nowhere").status_code == 404
        assert its.get("/v1/embeddings").status_code == 405
        assert its.post("/v1/embeddings", content=b"{", headers={"content-type": "application/json"}).status_code == 400


def test_long_texts_are_cut_or_read_whole_as_one_is_told(encoder: Encoder) -> None:
    text = "the right of everyone to freedom " * 30
    for overflow in (Overflow.TRUNCATE, Overflow.WINDOWS):
        with client(encoder, ServeOptions(overflow=overflow)) as its:
            found = ask(its, input=text).json()
        wanted = encoder.encode([text], overflow=overflow)
        np.testing.assert_allclose(found["data"][0]["embedding"], wanted.floats()[0], atol=1e-5)
        assert found["usage"].get("cut_tokens", 0) == int(wanted.n_truncated.sum())
        assert ("cut_tokens" in found["usage"]) == (overflow == Overflow.TRUNCATE)


def test_only_keys_open(encoder: Encoder) -> None:
    with client(encoder, ServeOptions(keys=("one-key", "another"))) as its:
        for said in (None, "Bearer", "Bearer wrong", "one-key", "Basic one-key", "Bearer one-key2", "Bearer ünë"):
            headers = {} if said is None else {"authorization": said.encode("latin-1", "replace")}
            answer = its.post("/v1/embeddings", json={"model": "tiny", "input": "a"}, headers=headers)
            assert answer.status_code == 401, said
            assert answer.headers["www-authenticate"] == "Bearer"
            assert its.get("/metrics", headers=headers).status_code == 401
        for key in ("one-key", "another"):
            assert its.get("/v1/models", headers={"authorization": f"Bearer {key}"}).status_code == 200
        assert its.get("/health").status_code == 200


def test_keys_are_read_from_a_file_or_the_environment(tmp_path: Path) -> None:
    (tmp_path / "keys").write_text("# mine\nfirst\n\n second \n")
    assert read_keys(tmp_path / "keys", {}) == ("first", "second")
    assert read_keys(None, {"SEMVEC_API_KEYS": "a, b"}) == ("a", "b")
    assert read_keys(None, {}) == ()
    assert admits((), None)
    (tmp_path / "none").write_text("\n")
    for call in ((tmp_path / "none", {}), (tmp_path / "nowhere", {}), (None, {"SEMVEC_API_KEYS": " ,"})):
        with pytest.raises((InputError, OptionError)):
            read_keys(*call)
    with pytest.raises(OptionError, match="blanks") as error:
        ServeOptions(keys=("se cret",))
    assert "cret" not in str(error.value)


def test_bodies_that_are_too_large_are_not_read(encoder: Encoder) -> None:
    with client(encoder, ServeOptions(max_body=1000)) as its:
        assert ask(its, input="a" * 2000).status_code == 413
        parts = (b'{"model": "tiny", "input": "' + b"a" * 600, b"a" * 600 + b'"}')
        answer = its.post("/v1/embeddings", content=iter(parts), headers={"content-type": "application/json"})
        assert answer.status_code == 413
        assert "than 1,000 bytes" in answer.json()["error"]["message"]
        assert ask(its, input="a").status_code == 200


def test_what_it_counts(encoder: Encoder) -> None:
    with client(encoder) as its:
        ask(its, input=SHORT)
        ask(its, input="a", dimensions=0)
        its.get("/one"), its.get("/two")
        text = its.get("/metrics").text
    assert 'semvec_requests_total{path="/v1/embeddings",status="200"} 1.0' in text
    assert 'semvec_requests_total{path="/v1/embeddings",status="400"} 1.0' in text
    assert 'semvec_requests_total{path="other",status="404"} 2.0' in text
    assert f"semvec_tokens_total {float(encoder.encode(SHORT).n_tokens.sum())}" in text
    assert "semvec_queue_tokens 0.0" in text


class Waits:
    """An encoder that waits until it may."""

    def __init__(self, encoder: Encoder) -> None:
        self._encoder, self.may = encoder, threading.Event()
        self.seen: list[str] = []

    def with_options(self, **_: Any) -> Waits:
        return self

    def encode(self, texts: list[str], **changes: Any) -> Any:
        self.may.wait(10)
        self.seen += texts
        return self._encoder.encode(texts, **changes)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._encoder, name)


@pytest.fixture
def running(encoder: Encoder) -> Iterator[tuple[str, Waits]]:
    """A server at a place of its own, whose encoder waits."""
    import uvicorn

    waits = Waits(encoder)
    own = int(encoder.count_tokens([ASKED])[0][0])
    options = ServeOptions(queue_tokens=2 * own + 1, max_tokens=2 * own + 1)
    app = make_app(Served(waits, ["tiny"], overflow=Overflow.ERROR), options)  # type: ignore[arg-type]
    server = uvicorn.Server(uvicorn.Config(app, port=0, log_level="error"))
    listening = server.config.bind_socket()
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]}, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{listening.getsockname()[1]}", waits
    waits.may.set()
    server.should_exit = True
    thread.join(10)
    assert not thread.is_alive()


def test_openais_client_works_unchanged(running: tuple[str, Waits], encoder: Encoder) -> None:
    where, waits = running
    waits.may.set()
    its = openai.OpenAI(base_url=f"{where}/v1", api_key="any", max_retries=0)
    texts = ["the law", "everyone has the right"]
    found = its.embeddings.create(model="tiny", input=texts)  # base64, as the client asks by itself
    np.testing.assert_allclose([one.embedding for one in found.data], encoder.encode(texts).floats(), atol=1e-5)
    assert found.usage.prompt_tokens > 0
    plain = its.embeddings.create(model="tiny", input="the law", encoding_format="float", dimensions=4)
    assert len(plain.data[0].embedding) == 4
    assert [one.id for one in its.models.list()] == ["tiny"]
    with pytest.raises(openai.NotFoundError, match="no model"):
        its.embeddings.create(model="other", input="a")
    with pytest.raises(openai.BadRequestError, match="tokens"):
        its.embeddings.create(model="tiny", input="the " * 70)


def test_beyond_the_queue_429_and_a_client_that_goes_frees_its_place(running: tuple[str, Waits]) -> None:
    where, waits = running
    body = {"model": "tiny", "input": ASKED}

    def post(timeout: float = 10) -> httpx.Response:
        return httpx.post(f"{where}/v1/embeddings", json=body, timeout=timeout)

    with ThreadPoolExecutor(4) as pool:
        first = pool.submit(post)
        time.sleep(0.3)  # it is computed, and waits there

        def gone() -> None:
            with pytest.raises(httpx.ReadTimeout):
                post(0.5)

        leaving = [pool.submit(gone) for _ in range(2)]
        time.sleep(0.2)
        full = post()
        assert full.status_code == 429
        assert int(full.headers["retry-after"]) >= 1
        assert full.json()["error"]["type"] == "rate_limit_error"
        for one in leaving:
            one.result()
        time.sleep(0.6)  # its going is looked for
        assert httpx.get(f"{where}/health").json()["queue_tokens"] == 0
        again = pool.submit(post)
        time.sleep(0.2)
        waits.may.set()
        assert first.result().status_code == again.result().status_code == 200
    assert len(waits.seen) == 2


def test_the_command_serves_and_stops_in_order(base: Path) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
        refused(CliRunner().invoke(main, ["serve", "--model", str(base), "--port", str(port)]), "cannot be listened at")
    command = [
        sys.executable,
        "-m",
        "semvec_cli.main",
        "serve",
        "--model",
        str(base),
        "--port",
        "0",
        "--name",
        "tiny",
        "--device",
        "cpu",
    ]
    environment = {**os.environ, "SEMVEC_API_KEYS": "secret"}
    program = "from semvec_cli.main import run; run()"
    its = subprocess.Popen([sys.executable, "-c", program, *command[3:]], stderr=subprocess.PIPE, text=True, env=environment)
    try:
        assert its.stderr is not None
        line = next(line for line in its.stderr if "listening" in line)
        where = line.split()[2]
        headers = {"authorization": "Bearer secret"}
        answer = httpx.post(f"{where}/v1/embeddings", json={"model": "tiny", "input": "the law"}, headers=headers, timeout=60)
        assert answer.status_code == 200
        assert httpx.get(f"{where}/v1/models").status_code == 401
        its.send_signal(signal.SIGTERM)
        assert its.wait(20) in (0, -signal.SIGTERM)
        assert "Traceback" not in its.stderr.read()
    finally:
        its.kill()


def test_options_that_make_no_sense_are_refused() -> None:
    for wrong in ({"max_texts": 0}, {"batch_tokens": 1.5}, {"queue_tokens": 10}, {"overflow": "cut"}):
        with pytest.raises(OptionError):
            ServeOptions(**wrong)  # type: ignore[arg-type]
