"""A classifier that is taught one task after the other, and asked in between."""

from __future__ import annotations

import json
import os
import shutil
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import replace
from functools import partial
from hashlib import sha256
from math import isfinite
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter
from typing import Any

import numpy as np

from semvec.continual.apart import Apart
from semvec.continual.method import Method, Part
from semvec.continual.options import REMEMBERING as TRAIN_NOTHING
from semvec.continual.options import ContinualOptions, ContinualStrategy
from semvec.continual.remembering import REMEMBERING, Remembering
from semvec.continual.report import ContinualReport
from semvec.continual.task import ContinualTask, Scenario, check_examples, check_test, named_labels, new_labels
from semvec.continual.tuning import Tuning
from semvec.embeddings.files import check_replaceable, folder_written_whole
from semvec.encoders.tuned import WHOLE
from semvec.errors import InputError, ModelError, OptionError, OutputExists, ResumeMismatch
from semvec.finetune.classify import label_answer
from semvec.finetune.place import CHECKPOINTS, check_apart, check_model_replaceable
from semvec.finetune.task import Answer
from semvec.finetune.tuned import Loading, named
from semvec.text.document import flaw
from semvec.text.examples import LabelledTexts
from semvec.types import JSON, Progress

ABOUT, MARK, VERSION = "continual.json", "task.json", 1


