"""Where a collection of another store is: ``scheme:place#name``."""

from __future__ import annotations

import re
from dataclasses import dataclass
from urllib.parse import urlsplit, urlunsplit

from semvec.errors import OptionError

NAME = re.compile(r"[a-z][a-z0-9_]{2,47}")
DEFAULT = "semvec"


@dataclass(frozen=True)
class Address:
    """A place, and the ``name`` of the collection in it.

    ``place`` is what stands between the scheme and ``#``: a folder, or a URL without its fragment. ``shown`` is the
    whole without a password, for messages.
    """

    scheme: str
    place: str
    name: str

    @classmethod
    def of(cls, text: str) -> Address:
        """Return the parts of ``text``; raise `OptionError` for a name that a store would not take."""
        whole, _, name = text.partition("#")
        scheme, _, place = whole.partition(":")
        if not place.strip("/"):
            raise OptionError(f"{text}: says no place after {scheme}:")
        if name and not NAME.fullmatch(name):
            raise OptionError(
                f"{name!r} is no name for a collection: 3 to 48 small letters, digits and underscores, a letter first"
            )
        found = cls(scheme, place, name or DEFAULT)
        try:
            wrong = place.startswith("//") and not (found.host and (found.port is None or found.port > 0))
        except ValueError:
            wrong = True
        if wrong:
            raise OptionError(f"{found.shown}: the address of a server is {scheme}://host:port#name")
        return found

    @property
    def url(self) -> str:
        """The URL without the fragment."""
        return f"{self.scheme}:{self.place}"

    @property
    def host(self) -> str | None:
        """The host of a server (``scheme://host:port``); None where the place is a folder."""
        return urlsplit(self.url).hostname if self.place.startswith("//") else None

    @property
    def port(self) -> int | None:
        """The port of a server, where the address says one."""
        return urlsplit(self.url).port

    @property
    def secure(self) -> bool:
        """Whether a server is asked by TLS: ``scheme://host?tls``."""
        return urlsplit(self.url).query == "tls"

    @property
    def shown(self) -> str:
        """The address as it may be printed: without a password."""
        parts = urlsplit(self.url)
        if parts.password is not None:
            host = parts.netloc.rpartition("@")[2]
            parts = parts._replace(netloc=f"{parts.username}:***@{host}")
        return f"{urlunsplit(parts)}#{self.name}"
