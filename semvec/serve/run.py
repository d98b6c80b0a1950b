"""A server is started: what it serves is opened, uvicorn listens, and it stops when what it began is done."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass

from semvec.encoders.catalog import load_encoder
from semvec.encoders.protocol import Encoder
from semvec.errors import MissingExtra, OptionError, OutputError
from semvec.search.index_files import open_searcher
from semvec.search.rerank import MAXSIM, Reranker, reranker
from semvec.search.searcher import Searcher
from semvec.serve.options import ServeOptions
from semvec.types import Level

INSTALL = "pip install 'semvec[serve]'"
AT_ONCE = 1000
"""Connections at once; who comes after is told 503."""

GRACE = 30
"""Seconds that requests under way have to end when the server is stopped."""


@dataclass(frozen=True)
class Place:
    """Where a server listens."""

    host: str = "127.0.0.1"
    port: int = 8000

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"http://{host}:{self.port}"


def serve(
    model: str | os.PathLike[str] | None = None,
    *,
    collection: str | os.PathLike[str] | None = None,
    rerank: str | None = None,
    names: Sequence[str] = (),
    place: Place | None = None,
    options: ServeOptions | None = None,
    device: str | None = None,
    trust_pickle: bool = False,
    told: Callable[[str], None] | None = None,
) -> None:
    """Serve ``model``, or the encoder of ``collection``, until the process is told to stop (SIGINT, SIGTERM).

    ``names`` are those by which clients may ask for it, beside its own. ``rerank`` is maxsim (the default, where the encoder has
    token vectors) or a cross-encoder. ``told`` hears where it listens. Requests under way are answered before it stops.
    Raises `MissingExtra`, `OutputError` where the place is taken, and what `load_encoder` and `open_searcher` raise.
    """
    try:
        import uvicorn

        from semvec.serve.app import make_app
        from semvec.serve.served import Served
    except ImportError as error:
        raise MissingExtra(f"a server needs more libraries ({error}): {INSTALL}") from error
    if model is None and collection is None:
        raise OptionError("name what is served: a model, or a collection, which knows its own")
    its, where = options or ServeOptions(), place or Place()
    with ExitStack() as kept:
        searcher: Searcher | None = None
        if collection is not None:
            name = None if model is None else os.fspath(model)
            found = kept.enter_context(open_searcher(collection, name, device=device, level=Level.TEXT))
            assert isinstance(found, Searcher)
            searcher = found
        encoder = searcher.encoder if searcher else load_encoder(model or "", device=device, trust_pickle=trust_pickle)
        own = os.fspath(model) if model is not None else encoder.fingerprint.model
        served = Served(
            encoder,
            list(dict.fromkeys([own, *names])),
            overflow=its.overflow,
            searcher=searcher,
            reranker=_reranker(rerank, encoder, device),
        )
        app = make_app(served, its)
        config = uvicorn.Config(
            app,
            host=where.host,
            port=where.port,
            log_level="warning",
            access_log=False,
            timeout_graceful_shutdown=GRACE,
            lifespan="on",
            limit_concurrency=AT_ONCE,
        )
        server = uvicorn.Server(config)
        notes = logging.getLogger("uvicorn.error")
        notes.disabled = True  # it would say the same in its own words
        try:
            socket = config.bind_socket()
        except SystemExit:
            what = "something else does, or it is not this machine's (--port 0 takes a free one)"
            raise OutputError(f"{where}: cannot be listened at: {what}") from None
        finally:
            notes.disabled = False
        socket.listen()  # from here on clients wait instead of being refused
        port = socket.getsockname()[1]
        if told:
            count = "" if searcher is None else f", {searcher.collection.count():,} items"
            guarded = f"{len(its.keys)} keys" if its.keys else "no key is wanted"
            told(f"{Place(where.host, port)} ({own}, {encoder.dim} dimensions{count}; {guarded})")
        kept.callback(socket.close)
        server.run(sockets=[socket])


def _reranker(name: str | None, encoder: Encoder, device: str | None) -> Reranker | None:
    if name is None:
        able = Level.TOKEN in encoder.levels or Level.WORD in encoder.levels
        return reranker(MAXSIM, encoder) if able else None
    return reranker(name, encoder, device=device)
