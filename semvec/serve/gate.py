"""What every request passes: keys, the size of its body, counting. Errors have the form that OpenAI's clients read."""

from __future__ import annotations

from time import perf_counter
from typing import Any

import orjson
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from semvec.serve.keys import admits
from semvec.serve.metrics import Metrics
from semvec.serve.options import ServeOptions

OPEN = ("/", "/health", "/docs", "/openapi.json")
"""Paths that want no key: they tell what can be asked, and answer nothing of it."""

OTHER = "other"
KINDS = {401: "authentication_error", 404: "not_found_error", 413: "invalid_request_error", 429: "rate_limit_error"}


def problem(status: int, message: str, *, code: str | None = None, param: str | None = None) -> bytes:
    """Return the body of an error."""
    kind = KINDS.get(status, "invalid_request_error" if status < 500 else "server_error")
    return orjson.dumps({"error": {"message": message, "type": kind, "param": param, "code": code}})


class Gate:
    """Lets requests with a key pass to ``app``, stops those whose body is too large, and counts all of them."""

    def __init__(self, app: ASGIApp, options: ServeOptions, metrics: Metrics, paths: frozenset[str]) -> None:
        self.app, self.options, self.metrics, self.paths = app, options, metrics, paths

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        path = scope["path"] if scope["path"] in self.paths else OTHER  # else every path that is tried would be counted apart
        status, started = 500, perf_counter()

        async def told(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await self._passed(scope, receive, told)
        finally:
            self.metrics.requests.labels(path, str(status)).inc()
            self.metrics.seconds.labels(path).observe(perf_counter() - started)

    async def _passed(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers = {name.lower(): value for name, value in scope["headers"]}
        said = headers.get(b"authorization")
        if scope["path"] not in OPEN and not admits(self.options.keys, None if said is None else said.decode("latin-1")):
            await _refuse(
                send, 401, "no API key, or one that is not known: send Authorization: Bearer KEY", code="invalid_api_key"
            )
            return
        length, large = headers.get(b"content-length", b"0"), f"the body has more than {self.options.max_body:,} bytes"
        if length.isdigit() and int(length) > self.options.max_body:
            await _refuse(send, 413, large)
            return
        seen = 0

        async def counted() -> Message:
            nonlocal seen
            message = await receive()
            seen += len(message.get("body", b""))
            if seen > self.options.max_body:
                raise HTTPException(413, large)  # which FastAPI, reading the body, lets pass
            return message

        await self.app(scope, counted, send)


async def _refuse(send: Send, status: int, message: str, **more: Any) -> None:
    body = problem(status, message, **more)
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
    if status == 401:
        headers.append((b"www-authenticate", b"Bearer"))
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
