"""What an evaluation says: a line a model with its intervals, and how the models differ; and its files."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

from semvec.embeddings.files import folder_written_whole, plain_errors
from semvec.errors import OutputExists
from semvec.evaluate.ranking import is_trec, trec_lines
from semvec.evaluate.task import Found
from semvec.measures.intervals import Difference, Interval
from semvec.types import JSON

REPORT = "report.json"


@dataclass(frozen=True)
class Line:
    """What was found of one model on ``examples`` examples: every measure with its interval.

    ``encoder`` is its fingerprint as JSON has it, None for a ``baseline``, which is none of the models asked for.
    """

    model: str
    measures: Mapping[str, Interval]
    notes: tuple[str, ...]
    examples: int
    encoder: Mapping[str, JSON] | None = None

    @property
    def baseline(self) -> bool:
        """Whether this is what needs no model."""
        return self.encoder is None


@dataclass(frozen=True)
class Report:
    """What several models do on the same data: a line each, and how they compare by ``measure``.

    ``examples`` is how many are asked about, ``size`` the same in words. All pairs of models are compared, and each with
    the best of the baselines, Holm's correction made for either kind. ``semvec`` is the version that found it.
    """

    task: str
    data: str
    examples: int
    size: str
    unit: str
    measure: str
    lines: tuple[Line, ...]
    differences: tuple[Difference, ...]
    options: Mapping[str, JSON]
    semvec: str

    def to_json(self) -> dict[str, JSON]:
        """Return all of it as JSON has it."""
        found = asdict(self)
        found["models"] = [{**line, "baseline": its.baseline} for line, its in zip(found.pop("lines"), self.lines, strict=True)]
        found["differences"] = [{**asdict(its), "measure": self.measure, "shown": its.shown} for its in self.differences]
        return found


class Answers:
    """A folder that keeps a report, and what every model said of every example.

    ``MODEL.jsonl`` has a line an example, and of rankings ``MODEL.run`` has all of them as TREC has it: query, Q0, document,
    rank, score, model. The folder is whole or not there: see `Answers.kept`.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.names: set[str] = set()

    @classmethod
    @contextmanager
    def kept(cls, folder: Path, *, overwrite: bool) -> Iterator[Answers]:
        """Give the answers that stand at ``folder`` when the block ends, in the place of a report that was there.

        Raises `OutputExists` where one is there that may not be replaced, or something else.
        """

        def check() -> None:
            if (folder / REPORT).exists() and not overwrite:
                raise OutputExists(f"{folder / REPORT}: exists already; --overwrite replaces it")
            if folder.exists() and not (folder / REPORT).is_file() and (not folder.is_dir() or any(folder.iterdir())):
                raise OutputExists(f"{folder}: holds other things, so no report is kept there")

        with plain_errors(folder):
            folder.parent.mkdir(parents=True, exist_ok=True)
        with folder_written_whole(folder, check) as place:
            yield cls(place)

    def write(self, model: str, found: Found) -> str | None:
        """Write what ``model`` said; return what is to be noted of it."""
        name = self._name(model)
        self._write(f"{name}.jsonl", (json.dumps(its, ensure_ascii=False) for its in found.answers()))
        if found.run is None:
            return None
        if not is_trec(found.run):
            return f"no {name}.run: an id has spaces in it, which TREC's files cannot hold"
        self._write(f"{name}.run", trec_lines(found.run, name))
        return None

    def end(self, report: Report) -> None:
        """Write the report."""
        self._write(REPORT, [json.dumps(report.to_json(), ensure_ascii=False, indent=1)])

    def _write(self, name: str, lines: Iterable[str]) -> None:
        with open(self.folder / name, "wb") as stream:
            stream.writelines(f"{line}\n".encode() for line in lines)

    def _name(self, model: str) -> str:
        """Return what the files of ``model`` are called: its last part, with a number where that is taken."""
        short = re.sub(r"[^\w.-]+", "-", Path(model).name).strip("-.")[:100] or "model"
        name = next(one for at in range(1, 1000) if (one := short if at == 1 else f"{short}-{at}") not in self.names)
        self.names.add(name)
        return name
