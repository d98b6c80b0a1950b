"""The examples do what they say, on the data beside them."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest

ROOT = Path(__file__).parent.parent


def example(name: str) -> Any:
    """The example called ``name``, as a module."""
    spec = importlib.util.spec_from_file_location(name, ROOT / "examples" / f"{name}.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def run(*words: str) -> str:
    done = subprocess.run([sys.executable, *words], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.slow
def test_an_answer_has_its_source_and_nobody_knows_everything() -> None:
    said = run(
        "examples/answer.py",
        "examples/faq.tsv",
        "Someone took my card!",
        "You took the money two times",
        "Who won the match in 1954?",
    )
    first, second, third = said.strip().split("\n\n")
    assert "[lost-card]" in first
    assert "[double]" in second
    assert "I do not know" in third


@pytest.mark.slow
def test_a_crowd_of_one_kind_of_message_gives_the_alarm() -> None:
    said = run("examples/monitor.py", "examples/requests/train.tsv", "examples/requests/test.tsv").splitlines()
    assert said[-2].endswith("no drift")
    assert "than usual" in said[-1]


@pytest.mark.slow
def test_what_was_read_is_not_recommended() -> None:
    said = run("examples/recommend.py", "examples/data/human_rights.txt", "30", "31", "--k", "3").splitlines()
    lines = [int(line.split(":")[0]) for line in said if not line.startswith("read")]
    assert len(set(lines)) == 3
    assert not {30, 31} & set(lines)


def test_drift_is_told_once_it_is_there() -> None:
    usual = Counter({"a": 50, "b": 50})
    its = example("monitor")
    assert list(its.drifts("ab" * 20, usual)) == []
    [(at, label, p)] = its.drifts("ab" * 6 + "b" * 12, usual)
    assert (at, label) == (20, "b")  # eleven of the last twelve
    assert p == pytest.approx(0.00389, abs=1e-4)  # chi-squared 8.33, one degree of freedom


def test_recommendations_are_near_and_unlike_each_other() -> None:
    vectors = np.array([[1, 0], [0.99, 0.1], [0.98, 0.12], [0.6, 0.8], [-1, 0]], dtype=np.float32)
    its = example("recommend")
    assert its.recommended(vectors, [0], 1) == [1]
    assert its.recommended(vectors, [0], 2)[0] == 1
    assert 0 not in its.recommended(vectors, [0], 9)
    assert sorted(its.recommended(vectors, [0], 9)) == [1, 2, 3, 4]
