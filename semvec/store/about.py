"""What is kept beside the items of a collection in another store: what it is for, and the fields its items ever had."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path

from semvec.embeddings.files import written_whole
from semvec.errors import CollectionDamaged
from semvec.store.collection import Settings

FORMAT = 1


@dataclass(frozen=True)
class About:
    """``settings`` of a collection, and the names of the ``fields`` its items ever had."""

    settings: Settings
    fields: frozenset[str] = field(default_factory=frozenset)

    def to_text(self) -> str:
        """Return it as JSON."""
        record = {"format": FORMAT, "settings": self.settings.to_json(), "fields": sorted(self.fields)}
        return json.dumps(record, ensure_ascii=False)

    @classmethod
    def of(cls, text: str | None, place: str) -> About:
        """Return what `to_text` gave; raise `CollectionDamaged` naming ``place`` where it is not that, or of a newer semvec."""
        try:
            record = json.loads(text or "")
            if record["format"] != FORMAT:
                raise CollectionDamaged(f"{place}: of format {record['format']}, this semvec knows {FORMAT}: use a newer one")
            return cls(Settings.from_json(record["settings"]), frozenset(record["fields"]))
        except (KeyError, TypeError, ValueError) as error:
            raise CollectionDamaged(f"{place}: was not made by semvec, or is damaged: it does not say what it is for") from error

    @classmethod
    def read(cls, path: Path) -> About:
        """Return what `write` wrote; raise `CollectionDamaged` where it cannot be read."""
        try:
            return cls.of(path.read_text(encoding="utf-8"), str(path))
        except OSError as error:
            raise CollectionDamaged(f"{path}: cannot be read: {error.strerror}") from error

    def write(self, path: Path) -> None:
        """Write it as a file, whole or not at all."""
        with written_whole(path) as (stream,):
            stream.write(self.to_text().encode())
