"""The routes: OpenAI's embeddings, search, reranking, health, metrics."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import AsyncIterator, Awaitable, Callable, Hashable, Sequence
from contextlib import asynccontextmanager, suppress
from importlib.metadata import version
from typing import Any, TypeVar

import numpy as np
import orjson
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import RedirectResponse, Response

from semvec.errors import FilterError, InputError, OptionError, SemvecError
from semvec.serve.asked import EmbeddingsAsked, RerankAsked, SearchAsked
from semvec.serve.batcher import Batcher, Busy, Closed
from semvec.serve.gate import Gate, problem
from semvec.serve.metrics import Metrics
from semvec.serve.options import ServeOptions
from semvec.serve.served import Embed, Rerank, Search, Served, Vector
from semvec.store.filter_text import parse_filter

Found = TypeVar("Found")
LOOK = 0.25
"""Seconds between two looks at whether a client is still there."""

NO_JSON = ("json_invalid", "model_attributes_type", "missing_body")
CLOSED = 499
"""The status of what a client did not wait for (nginx's)."""

ERRORS: dict[int | str, dict[str, Any]] = {
    400: {"description": "The request is not what is wanted."},
    401: {"description": "No API key, or one that is not known."},
    413: {"description": "The body is too large."},
    429: {"description": "Too much waits; come again after the seconds in Retry-After."},
    503: {"description": "The server is being stopped."},
}
NOT_FOUND: dict[int | str, dict[str, Any]] = {404: {"description": "No such model, or nothing of the kind is served."}}


def make_app(served: Served, options: ServeOptions | None = None) -> FastAPI:
    """Return the application (ASGI) that serves ``served``; it computes in a thread of its own until it is shut down."""
    its = options or ServeOptions()
    metrics = Metrics(lambda: batcher.waiting)
    batcher = Batcher(served.run, batch_tokens=its.batch_tokens, queue_tokens=its.queue_tokens, told=metrics.batch)

    @asynccontextmanager
    async def life(_: FastAPI) -> AsyncIterator[None]:
        yield
        await asyncio.to_thread(batcher.close)

    app = FastAPI(
        title="semvec",
        version=version("semvec"),
        description="Embeddings, search and reranking.",
        lifespan=life,
        redirect_slashes=False,
    )
    _errors(app)
    _routes(app, served, its, batcher, metrics)
    paths = frozenset(path for route in app.routes if (path := getattr(route, "path", None)))
    app.add_middleware(Gate, options=its, metrics=metrics, paths=paths)
    _without_422(app)
    return app


def _routes(app: FastAPI, served: Served, options: ServeOptions, batcher: Batcher, metrics: Metrics) -> None:
    async def computed(request: Request, key: Hashable, items: Sequence[str], counted: Sequence[str]) -> Sequence[Any]:
        tokens = await asyncio.to_thread(served.counted, counted, options.max_tokens)
        return await while_there(request, batcher.submit(key, items, tokens))

    def known(model: str | None) -> None:
        if model is not None and model not in served.names:
            raise HTTPException(404, f"no model {model!r:.80}: there is {', '.join(served.names)}")

    def check_count(texts: Sequence[str]) -> None:
        if not texts:
            raise InputError("input is empty: at least one text is wanted")
        if len(texts) > options.max_texts:
            raise InputError(f"there are {len(texts):,} texts, and {options.max_texts:,} are the most a request may have")

    @app.post("/v1/embeddings", responses={**ERRORS, **NOT_FOUND}, tags=["OpenAI"])
    async def embeddings(asked: EmbeddingsAsked, request: Request) -> Response:
        """Return the vectors of texts."""
        known(asked.model)
        texts: list[str] = asked.input
        check_count(texts)
        if asked.dimensions is not None and asked.dimensions > served.encoder.dim:
            raise InputError(f"dimensions {asked.dimensions:.6g} is more than the {served.encoder.dim} of {served.names[0]}")
        found: Sequence[Vector] = await computed(request, Embed(asked.input_type), texts, texts)
        rows = [served.cut_to(one.numbers, asked.dimensions) for one in found]
        coded = asked.encoding_format == "base64"
        data = [
            {"object": "embedding", "index": at, "embedding": _base64(row) if coded else np.ascontiguousarray(row)}
            for at, row in enumerate(rows)
        ]
        tokens = sum(one.tokens for one in found)
        usage = {"prompt_tokens": tokens, "total_tokens": tokens}
        if cut := sum(one.cut for one in found):
            usage["cut_tokens"] = cut
        return _json({"object": "list", "data": data, "model": served.names[0], "usage": usage})

    @app.get("/v1/models", responses={401: ERRORS[401]}, tags=["OpenAI"])
    async def models() -> Response:
        """Return what is served."""
        return _json(
            {
                "object": "list",
                "data": [{"id": name, "object": "model", "created": 0, "owned_by": "semvec"} for name in served.names],
            }
        )

    @app.post("/v1/search", responses={**ERRORS, **NOT_FOUND}, tags=["search"])
    async def search(asked: SearchAsked, request: Request) -> Response:
        """Return the items of the collection nearest to each query."""
        if served.searcher is None:
            raise HTTPException(404, "no collection is served: start the server with --collection")
        queries: list[str] = asked.query
        check_count(queries)
        if asked.where is not None:
            parse_filter(asked.where)  # before anything waits for it
        found = await computed(request, Search(asked.k, asked.where, asked.hybrid), queries, queries)
        results = [
            {
                "query": query,
                "hits": [{"id": hit.id, "score": hit.score, "text": hit.text, "metadata": dict(hit.metadata)} for hit in hits],
            }
            for query, hits in zip(queries, found, strict=True)
        ]
        return _json({"object": "list", "data": results})

    @app.post("/rerank", responses={**ERRORS, **NOT_FOUND}, tags=["search"])
    @app.post("/v1/rerank", responses={**ERRORS, **NOT_FOUND}, tags=["search"], include_in_schema=False)
    async def rerank(asked: RerankAsked, request: Request) -> Response:
        """Return the documents in the order of how well they answer the query."""
        if served.reranker is None:
            raise HTTPException(404, "nothing is served that reranks: this model has no token vectors, so name one by --rerank")
        known(asked.model)
        check_count(asked.documents)
        both = [asked.query, *asked.documents]
        scores = await computed(request, Rerank(asked.query), asked.documents, both)
        order = np.argsort(-np.array(scores), kind="stable")[: asked.top_n].tolist()
        results = [
            {
                "index": at,
                "relevance_score": scores[at],
                **({"document": {"text": asked.documents[at]}} if asked.return_documents else {}),
            }
            for at in order
        ]
        return _json({"object": "list", "model": served.names[0], "results": results})

    @app.get("/", include_in_schema=False)
    async def home() -> Response:
        return RedirectResponse("docs")

    @app.get("/health", tags=["server"])
    async def health() -> Response:
        """Say that the server is there, and what it serves."""
        collection = None if served.searcher is None else served.searcher.collection.count()
        about = {
            "status": "ok",
            "version": app.version,
            "model": served.names[0],
            "dim": served.encoder.dim,
            "items": collection,
        }
        return _json({**about, "queue_tokens": batcher.waiting})

    @app.get("/metrics", responses={401: ERRORS[401]}, tags=["server"])
    async def counters() -> Response:
        """Return what was counted, for Prometheus."""
        return Response(metrics.text(), media_type="text/plain; version=0.0.4; charset=utf-8")


def _base64(row: Any) -> str:
    return base64.b64encode(np.ascontiguousarray(row, dtype="<f4").tobytes()).decode("ascii")


def _json(record: Any) -> Response:
    return Response(orjson.dumps(record, option=orjson.OPT_SERIALIZE_NUMPY), media_type="application/json")


async def while_there(request: Request, work: Awaitable[Found]) -> Found:
    """Return what comes of ``work``; where the client goes away meanwhile, it is given up, and its place with it."""
    task = asyncio.ensure_future(work)
    try:
        while not (await asyncio.wait((task,), timeout=LOOK))[0]:
            if await request.is_disconnected():
                raise HTTPException(CLOSED, "the client has gone")
        return task.result()
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError, Exception):
            await task


