"""Where a collection of another store is: ``scheme:place#name``."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from urllib.parse import urlsplit

from semvec.errors import OptionError

NAME = re.compile(r"[a-z][a-z0-9_]{2,47}")
DEFAULT = "semvec"
SECRETS = re.compile(r"(://[^/@:]*:).*(?=@)|(?i:([?&][a-z]*password=)[^&#]*)")


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
        if place.startswith("//"):
            _check_url(scheme, whole, text)
        if name and not NAME.fullmatch(name):
            raise OptionError(
                f"{name!r} is no name for a collection: 3 to 48 small letters, digits and underscores, a letter first"
            )
        return cls(scheme, place, name or DEFAULT)

    @property
    def url(self) -> str:
        """The URL without the fragment."""
        return f"{self.scheme}:{self.place}"

    @property
    def host(self) -> str | None:
        """The host of a server (``scheme://host:port``), None where the place is a folder; `OptionError` if it is neither."""
        if not self.place.startswith("//"):
            return None
        parts = urlsplit(self.url)
        if parts.query not in ("", "tls") or "@" in parts.netloc:
            raise OptionError(f"{self.shown}: a server takes ?tls and no other option; a key is read from the environment")
        if (host := parts.hostname) is None or self.port == 0:
            raise OptionError(f"{self.shown}: the address of a server is {self.scheme}://host:port#name")
        return host

    @property
    def port(self) -> int | None:
        """The port of a server, where the address says one."""
        try:
            return urlsplit(self.url).port
        except ValueError as error:
            raise OptionError(f"{self.shown}: the address of a server is {self.scheme}://host:port#name ({error})") from None

    @property
    def secure(self) -> bool:
        """Whether a server is asked by TLS: ``scheme://host?tls``."""
        return urlsplit(self.url).query == "tls"

    @property
    def shown(self) -> str:
        """The address as it may be printed: without a password."""
        return f"{shown(self.url)}#{self.name}"


def shown(place: str | os.PathLike[str]) -> str:
    """Return a folder or an address as it may be printed: without a password."""
    text = os.fspath(place)
    return SECRETS.sub(lambda found: f"{found[1] or found[2]}***", text) if "://" in text else text


def _check_url(scheme: str, url: str, text: str) -> None:
    """Raise `OptionError` where it is not plain which part of ``url`` is the password; none of it is shown then."""
    try:
        whole = text.count("@") == urlsplit(url).netloc.count("@") <= 1
    except ValueError as error:
        raise OptionError(f"{scheme}: no URL: {error}") from None
    if not whole:
        raise OptionError(
            f"{scheme}: in a name or password of a URL write @ as %40, / as %2F, ? as %3F, # as %23, and @ only once"
        )
