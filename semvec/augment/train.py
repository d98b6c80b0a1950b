"""Labelled examples → a model that looks things up: its memory, what it learns beside it, and what the memory counts for."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from functools import partial
from hashlib import sha256
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np

from semvec.augment.classifier import ABOUT, MEMORY, MODEL, Described, RetrievalAugmentedClassifier, bank_of, findings
from semvec.augment.crossed import Crossed
from semvec.augment.memory import DOCUMENT, LABEL, Memory, Retrieval, new_memory, open_memory
from semvec.augment.ways import Way, Weighed, beside
from semvec.augment.weigh import Weighing, chosen_gate, chosen_weight
from semvec.embeddings.files import check_replaceable, folder_written_whole, held, plain_errors, written_whole
from semvec.encoders.catalog import load_encoder
from semvec.errors import InputError, OptionError, OutputExists, ResumeMismatch
from semvec.finetune.loading import load_model
from semvec.finetune.model import FineTuned
from semvec.finetune.neighbours import COUNTS
from semvec.finetune.options import FinetuneOptions, HeadKind
from semvec.finetune.place import part_of
from semvec.finetune.task import Task
from semvec.finetune.tasks import task_named
from semvec.finetune.train import chosen_measure, finetune, measures_of, read_data
from semvec.finetune.tuned import Lesson, Loading, named
from semvec.measures.intervals import Outcome
from semvec.results import Hits
from semvec.text.examples import LabelledTexts
from semvec.types import JSON, Progress, Step

RUN = "augment-run.json"


@dataclass(frozen=True)
class Augmented:
    """A model that was made: where it is, and what came of it."""

    path: Path
    record: JSON


def train(
    model: str | os.PathLike[str],
    data: str | os.PathLike[str],
    output: str | os.PathLike[str],
    *,
    way: Way | str = Way.GATE,
    retrieval: Retrieval | None = None,
    collection: str | os.PathLike[str] | None = None,
    retriever: str | os.PathLike[str] | None = None,
    validation: str | os.PathLike[str] | None = None,
    documents: Sequence[str] | None = None,
    options: FinetuneOptions | None = None,
    resume: bool = False,
    overwrite: bool = False,
    device: str | None = None,
    trust_pickle: bool = False,
    progress: Progress | None = None,
) -> Augmented:
    """Train ``model``, an encoder, to say the labels of ``data`` with what it finds; write what it becomes to ``output``.

    It looks things up in the training examples, which are kept in the folder, or in ``collection``, whose items may have the
    field ``label``; ``retriever`` is the encoder that finds, ``model`` as it was before where none is named, and does not
    learn. Examples never find themselves, their like, or parts of their own document (``documents``, one an example; items
    have theirs in the field ``document``). ``data``, ``validation`` and ``options`` are those of `finetune`. A run that was
    stopped leaves ``output.part``, from which ``resume`` goes on.

    Raises what `finetune` raises, `OptionError` for what does not go with the ``way``, and `InputError` for an empty collection.
    """
    way, how, options = Way(way), retrieval or Retrieval(), options or FinetuneOptions()
    _check(way, options)
    target, started, say = Path(output), perf_counter(), progress or (lambda _: None)
    finder = os.fspath(retriever or model)
    call = [
        str(way),
        how.to_json(),
        options.to_json(),
        named(model),
        named(finder),
        None if collection is None else named(collection),
    ]
    check = partial(check_replaceable, target, "model that looks things up", (target / ABOUT).is_file, overwrite=overwrite)
    check()
    task: Task[Any] = task_named("classify")
    examples = read_data(task, data, validation, options)
    if documents is not None and len(documents) != len(examples.train):
        raise InputError(f"{len(documents):,} documents for {len(examples.train):,} training examples")
    digest = sha256(json.dumps([*call, repr(examples)], sort_keys=True).encode("utf-8", "surrogatepass")).hexdigest()
    with held(part_of(target)), ExitStack() as kept:
        work = _work(part_of(target), digest, resume=resume, overwrite=overwrite)
        loading = Loading(device, trust_pickle)
        if collection is None:
            encoder = load_encoder(finder, device=device, trust_pickle=trust_pickle)
            memory = kept.enter_context(new_memory(work / MEMORY, encoder, how))
            _fill(memory, examples.train, documents, say)
        else:
            memory = kept.enter_context(open_memory(collection, how, None if retriever is None else finder, device=device))
            if not memory.collection.count():
                raise InputError(f"{collection}: is empty, so there is nothing to look up")
        run = _Run(task, way, model, examples, memory, work, options, loading, documents, resume, say)
        tuned, weighing, about = run.trained()
        with folder_written_whole(target, check) as spare:
            place = None if collection is None else named(collection)
            record = {
                **about,
                "data": examples.name,
                "examples": _counts(examples),
                "seconds": round(perf_counter() - started, 1),
            }
            its = Described(way, how, place, named(finder), weighing, record)
            made = RetrievalAugmentedClassifier(run.answering(tuned, weighing), memory, its)
            record["validation"] = measures_of(made.measured(examples.validation), options.seed)
            told = findings(examples.validation, made.alone(examples.validation.texts), made.labels)
            record["alone"] = measures_of(told, options.seed)
            kept.close()
            its.write(spare)
            for name in (MODEL, MEMORY) if collection is None else (MODEL,):
                shutil.copytree(work / name, spare / name)
        shutil.rmtree(work, ignore_errors=True)
    return Augmented(target, record)


@dataclass
class _Run:
    """One training, and all it is about."""

    task: Task[Any]
    way: Way
    model: str | os.PathLike[str]
    examples: Any
    memory: Memory
    work: Path
    options: FinetuneOptions
    loading: Loading
    documents: Sequence[str] | None
    resume: bool
    say: Progress

    def answering(self, tuned: FineTuned, weighing: Weighing) -> Any:
        """Return what makes answers of ``tuned``."""
        from semvec.augment.ways import Attending, Concatenated

        if self.way == Way.CROSS:
            return Attending(tuned)
        return Concatenated(tuned) if self.way == Way.CONCAT else Weighed(tuned, weighing)

    def trained(self) -> tuple[FineTuned, Weighing, dict[str, JSON]]:
        """Return the model, what neighbours count for, and what is to be noted."""
        if self.way == Way.CROSS:
            return self._crossed()
        folder = self.work / MODEL
        if not folder.is_dir():
            data, validation = self._files()
            going_on = self.resume and part_of(folder).is_dir()
            task = "pairs" if self.way == Way.CONCAT else "classify"
            options = replace(self.options, columns={})
            finetune(
                task,
                self.model,
                data,
                folder,
                validation=validation,
                options=options,
                before=False,
                resume=going_on,
                device=self.loading.device,
                trust_pickle=self.loading.trust_pickle,
                progress=self.say,
            )
        tuned = load_model(folder, device=self.loading.device, trust_pickle=self.loading.trust_pickle)
        assert isinstance(tuned, FineTuned)
        if self.way == Way.CONCAT:
            return tuned, Weighing(), {}
        return tuned, self._weighed(tuned), {}

    def _files(self) -> tuple[Path, Path]:
        """Write the examples, with their neighbours where these are read beside them, and return the files."""
        files = []
        for name, its, apart in (("train", self.examples.train, True), ("validation", self.examples.validation, False)):
            texts, file = its.texts, self.work / f"{name}.jsonl"
            if self.way == Way.CONCAT:
                hits = self.look(texts, apart)
                rows = [
                    {"label": label, "sentence1": text, "sentence2": beside(one)}
                    for label, text, one in zip(its.labels, texts, hits, strict=True)
                ]
            else:
                rows = [{"label": label, "text": text} for label, text in zip(its.labels, texts, strict=True)]
            with written_whole(file) as (stream,):
                stream.writelines((json.dumps(row, ensure_ascii=False) + "\n").encode("utf-8", "surrogatepass") for row in rows)
            files.append(file)
        return files[0], files[1]

    def look(self, texts: Sequence[str], apart: bool, k: int | None = None) -> list[Hits]:
        """Return the neighbours of ``texts``, of training examples (``apart``) those that are not themselves."""
        documents = self.documents if apart and len(texts) == len(self.examples.train) else None
        self.say(Step("looking things up", 0, len(texts), "texts"))
        return self.memory.neighbours(texts, apart=apart, documents=documents, k=k)

    def _weighed(self, tuned: FineTuned) -> Weighing:
        """Return what the neighbours count for, as the validation data show."""
        validation: LabelledTexts = self.examples.validation
        names = [*tuned.config.labels, *(its for its in self.memory.labels() if its not in tuned.config.labels)]
        labels = {name: at for at, name in enumerate(names)}
        own = np.zeros((len(validation), len(names)))
        own[:, : len(tuned.config.labels)] = Weighed(tuned, Weighing()).begun(validation.texts)
        hits = self.look(validation.texts, True, max(COUNTS))  # a copy among the training examples would flatter them
        gold = np.array([labels[label] for label in validation.labels])

        def worth(shares: Any) -> Outcome:
            said = [{"label": names[at]} for at in shares.argmax(axis=1).tolist()]
            return findings(validation, said, names).outcomes[0]

        self.say(Step("weighing the neighbours", 0, None, "settings"))
        if self.way == Way.GATE:
            return chosen_gate(own, hits, labels, gold, worth)
        return chosen_weight(own, hits, labels, worth)

    def _crossed(self) -> tuple[FineTuned, Weighing, dict[str, JSON]]:
        train, validation, options = self.examples.train, self.examples.validation, self.options
        tuned = Crossed.start(self.task, self.model, train, options, self.loading)  # type: ignore[arg-type]
        assert isinstance(tuned, Crossed)
        self.task.check(validation, tuned.config, "validation data")
        found = {id(its.texts): self.look(its.texts, apart) for its, apart in ((train, True), (validation, False))}
        tuned.looking(lambda texts, apart: found.get(id(texts)) or self.look(texts, apart), bank_of(self.memory))
        measure = chosen_measure(self.task, tuned, options)
        history = tuned.learn(Lesson(train, validation, measure, self.work / "checkpoints", self.resume), self.say)
        (self.work / MODEL).mkdir(exist_ok=True)
        tuned.record = {"measure": measure, "history": history}
        tuned.save(self.work / MODEL)
        return tuned, Weighing(), {"history": history}


def _check(way: Way, options: FinetuneOptions) -> None:
    """Raise `OptionError` for ``options`` that do not go with the ``way``."""
    if options.many:
        raise OptionError("looking things up goes with one label a text, not with many")
    if options.knn or options.prune or options.search:
        raise OptionError("knn, prune and search are options of finetune, not of augment")
    if way == Way.CROSS and options.head != HeadKind.LINEAR:
        raise OptionError("cross-attention is a head itself: leave out --head")


def _work(work: Path, digest: str, *, resume: bool, overwrite: bool) -> Path:
    """Return the folder to work in: new, or what a run of the same ``digest`` left."""
    run = work / RUN
    with plain_errors(work):
        if resume:
            if not run.is_file():
                raise ResumeMismatch(f"{work}: no unfinished run is there to go on with; leave out --resume")
            if json.loads(run.read_bytes()).get("digest") != digest:
                raise ResumeMismatch(f"{work}: the unfinished run had other data, another model or other options")
            return work
        if os.path.lexists(work):
            if not run.is_file():
                raise OutputExists(f"{work}: exists, is no unfinished run, and is not overwritten; name another MODEL")
            if (work / MODEL).exists() and not overwrite:
                raise OutputExists(f"{work}: an unfinished run is there: --resume goes on with it, --overwrite begins anew")
            shutil.rmtree(work)
        work.mkdir(parents=True)
        run.write_text(json.dumps({"digest": digest}), encoding="utf-8")
    return work


def _fill(memory: Memory, examples: LabelledTexts, documents: Sequence[str] | None, say: Progress) -> None:
    """Write the training examples into an empty memory, those of blanks left out."""
    if memory.collection.count() == len(examples):
        return  # a run that goes on
    say(Step("remembering", 0, len(examples), "examples"))
    more: dict[str, Sequence[JSON]] = {} if documents is None else {DOCUMENT: documents}
    ids = [f"train-{at}" for at in range(len(examples))]
    memory.add(ids, examples.texts, **{LABEL: examples.labels, **more})
    if not memory.collection.count():
        raise InputError("no training example has a word that the encoder knows, so there is nothing to look up")


def _counts(examples: Any) -> JSON:
    return {"train": len(examples.train), "validation": len(examples.validation), "split off": examples.split}
