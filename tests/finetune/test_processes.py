"""Two processes that train together learn what one does, and say and write it once."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from semvec.errors import OptionError
from semvec.finetune.loading import load_model
from semvec.finetune.processes import Shares, by_first, check_alone, many, number
from tests import tiny
from tests.finetune import small

PROGRAM = str(Path(sys.executable).parent / "semvec")
EXACT = ["--epochs", "2", "--no-before", "--device", "cpu", "--validation-share", "0.3", "--seed", "3"]


@pytest.fixture(scope="module")
def calm(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny BERT without dropout, which no two processes could share."""
    folder = tiny.make_model("bert", tmp_path_factory.mktemp("calm"))
    config = json.loads((folder / "config.json").read_text())
    config.update(hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0)
    (folder / "config.json").write_text(json.dumps(config))
    return folder


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("data")
    return {task: small.write(task, folder) for task in ("classify", "tag", "qa", "seq2seq")}


def run(*call: object, processes: int = 2) -> subprocess.CompletedProcess[str]:
    start = [str(Path(sys.executable).parent / "torchrun"), "--standalone", f"--nproc-per-node={processes}", "--no-python"]
    command = [*(start if processes > 1 else []), PROGRAM, "finetune", *map(str, call)]
    env = {**os.environ, "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1"}
    return subprocess.run(command, capture_output=True, text=True, timeout=250, env=env)


def both(folder: Path, task: str, model: Path, data: Path, *more: object) -> tuple[Any, Any]:
    """Train by one process and by two; return the models."""
    for name, processes in (("one", 1), ("two", 2)):
        done = run(task, "--model", model, "--data", data, "-o", folder / name, *EXACT, *more, processes=processes)
        assert done.returncode == 0, done.stderr[-2000:]
        assert done.stdout.count("parameters learnt") == 1  # one of them talks
        assert not (folder / f"{name}.part").exists()
    return load_model(folder / "one", device="cpu"), load_model(folder / "two", device="cpu")


@pytest.mark.parametrize(
    ("task", "more"),
    [
        ("classify", ["--dropout", "0", "--batch-size", "5"]),  # no part of a batch is as large as the other
        ("tag", ["--dropout", "0", "--batch-size", "4", "--crf", "--accumulate", "2"]),
        ("qa", ["--dropout", "0", "--batch-size", "4", "--strategy", "bitfit"]),
    ],
)
def test_two_learn_what_one_does(task: str, more: list[str], calm: Path, data: dict[str, Path], tmp_path: Path) -> None:
    one, two = both(tmp_path, task, calm, data[task], *more)
    losses = [[its["loss"] for its in made.record["history"]["losses"]] for made in (one, two)]
    np.testing.assert_allclose(losses[0], losses[1], rtol=1e-4)
    assert one.record["history"]["steps"] == two.record["history"]["steps"]
    assert [one.record["processes"], two.record["processes"]] == [1, 2]
    examples = one.task.read(data[task], one.options)
    windows = one.windows(examples, labelled=False)
    for mine, theirs in zip(one.logits(windows), two.logits(windows), strict=True):
        if task == "qa":  # a number that all tokens have in common changes nothing, so that it learns from rounding
            mine, theirs = mine - mine.max(axis=0), theirs - theirs.max(axis=0)
        np.testing.assert_allclose(mine, theirs, atol=2e-3)
    plain = load_model(tmp_path / "one", device="cpu")
    assert max(np.abs(mine).max() for mine in plain.logits(windows)) > 0.05  # so that nothing is not equal to nothing


def test_a_decoder_too(calm: Path, data: dict[str, Path], tmp_path: Path) -> None:
    more = ["--batch-size", "4", "--dropout", "0", "--decoder-layers", "1", "--vocabulary", "300"]
    one, two = both(tmp_path, "seq2seq", calm, data["seq2seq"], *more)
    losses = [[its["loss"] for its in made.record["history"]["losses"]] for made in (one, two)]
    np.testing.assert_allclose(losses[0], losses[1], rtol=1e-4)


