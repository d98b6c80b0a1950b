"""What a server counts, for Prometheus."""

from __future__ import annotations

from collections.abc import Callable

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
TEXTS = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024)


class Metrics:
    """Counters of one server; ``waiting`` says how many tokens wait now."""

    def __init__(self, waiting: Callable[[], int]) -> None:
        its = self._registry = CollectorRegistry()
        self.requests = Counter("semvec_requests", "Requests that were answered.", ("path", "status"), registry=its)
        self.seconds = Histogram(
            "semvec_request_seconds", "Seconds from a request to its answer.", ("path",), buckets=SECONDS, registry=its
        )
        self.tokens = Counter("semvec_tokens", "Tokens that were computed.", registry=its)
        self.texts = Histogram("semvec_batch_texts", "Texts that were computed together.", buckets=TEXTS, registry=its)
        self.computing = Counter("semvec_computing_seconds", "Seconds in which something was computed.", registry=its)
        Gauge("semvec_queue_tokens", "Tokens that wait.", registry=its).set_function(waiting)

    def batch(self, texts: int, tokens: int, seconds: float) -> None:
        """Count a batch."""
        self.texts.observe(texts)
        self.tokens.inc(tokens)
        self.computing.inc(seconds)

    def text(self) -> bytes:
        """Return all in the format of Prometheus."""
        return generate_latest(self._registry)
