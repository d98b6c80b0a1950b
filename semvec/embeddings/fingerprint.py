"""What made a vector: the fingerprint that travels with every file, index and collection."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field

from semvec.errors import FingerprintMismatch, FormatError
from semvec.types import JSON, Dtype, Level, Metric


@dataclass(frozen=True)
class Fingerprint:
    """Everything that decides what a vector is.

    ``weights`` is a sha256 over the model's weights; ``settings`` holds whatever else changes the
    numbers at this level (layers, pooling, prompt, …) as JSON values. ``model`` is what the user called
    it: shown, but not compared, since the same weights may lie in two places.
    """

    family: str
    model: str = field(compare=False)
    weights: str
    level: Level
    dim: int
    dtype: Dtype
    metric: Metric
    normalized: bool
    settings: Mapping[str, JSON] = field(default_factory=dict)

    def to_json(self) -> dict[str, JSON]:
        """Return the fingerprint as a dictionary of JSON values, in a fixed order."""
        record = {f.name: getattr(self, f.name) for f in dataclasses.fields(self)}
        return {**record, "settings": dict(sorted(self.settings.items()))}

    @classmethod
    def from_json(cls, record: Mapping[str, JSON]) -> Fingerprint:
        """Return the fingerprint that `to_json` wrote; raise `FormatError` where it is not one."""
        try:
            return cls(
                **{
                    **record,
                    "level": Level(record["level"]),
                    "dtype": Dtype(record["dtype"]),
                    "metric": Metric(record["metric"]),
                }
            )
        except (KeyError, TypeError) as error:
            raise FormatError(f"not a fingerprint: {error}") from error

    def __hash__(self) -> int:
        return hash(self.digest)

    @property
    def digest(self) -> str:
        """A sha256 over all that is compared, as 64 hexadecimal digits."""
        record = {name: value for name, value in self.to_json().items() if name != "model"}
        return hashlib.sha256(json.dumps(record, sort_keys=True).encode()).hexdigest()

    def __str__(self) -> str:
        extra = "".join(f", {name} {value}" for name, value in sorted(self.settings.items()) if name != "config" and value != "")
        unit = ", normalized" if self.normalized else ""
        return f"{self.model} [{self.level}, {self.dim} × {self.dtype}, {self.metric}{unit}{extra}, weights {self.weights[:12]}]"

    def require_comparable(self, other: Fingerprint) -> None:
        """Raise `FingerprintMismatch`, printing both, unless distances to vectors of ``other`` mean something.

        Prompts, levels and number types may differ (a query and a chunk do); the model, its layers and the
        dimensions may not.
        """
        mine, theirs = ((made.weights, made.dim, made.settings.get("layers")) for made in (self, other))
        if mine != theirs:
            raise FingerprintMismatch(f"vectors of two encoders cannot be compared: {self} against {other}")

    def require(self, other: Fingerprint) -> None:
        """Raise `FingerprintMismatch`, printing both, unless ``other`` makes the same vectors."""
        if self != other:
            mine, theirs = self.to_json(), other.to_json()
            names = [name for name in mine if name != "model" and mine[name] != theirs[name]]
            raise FingerprintMismatch(f"these vectors differ in {', '.join(names)}: {self} against {other}")