def test_stopped_inside_an_epoch_and_gone_on_with(calm: Path, data: dict[str, Path], tmp_path: Path) -> None:
    """Two processes are stopped behind a checkpoint that lies inside the second epoch; two, and one, go on as if nothing had been."""
    start = "import os, sys; from semvec.finetune import trainer; trainer.STEPS_AT_MOST = 3\n"
    stop = "own = trainer.Told.on_step_end\ndef end(self, args, state, control, **more):\n    own(self, args, state, control, **more)\n    if state.global_step == 11: os._exit(9)\ntrainer.Told.on_step_end = end\n"
    end = "from semvec_cli.main import run; run()"
    options = ["--data", str(data["classify"]), "--model", str(calm), "--dropout", "0", "--batch-size", "5", "--patience", "50"]
    losses = {}
    for name, first, then in (("whole", 0, 1), ("two", 2, 2), ("one", 2, 1)):
        for processes, code in ((first, start + stop + end), (then, start + end)):
            if not processes:
                continue
            program = tmp_path / "program.py"
            program.write_text(code, encoding="utf-8")
            resumes = ["--resume"] if (tmp_path / f"{name}.part").exists() else []
            command = [
                str(Path(sys.executable).parent / "torchrun"),
                "--standalone",
                f"--nproc-per-node={processes}",
                str(program),
            ]
            call = ["finetune", "classify", *options, "-o", str(tmp_path / name), *EXACT, "--epochs", "4", *resumes]
            env = {**os.environ, "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1"}
            subprocess.run(
                [*command, *call] if processes > 1 else [sys.executable, str(program), *call],
                env=env,
                capture_output=True,
                timeout=200,
                check=False,
            )
        record = load_model(tmp_path / name, device="cpu").record["history"]
        assert ("resumed at" in record) == (name != "whole")
        losses[name] = {its["step"]: its["loss"] for its in record["losses"]}
    assert max(losses["whole"]) == 28
    for name in ("two", "one"):
        assert losses[name] == pytest.approx(losses["whole"], rel=1e-3)


@pytest.mark.parametrize(("name", "value"), [("WORLD_SIZE", "x"), ("WORLD_SIZE", "0"), ("RANK", "-1")])
def test_numbers_that_are_none(name: str, value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.setenv(name, value)
    with pytest.raises(OptionError, match=f"{name}={value}: is no number"):
        number()


def test_what_is_wrong_is_said_once(calm: Path, data: dict[str, Path], tmp_path: Path) -> None:
    (tmp_path / "there").mkdir()
    (tmp_path / "there" / "mine.txt").write_text("keep")
    taken = run("classify", "--model", calm, "--data", data["classify"], "-o", tmp_path / "there", *EXACT)
    assert taken.returncode != 0
    assert [line for line in taken.stderr.splitlines() if line.startswith("Error: ")] == [
        f"Error: {tmp_path / 'there'}: exists already; --overwrite replaces it"
    ]
    assert (tmp_path / "there" / "mine.txt").read_text() == "keep"
    alone = run("similarity", "--model", calm, "--data", data["classify"], "-o", tmp_path / "x", "--device", "cpu")
    assert "similarity takes one process, and 2 were started" in alone.stderr


def test_each_reads_its_part(monkeypatch: pytest.MonkeyPatch) -> None:
    order = list(range(10, 21))
    monkeypatch.setenv("WORLD_SIZE", "3")
    parts = []
    for rank in range(3):
        monkeypatch.setenv("RANK", str(rank))
        assert (number(), many()) == (rank, 3)
        parts.append(list(Shares(order, 5)))
    assert len({len(part) for part in parts}) == 1  # all take as many steps
    together = [[at for part in parts for at in part[step] if at >= 0] for step in range(3)]
    assert together == [order[:5], order[5:10], order[10:]]
    assert [part[2] for part in parts] == [[~20], [~20], [20]]
    with pytest.raises(OptionError, match="takes one process, and 3 were started"):
        check_alone("this")


def test_alone_nothing_changes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("WORLD_SIZE", raising=False)
    assert (many(), number(), by_first(lambda: 7)) == (1, 0, 7)
    assert not torch.distributed.is_initialized()
    check_alone("this")
