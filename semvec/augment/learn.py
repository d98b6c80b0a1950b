"""What is learnt beside a memory: a model alone, one that reads what is found, or nothing but what neighbours count for."""

from __future__ import annotations

import json
import os
import shutil
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from semvec.augment.classifier import findings
from semvec.augment.described import MODEL
from semvec.augment.examples import beside
from semvec.augment.joint import Joint
from semvec.augment.kinds import Kind
from semvec.augment.memory import Memory, label_of
from semvec.augment.ways import Weighed
from semvec.augment.weigh import Weighing, chosen_gate, chosen_weight
from semvec.embeddings.files import folder_written_whole, written_whole
from semvec.errors import InputError, OptionError
from semvec.finetune.loading import load_model
from semvec.finetune.model import FineTuned
from semvec.finetune.neighbours import COUNTS
from semvec.finetune.options import FinetuneOptions
from semvec.finetune.place import BEFORE, CHECKPOINTS, part_of
from semvec.finetune.place import RUN as RUN_OF_MODEL
from semvec.finetune.seen import known_of
from semvec.finetune.train import chosen_measure, finetune
from semvec.finetune.tuned import Lesson, Loading
from semvec.measures.intervals import Outcome
from semvec.results import Hits
from semvec.types import JSON, Progress, Step, Way

FILLED = "remembered"
"""The sign that a memory was filled to its end."""

KNOWN = 0.05
"""The share of validation examples that a model which is taken as it is may have learnt from."""


@dataclass
class Learning:
    """One training, and all it is about; ``fixed`` is a model that is taken as it is."""

    kind: Kind
    way: Way
    model: str | os.PathLike[str]
    examples: Any
    memory: Memory
    work: Path
    options: FinetuneOptions
    loading: Loading
    resume: bool
    say: Progress
    fixed: FineTuned | None = None

    def look(self, examples: Any, k: int | None = None) -> list[Hits]:
        """Return the neighbours of ``examples`` that are not themselves, nor their like."""
        self.say(Step("looking things up", 0, len(examples), "texts"))
        return self.memory.neighbours(self.kind.texts(examples), apart=True, documents=self.kind.documents(examples), k=k)

    def learnt(self, weighing: Weighing | None) -> tuple[FineTuned, Weighing, dict[str, JSON]]:
        """Return the model, what neighbours count for (``weighing``, where that was named), and what is to be noted."""
        if reader := self.kind.reads.get(self.way):
            return self._reading(reader)
        folder = self.work / MODEL
        if self.fixed is not None:
            self._copy(folder)
        elif not folder.is_dir():
            data, validation = self._files()
            finetune(
                "pairs" if self.way == Way.CONCAT else "classify",
                self.model,
                data,
                folder,
                validation=validation,
                options=replace(self.options, columns={}),
                before=False,
                resume=self.resume and (part_of(folder) / RUN_OF_MODEL).is_file(),
                device=self.loading.device,
                progress=self.say,
            )
        tuned = self.fixed or load_model(folder, device=self.loading.device)
        assert isinstance(tuned, FineTuned)
        if self.way == Way.CONCAT:
            return tuned, Weighing(), {}
        return tuned, weighing or self._weighed(tuned), {}

    def _copy(self, folder: Path) -> None:
        """Copy the model that is taken as it is into ``folder``; `InputError` where it has learnt from the validation data."""
        place, validation = Path(self.model).expanduser(), self.examples.validation
        if (known := known_of(place, self.kind.task, validation)) > KNOWN * len(validation):
            raise InputError(
                f"{place} has learnt from {known:,} of the {len(validation):,} validation examples, which cannot show what "
                "neighbours count for then: name others as validation"
            )
        if not folder.is_dir():
            with folder_written_whole(folder, lambda: None) as spare:
                shutil.copytree(place, spare, dirs_exist_ok=True, ignore=shutil.ignore_patterns(BEFORE))

    def _files(self) -> tuple[Path, Path]:
        """Write the examples, with their neighbours where these are read beside them, and return the files."""
        files = []
        for name, its in (("train", self.examples.train), ("validation", self.examples.validation)):
            if self.way == Way.CONCAT:  # what is first is cut where both are too long, what is second is read in windows
                triples = zip(its.labels, its.texts, self.look(its), strict=True)
                rows = [{"label": label, "sentence1": beside(hits), "sentence2": text} for label, text, hits in triples]
            else:
                rows = [{"label": label, "text": text} for label, text in zip(its.labels, its.texts, strict=True)]
            file = self.work / f"{name}.jsonl"
            with written_whole(file) as (stream,):
                stream.writelines((json.dumps(row, ensure_ascii=False) + "\n").encode("utf-8", "surrogatepass") for row in rows)
            files.append(file)
        return files[0], files[1]

    def _weighed(self, tuned: FineTuned) -> Weighing:
        """Return what the neighbours count for, as the validation data show."""
        validation, hits = self.examples.validation, self.look(self.examples.validation, max(COUNTS))
        own_labels = tuned.config.labels
        found = {label for its in hits for hit in its if (label := label_of(hit)) is not None}
        names = [*own_labels, *sorted((found | set(validation.labels)) - set(own_labels))]
        labels = {name: at for at, name in enumerate(names)}
        own = np.zeros((len(validation), len(names)))
        own[:, : len(own_labels)] = Weighed(tuned, Weighing()).begun(validation.texts)
        gold = np.array([labels[label] for label in validation.labels])
        measure = chosen_measure(self.kind.task, tuned, self.options)

        def worth(shares: Any) -> Outcome:
            return findings(validation, [{"label": names[at]} for at in shares.argmax(axis=1).tolist()]).by(measure)

        self.say(Step("weighing the neighbours", 0, None, "settings"))
        if self.way == Way.GATE:
            return chosen_gate(own, hits, labels, gold, worth)
        return chosen_weight(own, hits, labels, worth)

    def _reading(self, reader: type[FineTuned]) -> tuple[FineTuned, Weighing, dict[str, JSON]]:
        """Return a model of the class ``reader``, which reads what is found itself."""
        task, both = self.kind.task, (self.examples.train, self.examples.validation)
        train, validation = (self.kind.found(its, self.look(its)) for its in both)
        tuned: Any = reader.start(task, self.model, train, self.options, self.loading)
        if isinstance(tuned, Joint):
            tuned.attend(self.memory)
        task.check(validation, tuned.config, "validation data")
        measure = chosen_measure(task, tuned, self.options)
        history = tuned.learn(Lesson(train, validation, measure, self.work / CHECKPOINTS, self.resume), self.say)
        (self.work / MODEL).mkdir(exist_ok=True)
        tuned.record = {"measure": measure, "history": history}
        tuned.save(self.work / MODEL)
        return tuned, Weighing(), {"history": history}


def taken(model: str | os.PathLike[str], loading: Loading) -> FineTuned:
    """Return the model that `finetune` made in the folder ``model``; `OptionError` where it does not say one label a text."""
    its = load_model(model, device=loading.device)
    if not isinstance(its, FineTuned) or its.task.name != "classify" or its.config.many:
        raise OptionError(
            f"{model}: is for {its.task.name}; taken as it is can be what says one label a text (finetune classify)"
        )
    return its
