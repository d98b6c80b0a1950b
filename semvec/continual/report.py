"""What a learner came to on every task after every task: the matrix, what is made of it, and a picture."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from semvec.measures.basic import mean
from semvec.measures.continual import (
    Accuracies,
    average_accuracy,
    average_incremental_accuracy,
    backward_transfer,
    forgetting,
    forward_transfer,
    learning_accuracy,
)
from semvec.measures.intervals import Outcome
from semvec.text.markdown import escaped, table
from semvec.types import JSON
from semvec.visualise.curves import accuracies_picture

MATRIX = "matrix.png"
UNITS = ((1 << 30, "GB"), (1 << 20, "MB"), (1 << 10, "kB"))


@dataclass(frozen=True)
class ContinualReport:
    """What a learner came to: ``accuracies`` (tasks, tasks), row i after task i, column j on task j; NaN where not asked.

    ``untaught`` are the accuracies without learning, ``tested`` how many examples a task was examined on; ``seconds`` were
    taken by each task, and ``kept`` are the bytes beside the model after it.
    """

    strategy: str
    scenario: str
    tasks: tuple[str, ...]
    accuracies: Accuracies
    untaught: tuple[float, ...]
    tested: tuple[int, ...]
    seconds: tuple[float, ...]
    kept: tuple[int, ...]

    @property
    def measures(self) -> dict[str, float | None]:
        """What is made of the matrix; None where that cannot be said of it."""
        its = self.accuracies
        return {
            "average accuracy": average_accuracy(its),
            "average incremental accuracy": average_incremental_accuracy(its),
            "learning accuracy": learning_accuracy(its),
            "forgetting": forgetting(its),
            "backward transfer": backward_transfer(its),
            "forward transfer": forward_transfer(its, self.untaught),
        }

    def last(self) -> list[tuple[float, float, float]]:
        """Return the accuracy of every task after the last one, with its 95 % interval (Wilson)."""
        found = []
        for share, count in zip(self.accuracies[-1].tolist(), self.tested, strict=True):
            right = np.zeros(count)
            right[: round(share * count)] = 1
            its = Outcome.over_all("accuracy", mean, right).interval()
            found.append((its.value, its.low, its.high))
        return found

    def to_json(self) -> JSON:
        """Return the report as JSON."""
        cells = [[None if np.isnan(one) else float(one) for one in row] for row in self.accuracies]
        last = [{"task": name, "value": a, "low": b, "high": c} for name, (a, b, c) in zip(self.tasks, self.last(), strict=True)]
        return {
            "strategy": self.strategy,
            "scenario": self.scenario,
            "tasks": list(self.tasks),
            "measures": self.measures,
            "accuracies": cells,
            "untaught": list(self.untaught),
            "tested": list(self.tested),
            "last": last,
            "seconds": list(self.seconds),
            "kept": list(self.kept),
        }

    def to_markdown(self) -> str:
        """Return the report as Markdown."""
        names = [escaped(name) for name in self.tasks]
        rows = [
            ["accuracy (%) on", *names],
            *([f"after {name}", *map(_shown, row)] for name, row in zip(names, self.accuracies, strict=True)),
        ]
        last = ["at the end, 95 % interval", *(f"{100 * low:.1f} to {100 * high:.1f}" for _, low, high in self.last())]
        cost = [
            ["", *names],
            ["seconds", *(f"{one:,.1f}" for one in self.seconds)],
            ["kept beside the model", *(sized(one) for one in self.kept)],
        ]
        parts = [
            f"**{self.strategy}**, scenario {self.scenario}",
            measures_table({self.strategy: [self]}),
            table([*rows, last]),
            table(cost),
        ]
        return "\n\n".join(parts)

    def picture(self) -> bytes:
        """Return the matrix as a PNG; `MissingExtra` without matplotlib."""
        return accuracies_picture(self.accuracies, self.tasks, f"{self.strategy}: accuracy")

    def write(self, folder: Path) -> None:
        """Write the report into ``folder``: JSON, Markdown, and the picture where matplotlib is installed."""
        from semvec.errors import MissingExtra

        (folder / "report.json").write_text(json.dumps(self.to_json(), ensure_ascii=False, indent=1) + "\n", encoding="utf-8")
        (folder / "report.md").write_text(self.to_markdown() + "\n", encoding="utf-8")
        try:
            (folder / MATRIX).write_bytes(self.picture())
        except MissingExtra:
            return


MEASURES = (
    "average accuracy",
    "average incremental accuracy",
    "learning accuracy",
    "forgetting",
    "backward transfer",
    "forward transfer",
)


def measures_table(reports: Mapping[str, Sequence[ContinualReport]]) -> str:
    """Return a table of what each strategy came to, the mean over its seeds and their standard deviation."""
    rows = [["strategy", *(f"{name} (%)" for name in MEASURES), "seconds a task", "kept"]]
    for name, some in reports.items():
        found = [[one.measures[measure] for one in some] for measure in MEASURES]
        seconds = np.mean([one.seconds for one in some])
        rows.append([escaped(name), *map(spread, found), f"{seconds:,.1f}", sized(max(one.kept[-1] for one in some))])
    return table(rows)


def spread(values: Sequence[float | None]) -> str:
    """Return the mean of ``values``, in percent, and their standard deviation where there are several."""
    known: list[Any] = [one for one in values if one is not None]
    if len(known) < len(values) or not known:
        return "–"
    middle = f"{100 * np.mean(known):.1f}"
    return middle if len(known) < 2 else f"{middle} ± {100 * np.std(known, ddof=1):.1f}"


def sized(count: int) -> str:
    """Return how much ``count`` bytes are."""
    return next((f"{count / unit:.1f} {name}" for unit, name in UNITS if count >= unit), f"{count} B")


def _shown(share: float) -> str:
    return "–" if np.isnan(share) else f"{100 * share:.1f}"
