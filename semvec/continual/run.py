"""A stream is learnt, task by task, by every strategy with every seed; what was stopped goes on at the task it was in."""

from __future__ import annotations

import json
import os
import re
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from semvec.continual.learner import ABOUT, MARK, ContinualLearner
from semvec.continual.options import ContinualStrategy
from semvec.continual.report import ContinualReport, measures_table
from semvec.continual.stream import Stream
from semvec.embeddings.files import held, plain_errors, written_whole
from semvec.errors import OutputError, OutputExists, ResumeMismatch
from semvec.finetune.place import CHECKPOINTS
from semvec.finetune.trainer import last_checkpoint
from semvec.finetune.tuned import named
from semvec.types import JSON, Progress

RUN, REPORT = "stream.json", ("report.json", "report.md")
VERSION = 1
NAMES = "|".join(str(its) for its in ContinualStrategy)
LEARNER = re.compile(rf"\.?({NAMES})-\d+(\.part|\.tmp|\.old)?")
"""What folders of learners are called, and of those that are being made."""

FILES = re.compile(
    rf"{re.escape(ABOUT)}|report\.(json|md)|matrix\.png|(learnt|importance|means|vectors|task-\d+)\.safetensors|(memory|apart)\.json"
)
"""What files of learners are called."""


@dataclass(frozen=True)
class Learnt:
    """What came of a stream: where the learners are, and the reports of every strategy, one a seed."""

    path: Path
    reports: Mapping[str, list[ContinualReport]]

    def to_json(self) -> JSON:
        """Return all reports as JSON."""
        return {name: [its.to_json() for its in some] for name, some in self.reports.items()}

    def to_markdown(self) -> str:
        """Return the measures of all strategies as a table."""
        return measures_table(self.reports)


def learn_stream(
    stream: Stream,
    output: str | os.PathLike[str],
    *,
    resume: bool = False,
    overwrite: bool = False,
    device: str | None = None,
    progress: Progress | None = None,
    told: Callable[[str], None] | None = None,
) -> Learnt:
    """Learn ``stream`` by all of its strategies and seeds, and return the reports.

    The folder ``output`` gets a learner (`ContinualLearner.load`) for each, ``STRATEGY-SEED``, with its report and a picture of
    its matrix, and a report of all. After every task the learner is stored: a stream that was stopped goes on, with ``resume``,
    at the task it was in. A stream to which tasks, strategies or seeds were added at the end goes on too. ``told`` hears a line
    a task.

    Raises `OutputExists`, `ResumeMismatch` where the stream there is another one, and what `ContinualLearner.learn` raises.
    """
    target = Path(os.path.realpath(output))  # what a link leads to
    for strategy in stream.strategies:  # what does not go is known before anything is removed or written
        its_own = ContinualLearner(stream.model, options=stream.options_of(strategy, stream.seeds[0]), device=device)
        its_own.method.check(sorted(set(stream.tasks[0].train.labels)))
    say = told or (lambda _: None)
    with held(target):
        _begin(stream, target, resume=resume, overwrite=overwrite)
        reports: dict[str, list[ContinualReport]] = {}
        untested = next((task.name for task in stream.tasks if task.test is None), None)
        for strategy in stream.strategies:
            for seed in stream.seeds:
                place = target / f"{strategy}-{seed}"
                if place.exists():
                    learner = ContinualLearner.load(place, device=device)
                    _check_same(learner, stream, place)
                else:
                    learner = ContinualLearner(stream.model, options=stream.options_of(strategy, seed), device=device)
                _learn(learner, stream, place, progress, say)
                if untested is None:
                    reports.setdefault(str(strategy), []).append(learner.report())
        its = Learnt(target, reports)
        if untested is None:
            with written_whole(*(target / name for name in REPORT)) as (numbers, words):
                numbers.write((json.dumps(its.to_json(), ensure_ascii=False, indent=1) + "\n").encode())
                words.write((its.to_markdown() + "\n").encode())
        else:
            for name in REPORT:  # of a shorter stream
                (target / name).unlink(missing_ok=True)
            say(f"no report: task {untested!r:.60} has no test")
    return its


def _learn(learner: ContinualLearner, stream: Stream, place: Path, progress: Progress | None, say: Callable[[str], None]) -> None:
    """Have ``learner`` learn what it has not learnt of ``stream``, and store it after every task."""
    work = place.with_name(f"{place.name}.part")
    learner.expect(stream.tasks)
    for task in stream.tasks[len(learner.tasks) :]:
        checkpoints = work / str(len(learner.tasks))
        again = last_checkpoint(checkpoints / CHECKPOINTS) is not None
        with plain_errors(work):
            checkpoints.mkdir(parents=True, exist_ok=True)
        record = learner.learn(task, repeats=stream.repeats, checkpoints=checkpoints, resume=again, progress=progress)
        learner.save(place, overwrite=True)
        shutil.rmtree(work, ignore_errors=True)
        found = record["accuracies"]
        so_far = [found[one["name"]] for one in learner.tasks if one["name"] in found]
        said = f", {100 * sum(so_far) / len(so_far):.1f} % right on average of {len(so_far)} tasks" if so_far else ""
        say(f"{place.name}: {task.name}: {record['examples']:,} examples, {record['seconds']:,.0f} s{said}")


