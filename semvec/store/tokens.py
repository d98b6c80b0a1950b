"""The token vectors of a local collection, beside its items: written with them, searched by late interaction."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from semvec.embeddings.embeddings import Embeddings
from semvec.errors import CollectionDamaged, InputError, LevelError
from semvec.index.kinds import WHOLE
from semvec.index.residual import Asked, ResidualCodec, centroid_count
from semvec.results import Evidence
from semvec.store.collection import Settings, TokenSettings
from semvec.store.database import Database
from semvec.store.grown import WAY_OUT
from semvec.store.token_files import Extent, TokenBlock, TokenFiles, TokenRows, read_extent
from semvec.types import JSON, TOKEN_LEVELS, Oov

MISSING = f"damaged, files of its token vectors are missing; {WAY_OUT}"
PREFIX = "tokens-"
NAMES = re.compile(rf"{PREFIX}\d{{6,}}")
ENOUGH, SAMPLE = 1 << 14, 1 << 17
"""Tokens from which on it is learned how they are kept in few bits, and how many are learned from at most."""


def checked(tokens: Embeddings, settings: Settings) -> TokenBlock:
    """Return the vectors of ``tokens`` that stand for characters and are not zero.

    Raises `LevelError` where they are not of tokens or words, `FingerprintMismatch` where another encoder made them than those of
    the collection.
    """
    if settings.tokens is None:
        raise LevelError("the collection was made for vectors of whole texts; one for those of tokens is made with --level token")
    if tokens.level not in TOKEN_LEVELS:
        raise LevelError(f"these are vectors of level {tokens.level} where those of tokens or words are wanted")
    if settings.tokens.fingerprint is not None:
        settings.tokens.fingerprint.require_comparable(tokens.fingerprint)
    if tokens.dim != settings.tokens.dim:
        raise InputError(f"token vectors of {tokens.dim} numbers where the collection wants {settings.tokens.dim}")
    vectors = tokens.floats()
    if not np.isfinite(vectors).all():
        raise InputError("a token vector holds a number that is not finite")
    solid = (tokens.oov != Oov.ZERO) & ~tokens.special & vectors.any(axis=1)
    counts = np.bincount(tokens.text_index[solid], minlength=len(tokens)).astype(np.int64)
    return TokenBlock(counts, vectors[solid], np.stack([tokens.start[solid], tokens.end[solid]], axis=1).astype(np.int32))


class Tokens:
    """The token vectors in the folder of a collection; the database says how far they count."""

    def __init__(self, folder: Path, settings: TokenSettings, database: Database) -> None:
        self._folder = folder
        self._settings = settings
        self._database = database
        self._open: TokenFiles | None = None
        self._rows: tuple[Extent, TokenRows] | None = None

    def extent(self) -> Extent | None:
        """Return how far they count, None before any was learned from."""
        return read_extent(self._database.about().get("tokens"))

    def learn(self, sample: NDArray[np.float32], tokens: int, seed: int = 0) -> None:
        """Learn from a ``sample`` (rows, dim) how about ``tokens`` of its kind are kept (inside `Database.writing`).

        Of fewer than `ENOUGH` nothing is learned for good: tokens are kept as float16 until `compact` finds that many.
        """
        if not len(sample):
            return
        name = self._next()
        codec = ResidualCodec.learned(sample, bits_for(self._settings, len(sample)), tokens=tokens, seed=seed)
        self._open = TokenFiles.create(self._folder / name, codec)
        self._database.set_about(tokens=self._open.empty.to_json())

    def _next(self) -> str:
        """Return the name of the next folder, which none ever had."""
        number = self._database.about().get("tokens_made", 0) + 1
        self._database.set_about(tokens_made=number)
        return f"{PREFIX}{number:06d}"

    def write(self, block: TokenBlock) -> None:
        """Write the tokens of the items that get the next rows (inside `Database.writing`)."""
        with self._all_there():
            self._write(block)

    def _write(self, block: TokenBlock) -> None:
        if (extent := self.extent()) is None:
            self.learn(block.vectors, len(block.vectors))
            if (extent := self.extent()) is None:
                return  # no item has a token, so there is nothing to keep
        first = self._database.last_row() + 1
        rows = range(first, first + len(block.counts))
        extent = self._files(extent).append(extent, rows, block)
        self._database.set_about(tokens=extent.to_json())

    def at(self, extent: Extent) -> TokenRows:
        """Return the token vectors of the moment ``extent`` was read at; `FileNotFoundError` if a writer removed them since."""
        if self._rows is None or self._rows[0] != extent:
            self._rows = extent, self._files(extent).read(extent)
        return self._rows[1]

    def compact(self, gone: NDArray[np.int64]) -> None:
        """Write them anew without those of the rows ``gone`` (inside `Database.writing`); the former go with `clear`.

        What is kept exactly is learned from again where that is due: the first time there are `ENOUGH`, and when there are so
        many more that twice the centroids suit them.
        """
        with self._all_there():
            self._compact(gone)

    def _compact(self, gone: NDArray[np.int64]) -> None:
        if (extent := self.extent()) is None or not extent.items:
            return
        rows, codec = self.at(extent), self._files(extent).codec
        keep = ~np.isin(rows.rows, gone)
        count = int(rows.vectors.count[keep].sum())
        bits = bits_for(self._settings, count)
        few = codec.bits == WHOLE and centroid_count(count, count) >= 2 * len(codec.centroids)
        anew = ResidualCodec.learned(rows.sample(keep, SAMPLE), bits, tokens=count) if bits < codec.bits or few else None
        if keep.all() and anew is None:
            return
        name = self._next()
        new = self._files(extent).copy(extent, keep, self._folder / name, anew)
        self._database.set_about(tokens=new.to_json())

    def clear(self, keep: str | None) -> None:
        """Remove every folder of token vectors but the one called ``keep``."""
        for path in self._folder.iterdir():
            if NAMES.fullmatch(path.name) and path.name != keep:
                shutil.rmtree(path, ignore_errors=True)

    def damage(self) -> list[str]:
        """Return what is wrong with them."""
        try:
            with self._all_there():
                return [] if (extent := self.extent()) is None else self._files(extent).read(extent).damage()
        except CollectionDamaged as error:
            return [str(error).removeprefix(f"{self._folder}: ")]

    @contextmanager
    def _all_there(self) -> Iterator[None]:
        """Raise `CollectionDamaged` where a file is missing: nobody removes one while this is asked."""
        try:
            yield
        except FileNotFoundError as error:
            raise CollectionDamaged(f"{self._folder}: {MISSING}") from error

    def info(self) -> dict[str, JSON]:
        """Return what users are told of them."""
        extent = self.extent()
        how = self._settings
        found = {
            "dim": how.dim,
            "bits": how.bits,
            "tokens": 0,
            "bytes": 0,
            "keep_tokens": how.keep_tokens,
            "keep_by": how.keep_by,
        }
        if extent is None:
            return found
        size = sum(path.stat().st_size for path in (self._folder / extent.folder).glob("*"))
        codec = self._files(extent).codec
        return {**found, "bits": codec.bits, "tokens": extent.tokens, "centroids": len(codec.centroids), "bytes": size}

    def _files(self, extent: Extent) -> TokenFiles:
        if self._open is None or self._open.folder.name != extent.folder:
            self._open = TokenFiles.open(self._folder / extent.folder, extent.codec)
        return self._open


def bits_for(settings: TokenSettings, tokens: int) -> int:
    """Return the bits that a number of so many ``tokens`` is kept in: float16 for too few to learn from."""
    return settings.bits if tokens >= ENOUGH else WHOLE


def evidence_of(rows: TokenRows, item: int, query: TokenBlock, asked: Asked) -> tuple[Evidence, ...]:
    """Return which token of ``item`` each token of ``query``, made ready as ``asked``, is nearest to."""
    if not rows.vectors.count[item]:
        return ()
    best, scores = rows.vectors.matches(asked, item)
    each = np.concatenate([query.spans, rows.spans(item)[best]], axis=1).tolist()
    return tuple(Evidence(a, b, start, end, score) for (a, b, start, end), score in zip(each, scores.tolist(), strict=True))
