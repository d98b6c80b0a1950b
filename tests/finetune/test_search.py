"""A search: what is looked for, that the best is what is trained, and that it goes on where it was stopped."""

from __future__ import annotations

from pathlib import Path

import pytest

from semvec.finetune.search import sought
from semvec.finetune.train import finetune
from semvec.types import Step
from tests.finetune import small
from tests.finetune.small import quick


def test_what_is_looked_for_hangs_on_strategy_task_and_what_was_named() -> None:
    plain = {"learning_rate", "head_learning_rate", "epochs", "batch_size", "dropout", "weight_decay", "label_smoothing"}
    named = {"epochs": None, "batch_size": 32, "rank": 8, "virtual_tokens": 20}
    assert set(sought(quick(**named), "classify")) == plain
    assert set(sought(quick(**named), "tag")) == plain - {"label_smoothing"}
    assert set(sought(quick(**named, strategy="lora"), "classify")) == plain | {"rank"}
    assert set(sought(quick(**{**named, "rank": 2}, strategy="dora"), "classify")) == plain
    assert set(sought(quick(**named, strategy="head"), "classify")) == plain - {"learning_rate"}
    assert set(sought(quick(**named), "similarity")) == plain - {"label_smoothing", "head_learning_rate"}
    assert set(sought(quick(**{**named, "epochs": 2, "dropout": 0.0}), "classify")) == plain - {"epochs", "dropout"}


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
    assert len([trial for trial in made.record["search"]["trials"] if trial["value"] is not None]) == 4
