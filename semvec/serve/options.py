"""What a server allows, and how much it takes at once."""

from __future__ import annotations

from dataclasses import dataclass, fields

from semvec.errors import OptionError
from semvec.types import Overflow


@dataclass(frozen=True)
class ServeOptions:
    """The limits of a server.

    ``batch_tokens`` are computed at once at most, of several requests together. ``queue_tokens`` may wait; what comes beyond is
    told to come again. A request has ``max_body`` bytes, ``max_texts`` texts and ``max_tokens`` tokens at most. ``overflow`` says
    what becomes of a text that is longer than the model reads: error refuses it, truncate cuts it and says how much, windows
    reads all of it. ``keys`` are those of which a client must have one; none: everybody is let in.
    """

    batch_tokens: int = 4096
    queue_tokens: int = 500_000
    max_body: int = 32 << 20
    max_texts: int = 2048
    max_tokens: int = 300_000
    overflow: Overflow = Overflow.ERROR
    keys: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        object.__setattr__(self, "overflow", Overflow(self.overflow))
        for field in fields(self):
            value = getattr(self, field.name)
            if field.type == "int" and (isinstance(value, bool) or not isinstance(value, int) or value < 1):
                raise OptionError(f"{field.name} must be a whole number of at least 1, not {value!r:.40}")
        if self.queue_tokens < self.max_tokens:
            raise OptionError(
                f"queue_tokens {self.queue_tokens:,} is less than max_tokens {self.max_tokens:,}: the largest never fits"
            )
        for key in self.keys:
            if not key or not key.isascii() or not key.isprintable() or key != key.strip() or " " in key:
                raise OptionError(
                    "an API key is empty, or has blanks or other letters than ASCII: it could not be sent in a header"
                )