def _about(stream: Stream) -> dict[str, Any]:
    """Return what tells a stream from another one, but for the strategies and seeds there are, as it is stored."""
    options = stream.options.to_json()
    del options["strategy"]
    its = {
        "format": VERSION,
        "model": named(stream.model),
        "options": options,
        "repeats": stream.repeats,
        "tasks": stream.digests,
    }
    return dict(json.loads(json.dumps(its)))


def _begin(stream: Stream, target: Path, *, resume: bool, overwrite: bool) -> None:
    """Make the folder ``target``, or go on with what is there."""
    file, about = target / RUN, _about(stream)
    if not target.parent.is_dir():
        raise OutputError(f"{target}: the folder {target.parent} does not exist")
    with plain_errors(target):
        if resume:
            _check_resumed(file, about)
        elif target.exists() and not _is_empty(target):
            if not _is_ours(target):
                raise OutputExists(
                    f"{target}: exists and is no stream that was learnt, and nothing else is overwritten; name another"
                )
            if not overwrite and _has_begun(target):
                raise OutputExists(f"{target}: exists already: --resume goes on with it, --overwrite begins anew")
            shutil.rmtree(target)
        target.mkdir(exist_ok=True)
        with written_whole(file) as (stream_file,):
            stream_file.write((json.dumps(about, ensure_ascii=False, indent=1) + "\n").encode())


def _is_ours(target: Path) -> bool:
    """Whether ``target`` is what `learn_stream` wrote, and holds nothing else."""
    if not target.is_dir() or not (target / RUN).is_file():
        return False
    for path in target.iterdir():
        if path.is_dir() and path.name.endswith(".part") and LEARNER.fullmatch(path.name):
            known = all(
                one.name.isdigit() and {its.name for its in one.iterdir()} <= {MARK, CHECKPOINTS} for one in path.iterdir()
            )
        elif path.is_dir() and LEARNER.fullmatch(path.name):
            known = all(FILES.fullmatch(one.name) for one in path.iterdir())
        else:
            known = path.name in (RUN, *REPORT)
        if not known:
            return False
    return True


def _is_empty(target: Path) -> bool:
    return target.is_dir() and not any(target.iterdir())


def _has_begun(target: Path) -> bool:
    """Whether anything was learnt in ``target``: a task, or a part of one."""
    learnt = any((path / ABOUT).is_file() for path in target.iterdir())
    return learnt or any(last_checkpoint(path) is not None for path in target.glob(f"*.part/*/{CHECKPOINTS}"))


def _check_resumed(file: Path, about: dict[str, Any]) -> None:
    """Raise `ResumeMismatch` where the stream of ``file`` is not the beginning of the one that ``about`` is of."""
    try:
        known = json.loads(file.read_text(encoding="utf-8"))
        was, options = list(known["tasks"]), dict(known["options"])
    except (OSError, ValueError, KeyError, TypeError):
        raise ResumeMismatch(f"{file.parent}: no stream is there to go on with; leave out --resume") from None
    for name in ("format", "model", "repeats"):
        if known.get(name) != about[name]:
            raise ResumeMismatch(
                f"{file.parent}: was learnt with {name} {known.get(name)!r:.60}, and now it is {about[name]!r:.60}"
            )
    if other := next((name for name, value in about["options"].items() if options.get(name) != value), None):
        raise ResumeMismatch(f"{file.parent}: was learnt with another {other}: {options.get(other)!r:.80}")
    for at, digest in enumerate(was):
        if about["tasks"][at : at + 1] != [digest]:
            raise ResumeMismatch(
                f"{file.parent}: task {at + 1} of its stream was another one; new tasks may only come at the end"
            )


def _check_same(learner: ContinualLearner, stream: Stream, place: Path) -> None:
    """Raise `ResumeMismatch` where what ``learner`` has learnt is not the beginning of ``stream``."""
    for at, one in enumerate(learner.tasks):
        if one.get("digest") != (stream.digests[at] if at < len(stream.tasks) else None):
            raise ResumeMismatch(f"{place}: task {at + 1} that it has learnt is not the stream's")
    if learner.options != stream.options_of(learner.options.strategy, learner.options.finetune.seed):
        raise ResumeMismatch(f"{place}: was learnt with other options")