class ContinualLearner:
    """A classifier of texts that is taught one task after the other, by ``strategy``, and asked whenever one likes.

    ``model`` is what `load_encoder` takes; under ncm and knn any encoder, else one with a transformer. ``options`` say all
    else; ``strategy`` and ``scenario`` named beside them are set in them. `learn` raises `InputError` for tasks that do not fit
    the scenario (`LabelRepeated` among them); after an error in the midst of it the learner is of no use: load it again.
    """

    def __init__(
        self,
        model: str | os.PathLike[str] = "minilm",
        strategy: ContinualStrategy | str | None = None,
        *,
        scenario: Scenario | str | None = None,
        options: ContinualOptions | None = None,
        device: str | None = None,
        trust_pickle: bool = False,
        trust_remote_code: bool = False,
    ) -> None:
        its, changes = options or ContinualOptions(), {}
        if strategy is not None:
            changes["strategy"] = ContinualStrategy(strategy)
        if scenario is not None:
            changes["scenario"] = Scenario(scenario)  # type: ignore[assignment]
        self.model, self.options = named(model), replace(its, **changes)  # type: ignore[arg-type]
        self.method: Method = _method(self.options, self.model, Loading(device, trust_pickle, trust_remote_code))
        self.tasks: list[JSON] = []
        self.tests: dict[str, LabelledTexts] = {}
        self._untaught: dict[str, float] = {}

    @property
    def labels(self) -> tuple[str, ...]:
        """The labels known, in the order in which they came; in the scenario task with their task's name before."""
        return self.method.labels

    def expect(self, tasks: Iterable[ContinualTask]) -> None:
        """Take note of what tasks, learnt already or to come, are examined on: with every task that is learnt, all are asked.

        Tests are not stored: after `load` those of earlier tasks are to be expected again, where there is to be a report.
        """
        for task in tasks:
            if task.test is not None:
                check_examples(task.test.texts, task.test.labels, f"task {task.name!r:.60}, its test")
                self.tests[task.name] = task.test
                commonest = Counter(task.train.labels).most_common(1)
                self._untaught[task.name] = task.test.labels.count(commonest[0][0]) / len(task.test) if commonest else 0.0

    def learn(
        self,
        task: ContinualTask,
        *,
        repeats: bool = False,
        checkpoints: str | os.PathLike[str] | None = None,
        resume: bool = False,
        progress: Progress | None = None,
    ) -> JSON:
        """Learn ``task``, examine on all tests that are known, and return what came of it.

        ``repeats`` says that labels which were learnt before mean what they meant. ``checkpoints`` is a folder in which the
        training is kept while it lasts, and from which ``resume`` goes on; what is left of it is the caller's. Raises
        `InputError` for a task that does not fit, `ResumeMismatch` where what is in ``checkpoints`` is of another one.
        """
        scenario, number, started = self.options.scenario, len(self.tasks), perf_counter()
        if not isinstance(task.name, str) or not task.name.strip() or flaw(task.name):
            raise InputError(f"{task.name!r:.40} is no name for a task")
        if any(one["name"] == task.name for one in self.tasks):
            raise InputError(f"task {task.name!r:.60} was learnt before: give this one another name")
        new = new_labels(task, self.labels, scenario, repeats=repeats)
        check_test(task, (*self.labels, *new), scenario)
        self.expect([task])
        examples = LabelledTexts(task.train.texts, named_labels(task.name, task.train.labels, scenario))
        with TemporaryDirectory() as spare:
            folder = Path(checkpoints) if checkpoints is not None else Path(spare)
            self._begin(folder, task, resume)
            about = self.method.learn(Part(task.name, number, examples, new, folder / CHECKPOINTS, resume, progress))
        record: JSON = {
            "name": task.name,
            "digest": digest_of(task),
            "examples": len(task.train),
            "labels": sorted(set(task.train.labels)),
            "seconds": round(perf_counter() - started, 2),
            "resumed": resume,
            "bytes": self.method.bytes,
            **about,
        }
        self.tasks.append({**record, "accuracies": {}, "tested": {}, "untaught": {}})
        found = self.examine(progress)
        self.tasks[-1] |= {
            "accuracies": found,
            "tested": {name: len(self.tests[name]) for name in found},
            "untaught": {name: self._untaught[name] for name in found},
        }
        return self.tasks[-1]

    def _begin(self, folder: Path, task: ContinualTask, resume: bool) -> None:
        """Mark ``folder`` as that of the training of ``task``; `ResumeMismatch` where it is gone on with and was another's."""
        mark, about = folder / MARK, {"task": digest_of(task), "learnt": len(self.tasks), "options": self.options.to_json()}
        said = json.loads(json.dumps(about))
        if resume:
            try:
                known = json.loads(mark.read_text(encoding="utf-8"))
            except (OSError, ValueError):
                known = None
            if known != said:
                raise ResumeMismatch(f"{folder}: what was begun there was another task, or with other options")
            return
        if (folder / CHECKPOINTS).exists():
            if not mark.is_file():
                raise OutputExists(f"{folder / CHECKPOINTS}: exists, and is of no training of tasks; name another folder")
            shutil.rmtree(folder / CHECKPOINTS)
        folder.mkdir(parents=True, exist_ok=True)
        mark.write_text(json.dumps(said), encoding="utf-8")

    def examine(self, progress: Progress | None = None) -> dict[str, float]:
        """Return the accuracy on every test that can be asked now: in a stream of domains also those of tasks to come."""
        known = {one["name"] for one in self.tasks}
        able = {name: test for name, test in self.tests.items() if name in known or self.options.scenario == Scenario.DOMAIN}
        if any(set(test.labels) - set(self.labels) for name, test in able.items() if name not in known):
            able = {name: test for name, test in able.items() if name in known}
        found = {}
        for name, test in able.items():
            task = name if self.options.scenario == Scenario.TASK else None
            said = self.predict(test.texts, task=task, progress=progress)
            found[name] = float(np.mean([one["label"] == label for one, label in zip(said, test.labels, strict=True)]))
        return found

    def predict(self, texts: Sequence[str], *, task: str | None = None, progress: Progress | None = None) -> list[Answer]:
        """Return the likeliest label of each of ``texts``, how likely it is (``score``), and how likely all are (``scores``).

        In the scenario task ``task`` says which one the texts are of; under adapters it may be left open in every scenario:
        which it is said to be is the answer's ``task``. In the scenarios class and domain other strategies have no use for it.
        """
        if isinstance(texts, str) or not isinstance(texts, Sequence):
            raise InputError(
                "texts must be a list of texts, not one string" if isinstance(texts, str) else "texts must be a list"
            )
        for at, text in enumerate(texts):
            if not isinstance(text, str) or flaw(text):
                raise InputError(f"text {at}: {flaw(text) or 'is no text'}")
        if not self.tasks:
            raise InputError("nothing was learnt yet")
        number = None if task is None else self._number(task)
        own, apart = self.options.scenario == Scenario.TASK, isinstance(self.method, Apart)
        if own and number is None and not apart:
            raise OptionError(f"in the scenario task it has to be said which one texts are of: {self._names()}")
        if number is not None and not own and not apart:
            raise OptionError(f"a task is told in the scenario task, or under adapters; this is {self.options.scenario}")
        among = [at for at, label in enumerate(self.labels) if not own or number is None or self.method.origin[label] == number]
        numbers = self.method.tasks_of(texts, progress) if number is None else None
        if numbers is not None:
            return self._inferred(texts, numbers, progress)
        return self._answers(self.method.shares(texts, number, among, progress), among, number)

    def _inferred(self, texts: Sequence[str], numbers: list[int], progress: Progress | None) -> list[Answer]:
        """Return the answers where each text is of the task that its number says."""
        found: list[Answer] = [{}] * len(texts)
        for number in sorted(set(numbers)):
            rows = [at for at, one in enumerate(numbers) if one == number]
            among = list(range(len(self.labels)))
            said = self._answers(self.method.shares([texts[row] for row in rows], number, among, progress), among, number)
            for row, one in zip(rows, said, strict=True):
                found[row] = {**one, "task": self.tasks[number]["name"]}
        return found

    def _answers(self, shares: Any, among: Sequence[int], number: int | None) -> list[Answer]:
        prefix = len(named_labels(self.tasks[number]["name"], [""], self.options.scenario)[0]) if number is not None else 0
        own = [at for at in among if number is None or not prefix or self.method.origin[self.labels[at]] == number]
        names = [self.labels[at][prefix:] for at in own]
        return [label_answer(row[own], names) for row in shares]

    def add(
        self, texts: Sequence[str], labels: Sequence[str], *, task: str | None = None, progress: Progress | None = None
    ) -> None:
        """Take in labelled ``texts`` without training, of labels known or new, under ncm and knn.

        In the scenario task ``task`` says of which one they are. Raises `OptionError` under strategies that train,
        `InputError` for texts and labels that do not belong together.
        """
        if not self.method.can_add:
            raise OptionError(f"{self.options.strategy} is trained: learn a task; ncm and knn take examples in without training")
        check_examples(texts, labels, "what is added")
        if not self.tasks:
            raise InputError("nothing was learnt yet: learn a first task")
        own = self.options.scenario == Scenario.TASK
        if own and task is None:
            raise OptionError(f"in the scenario task it has to be said which one texts are of: {self._names()}")
        number = len(self.tasks) - 1 if task is None else self._number(task)
        names = named_labels(self.tasks[number]["name"], labels, self.options.scenario)
        new = sorted(set(names) - set(self.labels))
        if new and self.options.scenario == Scenario.DOMAIN:
            raise InputError(f"the label {new[0]!r:.60} is new, but in a stream of domains all tasks have the same labels")
        self.method.learn(
            Part(self.tasks[number]["name"], number, LabelledTexts(list(texts), names), tuple(new), Path(), progress=progress)
        )

    def report(self) -> ContinualReport:
        """Return the accuracy on every task after every task, and what is made of that.

        Raises `InputError` where a task was not examined with every one that was learnt since.
        """
        if not self._examined:
            raise InputError(f"there is no report: {self._why_not()}")
        names = [one["name"] for one in self.tasks]
        cells = [[one["accuracies"].get(name, np.nan) for name in names] for one in self.tasks]
        last = self.tasks[-1]
        return ContinualReport(
            str(self.options.strategy),
            str(self.options.scenario),
            tuple(names),
            np.array(cells, dtype=np.float64),
            tuple(last["untaught"][name] for name in names),
            tuple(last["tested"][name] for name in names),
            tuple(one["seconds"] for one in self.tasks),
            tuple(one["bytes"] for one in self.tasks),
        )

    @property
    def _examined(self) -> bool:
        """Whether after every task all tasks so far were asked."""
        names = [one["name"] for one in self.tasks]
        return bool(names) and all(set(names[: at + 1]) <= set(one["accuracies"]) for at, one in enumerate(self.tasks))

    def _why_not(self) -> str:
        """Return what a report wants that is not there."""
        for at, one in enumerate(self.tasks):
            if missing := next((its["name"] for its in self.tasks[: at + 1] if its["name"] not in one["accuracies"]), None):
                return (
                    f"after task {one['name']!r:.60} task {missing!r:.60} was not examined: it has no test, or was not expected"
                )
        return "nothing was learnt yet"

    def save(self, folder: str | os.PathLike[str], *, overwrite: bool = False) -> None:
        """Write the learner to ``folder``: `load` reads it, and it goes on learning.

        Of the encoder its name is kept, and what it learnt. Raises `OutputExists` where something is there, unless it is a
        learner and to be ``overwrite``n.
        """
        if not self.tasks:
            raise InputError("nothing was learnt yet")
        target = Path(folder)
        check = partial(check_replaceable, target, "continual learner", (target / ABOUT).is_file, overwrite=overwrite)
        check()
        about = {
            "format": VERSION,
            "model": self.model,
            "weights": self.method.weights,
            "options": self.options.to_json(),
            "labels": list(self.labels),
            "origin": [self.method.origin[label] for label in self.labels],
            "tasks": self.tasks,
        }
        with folder_written_whole(target, check) as spare:
            self.method.save(spare)
            if self._examined:
                self.report().write(spare)
            (spare / ABOUT).write_text(json.dumps(about, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")

    @classmethod
    def load(
        cls,
        folder: str | os.PathLike[str],
        *,
        device: str | None = None,
        trust_pickle: bool = False,
        trust_remote_code: bool = False,
    ) -> ContinualLearner:
        """Return the learner that `save` wrote; `ModelError` where it is damaged, or its encoder is another one now."""
        place = Path(folder)
        try:
            about = json.loads((place / ABOUT).read_text(encoding="utf-8"))
        except OSError:
            raise ModelError(f"{place}: holds no continual learner") from None
        except ValueError as error:
            raise ModelError(f"{place}: {ABOUT} is damaged ({error!s:.80})") from error
        try:
            if about["format"] != VERSION:
                raise ModelError(f"{place}: is of format {about['format']!r:.20}, and this semvec reads {VERSION}")
            its = cls(
                str(about["model"]),
                options=ContinualOptions.from_json(about["options"]),
                device=device,
                trust_pickle=trust_pickle,
                trust_remote_code=trust_remote_code,
            )
            if not isinstance(about["labels"], list) or not isinstance(about["origin"], list):
                raise ValueError("labels or origin is no list")
            its.method.labels = tuple(map(str, about["labels"]))
            its.method.origin = dict(zip(its.method.labels, map(int, about["origin"]), strict=True))
            its.tasks = [_checked(dict(one)) for one in about["tasks"]]
            names = [str(one["name"]) for one in its.tasks]
            if (
                len(set(its.labels)) < len(about["labels"])
                or not names
                or not set(its.method.origin.values()) <= set(range(len(names)))
            ):
                raise ValueError("labels and tasks do not belong together")
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            if isinstance(error, ModelError):
                raise
            raise ModelError(f"{place}: {ABOUT} is damaged ({type(error).__name__}: {error!s:.80})") from error
        its.method.restore(place, names)
        if its.method.weights != about["weights"]:
            raise ModelError(f"{place}: was made from another {its.model} than the one there now: their weights differ")
        return its

    def export(self, folder: str | os.PathLike[str], *, overwrite: bool = False) -> None:
        """Write the classifier, as it is now, to ``folder`` as a model for 'semvec predict' and `load_model`.

        Raises `OptionError` for strategies that are no single network (adapters, ncm, knn), in the scenario task, where labels of
        different tasks were never told apart, and where the encoder that it is made upon would be replaced.
        """
        if not isinstance(self.method, Tuning):
            raise OptionError(f"{self.options.strategy} is no single network: save the learner, and load it")
        if self.options.scenario == Scenario.TASK:
            raise OptionError(
                "in the scenario task labels of different tasks were never told apart: save the learner, and load it"
            )
        target = Path(folder)
        check_apart(target, self.model, self.method.taught.base.kind == WHOLE)
        if self.model and Path(self.model).exists() and target.resolve() == Path(self.model).resolve():
            raise OptionError(f"{target}: is the encoder that this learner is made upon; write to another folder")
        check = partial(check_model_replaceable, target, overwrite)
        check()
        with folder_written_whole(target, check) as spare:
            self.method.taught.save(spare)

    def _number(self, task: str) -> int:
        for at, one in enumerate(self.tasks):
            if one["name"] == task:
                return at
        raise OptionError(f"task {task!r:.60} was not learnt: there are {self._names()}")

    def _names(self) -> str:
        return ", ".join(repr(one["name"]) for one in self.tasks)


def _checked(record: JSON) -> JSON:
    """Return what is known of a task; `KeyError`, `TypeError` or `ValueError` where it cannot have been written."""
    if not isinstance(record["name"], str) or not isinstance(record["digest"], str):
        raise ValueError("a task has no name, or no digest")
    for name in ("accuracies", "tested", "untaught"):
        record[name] = {str(key): value for key, value in record[name].items()}
        if not all(isinstance(value, int | float) and isfinite(value) for value in record[name].values()):
            raise ValueError(f"the {name} of task {record['name']!r:.40} are no numbers")
    if not set(record["accuracies"]) == set(record["tested"]) == set(record["untaught"]):
        raise ValueError(f"task {record['name']!r:.40} was examined on other tests than it says")
    record["seconds"], record["bytes"] = float(record["seconds"]), int(record["bytes"])
    return record


def digest_of(task: ContinualTask) -> str:
    """Return what tells ``task`` from another one: a hash of its name, its examples and its test."""
    parts = [task.name, task.train.texts, task.train.labels]
    parts += [] if task.test is None else [task.test.texts, task.test.labels]
    return sha256(json.dumps(parts).encode("utf-8", "surrogatepass")).hexdigest()


def _method(options: ContinualOptions, model: str, loading: Loading) -> Method:
    if options.strategy in TRAIN_NOTHING:
        made: type[Remembering] = REMEMBERING[options.strategy]
        return made(options, model, loading)
    return (Apart if options.strategy == ContinualStrategy.ADAPTERS else Tuning)(options, model, loading)
