"""A search: what is looked for, that the best is what is trained, and that it goes on where it was stopped."""

from __future__ import annotations

from pathlib import Path

import pytest

from semvec.errors import OptionError
from semvec.finetune.model import FineTuned
from semvec.finetune.search import sought
from semvec.finetune.train import finetune
from semvec.finetune.tuned import Lesson
from semvec.types import Progress, Step
from tests.finetune import small
from tests.finetune.small import quick

HEEDED = {"learning_rate", "head_learning_rate", "epochs", "batch_size", "dropout", "weight_decay"}


def test_what_is_looked_for_hangs_on_strategy_and_what_was_named() -> None:
    named = {"epochs": None, "batch_size": 32, "rank": 8, "virtual_tokens": 20}
    assert set(sought(quick(**named), HEEDED)) == HEEDED
    assert set(sought(quick(**named, strategy="lora"), HEEDED)) == HEEDED | {"rank"}
    assert set(sought(quick(**{**named, "rank": 2}, strategy="dora"), HEEDED)) == HEEDED
    assert set(sought(quick(**{**named, "epochs": 2, "dropout": 0.0}), HEEDED)) == HEEDED - {"epochs", "dropout"}


@pytest.mark.parametrize(
    ("task", "changes", "not_heeded"),
    [
        ("classify", {}, set()),
        ("classify", {"strategy": "head"}, {"learning_rate"}),
        ("tag", {}, {"label_smoothing"}),
        ("similarity", {}, {"label_smoothing", "head_learning_rate", "dropout"}),
        ("similarity", {"strategy": "lora"}, {"label_smoothing", "head_learning_rate"}),
        ("seq2seq", {}, set()),
        ("seq2seq", {"strategy": "head"}, {"learning_rate"}),
    ],
)
def test_nothing_is_looked_for_that_changes_nothing(
    task: str, changes: dict[str, object], not_heeded: set[str], base: Path, tmp_path: Path
) -> None:
    made = finetune(task, base, small.write(task, tmp_path), tmp_path / "m", options=quick(**changes), before=False)
    assert made.model.heeds == (HEEDED | {"label_smoothing"}) - not_heeded


def test_the_best_setting_is_what_is_trained_with(base: Path, tmp_path: Path) -> None:
    data = small.write("classify", tmp_path)
    options = quick(search=4, epochs=2, dropout=0.2, weight_decay=0.02)
    made = finetune("classify", base, data, tmp_path / "m", options=options, before=False)
    its = made.record["search"]
    assert its["options"] == ["learning_rate", "head_learning_rate", "label_smoothing"]
    assert [trial["trial"] for trial in its["trials"]] == [1, 2, 3, 4]
    values = {trial["trial"]: trial["value"] for trial in its["trials"]}
    assert values[its["best"]] == max(values.values())
    best = its["trials"][its["best"] - 1]
    assert made.model.options.learning_rate == best["learning_rate"]
    assert made.model.options.label_smoothing == best["label_smoothing"]
    assert made.record["validation"]["accuracy"]["value"] == pytest.approx(best["value"])  # the same seed, so the same training
    assert 2e-5 <= best["learning_rate"] <= 5e-4
    card = (tmp_path / "m" / "README.md").read_text()
    assert "The best of 4 settings" in card
    assert (tmp_path / "m" / "search.png").read_bytes().startswith(b"\x89PNG")


class Killed(Exception):
    """Raised in the middle of a search."""


def test_a_search_goes_on_where_it_was_stopped(base: Path, tmp_path: Path) -> None:
    data = small.write("classify", tmp_path)

    def kill(step: Step) -> None:
        if step.stage.startswith("setting 3"):
            raise Killed

    options = quick(search=4)
    with pytest.raises(Killed):
        finetune("classify", base, data, tmp_path / "m", options=options, before=False, progress=kill)
    stages: set[str] = set()
    made = finetune(
        "classify", base, data, tmp_path / "m", options=options, before=False, resume=True,
        progress=lambda step: stages.add(step.stage.partition(":")[0]),
    )  # fmt: skip
    assert not {"setting 1 of 4", "setting 2 of 4"} & stages
    trials = made.record["search"]["trials"]
    assert len(trials) == 4
    assert len({trial["learning_rate"] for trial in trials}) == 4  # none is drawn again


def test_a_setting_that_cannot_be_trained_with_is_passed_over(
    base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data, calls = small.write("classify", tmp_path), []
    learn = FineTuned.learn

    def sometimes(self: FineTuned, lesson: Lesson, progress: Progress | None = None) -> object:
        calls.append(lesson)
        if len(calls) == 2:
            raise RuntimeError("CUDA out of memory")
        return learn(self, lesson, progress)

    monkeypatch.setattr(FineTuned, "learn", sometimes)
    made = finetune("classify", base, data, tmp_path / "m", options=quick(search=3), before=False)
    assert [trial["error"] for trial in made.record["search"]["trials"]] == [None, "RuntimeError: CUDA out of memory", None]
    assert "CUDA out of memory" in (tmp_path / "m" / "README.md").read_text()

    def never(self: FineTuned, lesson: Lesson, progress: Progress | None = None) -> object:
        raise RuntimeError("CUDA out of memory")

    monkeypatch.setattr(FineTuned, "learn", never)
    with pytest.raises(OptionError, match="none of 2 settings could be trained with: RuntimeError: CUDA out of memory"):
        finetune("classify", base, data, tmp_path / "n", options=quick(search=2), before=False)
