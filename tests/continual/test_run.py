"""A stream in a TOML file: what is learnt of it, what is refused, and that a stopped one goes on as it would have."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from click.testing import CliRunner, Result
from safetensors.torch import load_file

from semvec.continual.learner import ContinualLearner
from semvec.continual.run import learn_stream
from semvec.continual.stream import read_stream
from semvec.errors import (
    InputError,
    LabelRepeated,
    MemoryTooLarge,
    OptionError,
    OutputError,
    OutputExists,
    ResumeMismatch,
    SemvecError,
)
from semvec.finetune import trainer
from semvec.text.examples import LabelledTexts
from semvec.types import Step
from semvec_cli.main import main
from tests.cli.test_encode import refused
from tests.continual.conftest import stream

HEAD = 'model = "{base}"\nstrategies = ["naive", "replay"]\n[options]\nmemory = 20\n[finetune]\nepochs = 3\nbatch_size = 8\n'


def table(path: Path, examples: LabelledTexts) -> None:
    rows = (f"{label}\t{text}" for label, text in zip(examples.labels, examples.texts, strict=True))
    path.write_text("\n".join(["label\ttext", *rows]) + "\n", encoding="utf-8")


@pytest.fixture
def written(base: Path, tmp_path: Path) -> Callable[..., Path]:
    """Writes a stream of tasks, a file for each, and returns the TOML file."""

    def write(*labels: str, head: str = HEAD) -> Path:
        lines = [head.format(base=base)]
        for task in stream(*labels, count=32):
            name = task.name.replace(" ", "-")
            table(tmp_path / f"{name}.tsv", task.train)
            assert task.test is not None
            table(tmp_path / f"{name}-test.tsv", task.test)
            lines.append(f'[[task]]\nname = "{task.name}"\ntrain = "{name}.tsv"\ntest = "{name}-test.tsv"\n')
        (tmp_path / "run.toml").write_text("\n".join(lines), encoding="utf-8")
        return tmp_path / "run.toml"

    return write


def test_a_stream_is_learnt_and_asked(written: Callable[..., Path], tmp_path: Path) -> None:
    out, run = tmp_path / "out", str(written("ab", "cd"))
    done = CliRunner().invoke(main, ["continual", run, "-o", str(out), "--device", "cpu", "-q"])
    assert done.exit_code == 0, done.output
    assert "| naive |" in done.output
    assert "| replay |" in done.output
    report = json.loads((out / "report.json").read_text())
    [naive], [replay] = report["naive"], report["replay"]
    assert naive["tasks"] == ["task ab", "task cd"]
    assert naive["accuracies"][0][1] is None
    assert naive["measures"]["average accuracy"] == pytest.approx(sum(naive["accuracies"][1]) / 2)
    assert replay["kept"][1] > 0 == naive["kept"][1]
    assert (out / "naive-0" / "matrix.png").read_bytes().startswith(b"\x89PNG")
    assert "after task cd" in (out / "naive-0" / "report.md").read_text()
    table_of = tmp_path / "task-ab-test.tsv"
    said = CliRunner().invoke(main, ["predict", str(out / "replay-0"), str(table_of), "--device", "cpu"])
    assert said.exit_code == 0, said.output
    labels = [json.loads(line)["label"] for line in said.output.splitlines()]
    gold = [line.split("\t")[0] for line in table_of.read_text().splitlines()[1:]]
    right = sum(one == other for one, other in zip(labels, gold, strict=True)) / len(gold)
    assert right == pytest.approx(replay["accuracies"][1][0])
    refused(invoke("predict", str(out / "replay-0"), str(table_of), "--explain", "2"), "keeps no training examples")
    refused(invoke("report", str(out / "replay-0"), "--data", str(table_of)), "one task after the other")
    refused(invoke("continual", run, "-o", str(out)), "--resume goes on with it")
    refused(invoke("continual", run, "-o", str(out), "--resume", "--overwrite"), "name one of them")


def invoke(*words: str) -> Result:
    return CliRunner().invoke(main, words)


class Stopped(Exception):
    """Somebody pulled the plug."""


@pytest.mark.parametrize("strategy", ["replay", "der", "lwf", "ewc", "adapters"])
def test_a_stopped_stream_goes_on_in_the_task_it_was_in(
    strategy: str, written: Callable[..., Path], base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(trainer, "KEPT_EVERY", 4)
    its = read_stream(written("ab", "cd", "ef", head=HEAD.replace('["naive", "replay"]', f'["{strategy}"]')))
    whole = learn_stream(its, tmp_path / "whole", device="cpu").reports[strategy][0]
    seen: list[int] = []

    def stop(step: Step) -> None:
        if step.stage == "training" and step.done == step.total:
            seen.append(step.done)
        if (
            len(seen) == 1 and step.stage == "training" and step.done == 9
        ):  # in the second task, after its first epoch of four steps
            raise Stopped

    with pytest.raises(Stopped):
        learn_stream(its, tmp_path / "out", device="cpu", progress=stop)
    assert len(ContinualLearner.load(tmp_path / "out" / f"{strategy}-0", device="cpu").tasks) == 1
    steps: list[int] = []
    again = learn_stream(
        its,
        tmp_path / "out",
        device="cpu",
        resume=True,
        progress=lambda step: steps.append(step.done) if step.stage == "training" else None,
    )
    assert steps[0] == 9  # the eighth was in the last checkpoint
    assert again.reports[strategy][0].accuracies == pytest.approx(whole.accuracies, nan_ok=True)
    assert not list((tmp_path / "out").glob("*.part"))
    one, other = (tmp_path / place / f"{strategy}-0" for place in ("whole", "out"))
    files = [path.name for path in one.iterdir() if path.suffix == ".safetensors" or path.name == "memory.json"]
    assert files
    for name in files:
        if name == "memory.json":
            kept = [json.loads((place / name).read_text())["kept"] for place in (one, other)]
            assert [its["text"] for its in kept[0]] == [its["text"] for its in kept[1]]
        else:
            left, right = load_file(one / name), load_file(other / name)
            assert left.keys() == right.keys()
            for key, tensor in left.items():
                torch.testing.assert_close(tensor, right[key], rtol=1e-3, atol=1e-4)


def test_a_stream_grows_at_its_end_alone(written: Callable[..., Path], tmp_path: Path) -> None:
    out, head = tmp_path / "out", HEAD.replace('["naive", "replay"]', '["ncm"]')
    learn_stream(read_stream(written("ab", "cd", head=head)), out, device="cpu")
    longer = learn_stream(read_stream(written("ab", "cd", "ef", head=head)), out, device="cpu", resume=True)
    assert longer.reports["ncm"][0].tasks == ("task ab", "task cd", "task ef")
    assert [its["name"] for its in ContinualLearner.load(out / "ncm-0").tasks] == ["task ab", "task cd", "task ef"]
    with pytest.raises(ResumeMismatch, match="task 2 of its stream was another one"):
        learn_stream(read_stream(written("ab", "ef", "cd", head=head)), out, resume=True)
    with pytest.raises(ResumeMismatch, match="task 3 of its stream"):
        learn_stream(read_stream(written("ab", "cd", head=head)), out, resume=True)
    with pytest.raises(ResumeMismatch, match="another memory: 20"):
        learn_stream(read_stream(written("ab", "cd", "ef", head=head.replace("memory = 20", "memory = 21"))), out, resume=True)
    with pytest.raises(ResumeMismatch, match="no stream is there"):
        learn_stream(read_stream(written("ab", "cd", head=head)), tmp_path / "nowhere", resume=True)
    (out / "mine.txt").write_text("mine")
    with pytest.raises(OutputExists, match="nothing else is overwritten"):
        learn_stream(read_stream(written("ab", "cd", head=head)), out, overwrite=True)
    (out / "mine.txt").unlink()
    learn_stream(read_stream(written("ab", "cd", head=head)), out, overwrite=True, device="cpu")
    assert len(ContinualLearner.load(out / "ncm-0").tasks) == 2
    with pytest.raises(OutputError, match="does not exist"):
        learn_stream(read_stream(written("ab", "cd", head=head)), tmp_path / "no" / "such")


def test_the_labels_of_a_folder_are_split(base: Path, tmp_path: Path) -> None:
    [both] = stream("abcd")
    (tmp_path / "data").mkdir()
    table(tmp_path / "data" / "train.tsv", both.train)
    assert both.test is not None
    table(tmp_path / "data" / "test.tsv", both.test)
    (tmp_path / "run.toml").write_text(f'model = "{base}"\nstrategy = "knn"\ndata = "data"\ntasks = 2\n')
    its = read_stream(tmp_path / "run.toml")
    assert [task.name for task in its.tasks] == ["task 1", "task 2"]
    assert [len(set(task.train.labels)) for task in its.tasks] == [2, 2]
    assert all(task.test is not None for task in its.tasks)


@pytest.mark.parametrize(
    ("change", "error", "said"),
    [
        (("memory = 20", "memory = 64"), MemoryTooLarge, "would hold all 64 examples"),
        (('"replay"', '"replayed"'), OptionError, "did you mean"),
        (('"replay"', '"naive"'), OptionError, "nothing comes twice"),
        (("memory", "memori"), OptionError, "memori"),
        (("epochs = 3", 'epochs = "3"'), OptionError, "epochs must be"),
        (("epochs = 3", "seed = 3"), OptionError, "said as seed or seeds"),
        (("memory = 20", 'strategy = "naive"'), OptionError, "said as strategy or strategies"),
        (("model", "modell"), OptionError, "modell"),
        (("[options]", "[options"), InputError, "is no TOML"),
        (("task-cd.tsv", "nowhere.tsv"), InputError, "no such file"),
        (("task-cd.tsv", "task-ab.tsv"), LabelRepeated, "label 'a' was learnt before"),
        (("task-cd-test.tsv", "task-ab-test.tsv"), InputError, "label 'a' of its test is in none of its"),
        (('name = "task cd"', 'name = "task ab"'), InputError, "two tasks are called 'task ab'"),
        (('name = "task cd"', "name = 3"), OptionError, "the name 3 is none"),
        (('train = "task-cd.tsv"', ""), OptionError, "train is missing"),
        (("[options]", 'data = "x"\n[options]'), OptionError, "either data"),
        (("[options]", "tasks = 3\n[options]"), OptionError, "tasks goes with data"),
        (("[options]", "seeds = [0, -1]\n[options]"), OptionError, "a seed is a whole number"),
        (("[options]", 'repeats = "yes"\n[options]'), OptionError, "true or false"),
        (("[options]", 'scenario = "domain"\n[options]'), InputError, "label 'c' is new"),
        (("batch_size = 8", "batch_size = 1.5"), OptionError, "whole number"),
        (("epochs = 3", 'layers = "x"'), OptionError, "list of whole numbers"),
        (("epochs = 3", "validation = 0.3"), OptionError, "validation does nothing"),
        (("memory = 20", 'among = "task"\nscenario = "domain"'), OptionError, "said as scenario"),
        (('["naive", "replay"]\n[options]', '["ewc", "lwf"]\n[options]\nstrength = 3'), OptionError, "another scale"),
    ],
)
def test_what_is_wrong_with_a_stream_is_said_before_anything_is_learnt(
    change: tuple[str, str], error: type[Exception], said: str, written: Callable[..., Path], tmp_path: Path
) -> None:
    run = written("ab", "cd")
    text = run.read_text()
    assert change[0] in text
    run.write_text(text.replace(change[0], change[1]))
    with pytest.raises(error, match=said) as raised:
        read_stream(run)
    assert str(tmp_path) in str(raised.value)
    refused(invoke("continual", str(run), "-o", str(tmp_path / "out")), "")
    assert not (tmp_path / "out").exists()


def test_nothing_is_lost_to_a_stream_that_cannot_be_learnt(written: Callable[..., Path], tmp_path: Path) -> None:
    out, head = tmp_path / "out", HEAD.replace('["naive", "replay"]', '["ncm"]')
    learn_stream(read_stream(written("ab", "cd", head=head)), out, device="cpu")
    for wrong in (
        head.replace('"{base}"', '"nosuch"'),
        head.replace('["ncm"]', '["naive"]').replace("epochs", "layers = [99]\nepochs"),
    ):
        with pytest.raises(SemvecError):
            learn_stream(read_stream(written("ab", "cd", head=wrong)), out, overwrite=True)
        with pytest.raises(SemvecError):
            learn_stream(read_stream(written("ab", "cd", head=wrong)), tmp_path / "new")
    assert not (tmp_path / "new").exists()
    assert len(ContinualLearner.load(out / "ncm-0").tasks) == 2
    refused(invoke("predict", str(out), str(tmp_path / "task-ab.tsv")), "name one of them")
    for mine in (".env", "mine.part/data.csv", "ncm-0/notes.txt", ".git/HEAD"):
        (out / mine).parent.mkdir(exist_ok=True)
        (out / mine).write_text("mine")
        with pytest.raises(OutputExists, match="nothing else is overwritten"):
            learn_stream(read_stream(written("ab", "cd", head=head)), out, overwrite=True)
        (out / mine).unlink()
        if mine in ("mine.part/data.csv", ".git/HEAD"):
            (out / mine).parent.rmdir()
    (tmp_path / "empty").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "empty")
    learn_stream(read_stream(written("ab", "cd", head=head)), tmp_path / "link", device="cpu")
    assert len(ContinualLearner.load(tmp_path / "empty" / "ncm-0").tasks) == 2
    about = json.loads((out / "ncm-0" / "continual.json").read_text())
    for name, value in (("accuracies", "x"), ("seconds", "x"), ("untaught", {"task ab": "y"})):
        tasks = [{**about["tasks"][0], name: value}, *about["tasks"][1:]]
        (out / "ncm-0" / "continual.json").write_text(json.dumps({**about, "tasks": tasks}))
        refused(invoke("continual", str(written("ab", "cd", head=head)), "-o", str(out), "--resume"), "damaged")


def test_without_a_test_of_every_task_there_is_no_report_and_that_is_said(written: Callable[..., Path], tmp_path: Path) -> None:
    out, head = tmp_path / "out", HEAD.replace('["naive", "replay"]', '["ncm"]')
    learn_stream(read_stream(written("ab", "cd", head=head)), out, device="cpu")
    run = written("ab", "cd", "ef", head=head)
    run.write_text(run.read_text().replace('test = "task-ef-test.tsv"', ""))
    lines: list[str] = []
    learn_stream(read_stream(run), out, device="cpu", resume=True, told=lines.append)
    assert lines[-1] == "no report: task 'task ef' has no test"
    assert not (out / "report.json").exists()