def _errors(app: FastAPI) -> None:
    """Have errors answered in the form that OpenAI's clients read."""

    def answer(status: int, message: str, *, param: str | None = None, headers: dict[str, str] | None = None) -> Response:
        return Response(problem(status, message, param=param), status, headers, "application/json")

    async def invalid(_: Request, error: Exception) -> Response:
        assert isinstance(error, RequestValidationError)
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"] if part != "body")
        if first["type"] in NO_JSON:
            return answer(400, "the body is no JSON object: send one, with Content-Type: application/json")
        message = str(first["msg"]).removeprefix("Value error, ")
        return answer(400, f"{where or 'body'}: {message}"[:500], param=where[:100] or None)

    async def refused(_: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)
        return answer(error.status_code, str(error.detail), headers=dict(error.headers or {}))

    async def wrong(_: Request, error: Exception) -> Response:
        return answer(400, str(error))

    async def busy(_: Request, error: Exception) -> Response:
        assert isinstance(error, Busy)
        return answer(429, str(error), headers={"Retry-After": str(error.seconds)})

    async def stopping(_: Request, error: Exception) -> Response:
        return answer(503, "the server is being stopped")

    async def failed(_: Request, error: Exception) -> Response:
        return answer(500, f"{type(error).__name__}: see the server's log" if not isinstance(error, SemvecError) else str(error))

    handlers: dict[type[Exception], Callable[[Request, Exception], Awaitable[Response]]] = {
        RequestValidationError: invalid,
        HTTPException: refused,
        InputError: wrong,
        OptionError: wrong,
        FilterError: wrong,
        Busy: busy,
        Closed: stopping,
        Exception: failed,
    }
    for kind, handler in handlers.items():
        app.add_exception_handler(kind, handler)


def _without_422(app: FastAPI) -> None:
    """Take FastAPI's answer to what is not valid out of the description: here that is 400."""
    described = app.openapi()
    for path in described["paths"].values():
        for operation in path.values():
            operation["responses"].pop("422", None)
    for name in ("HTTPValidationError", "ValidationError"):
        described.get("components", {}).get("schemas", {}).pop(name, None)
