"""The token vectors of a local collection, beside its items: written with them, searched by late interaction."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from semvec.embeddings.embeddings import Embeddings
from semvec.errors import CollectionDamaged, InputError, LevelError
from semvec.index.residual import ResidualCodec
from semvec.results import Evidence
from semvec.store.collection import Settings, TokenSettings
from semvec.store.database import Database
from semvec.store.token_files import Extent, TokenBlock, TokenFiles, TokenRows, read_extent
from semvec.types import JSON, Level, Oov

PREFIX = "tokens-"
NAMES = re.compile(rf"{PREFIX}\d{{6,}}")
LEVELS = (Level.TOKEN, Level.WORD)


def checked(tokens: Embeddings, settings: Settings) -> TokenBlock:
    """Return the vectors of ``tokens`` that stand for characters and are not zero.

    Raises `LevelError` where they are not of tokens or words, `FingerprintMismatch` where another encoder made them than those of
    the collection.
    """
    if settings.tokens is None:
        raise LevelError("the collection was made for vectors of whole texts; one for those of tokens is made with --level token")
    if tokens.level not in LEVELS:
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
        """Learn from a ``sample`` (rows, dim) how about ``tokens`` of its kind are kept (inside `Database.writing`)."""
        number = self._database.about().get("tokens_made", 0) + 1
        name = f"{PREFIX}{number:06d}"
        codec = ResidualCodec.learned(sample, self._settings.bits, tokens=tokens, seed=seed)
        self._open = TokenFiles.create(self._folder / name, codec)
        self._database.set_about(tokens=Extent(name).to_json(), tokens_made=number)

    def write(self, block: TokenBlock) -> None:
        """Write the tokens of the items that get the next rows (inside `Database.writing`)."""
        if (extent := self.extent()) is None:
            self.learn(block.vectors, len(block.vectors))
            extent = self.extent()
            assert extent is not None
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
        """Write them anew without those of the rows ``gone`` (inside `Database.writing`); the former go with `clear`."""
        if (extent := self.extent()) is None or not extent.items:
            return
        keep = ~np.isin(self.at(extent).rows, gone)
        if keep.all():
            return
        number = self._database.about().get("tokens_made", 0) + 1
        name = f"{PREFIX}{number:06d}"
        new = self._files(extent).copy(extent, keep, self._folder / name)
        self._database.set_about(tokens=new.to_json(), tokens_made=number)

    def clear(self, keep: str | None) -> None:
        """Remove every folder of token vectors but the one called ``keep``."""
        for path in self._folder.iterdir():
            if NAMES.fullmatch(path.name) and path.name != keep:
                shutil.rmtree(path, ignore_errors=True)

    def damage(self) -> list[str]:
        """Return what is wrong with them."""
        try:
            return [] if (extent := self.extent()) is None else self._files(extent).read(extent).damage()
        except (CollectionDamaged, FileNotFoundError) as error:
            return [str(error)]

    def info(self) -> dict[str, JSON]:
        """Return what users are told of them."""
        extent = self.extent()
        found = {"dim": self._settings.dim, "bits": self._settings.bits, "tokens": 0, "bytes": 0}
        if extent is None:
            return found
        size = sum(path.stat().st_size for path in (self._folder / extent.folder).iterdir())
        return {**found, "tokens": extent.tokens, "centroids": len(self._files(extent).codec.centroids), "bytes": size}

    def _files(self, extent: Extent) -> TokenFiles:
        if self._open is None or self._open.folder.name != extent.folder:
            self._open = TokenFiles.open(self._folder / extent.folder)
        return self._open


def evidence_of(rows: TokenRows, item: int, query: TokenBlock) -> tuple[Evidence, ...]:
    """Return which token of ``item`` each token of ``query`` is nearest to."""
    if not rows.vectors.count[item]:
        return ()
    best, scores = rows.vectors.matches(query.vectors, item)
    each = np.concatenate([query.spans, rows.spans(item)[best]], axis=1).tolist()
    return tuple(Evidence(a, b, start, end, score) for (a, b, start, end), score in zip(each, scores.tolist(), strict=True))
