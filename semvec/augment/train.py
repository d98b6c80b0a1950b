"""Labelled examples → a model that looks things up: its memory, what it learns beside it, and what the memory counts for."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, replace
from functools import partial
from hashlib import sha256
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np

from semvec.augment.card import card
from semvec.augment.classifier import RetrievalAugmentedClassifier, findings
from semvec.augment.examples import beside
from semvec.augment.joint import Joint
from semvec.augment.kinds import Kind, kind_of
from semvec.augment.looks_up import ABOUT, MEMORY, MODEL, Described, LooksUp
from semvec.augment.memory import DOCUMENT, Memory, Retrieval, label_of, new_memory, open_memory
from semvec.augment.report import Examined, examined
from semvec.augment.tagger import Helped, RetrievalAugmentedTagger
from semvec.augment.ways import Weighed, answering
from semvec.augment.weigh import Weighing, chosen_gate, chosen_weight
from semvec.embeddings.files import check_replaceable, folder_written_whole, held, plain_errors, written_whole
from semvec.encoders.catalog import load_encoder
from semvec.errors import InputError, OptionError, OutputExists, ResumeMismatch
from semvec.finetune.card import CARD
from semvec.finetune.loading import load_model
from semvec.finetune.model import FineTuned
from semvec.finetune.neighbours import COUNTS
from semvec.finetune.options import FinetuneOptions, HeadKind
from semvec.finetune.place import BEFORE, CHECKPOINTS, check_apart, part_of
from semvec.finetune.place import RUN as RUN_OF_MODEL
from semvec.finetune.seen import known_of, save_seen
from semvec.finetune.train import chosen_measure, finetune, measures_of, read_data
from semvec.finetune.trainer import last_checkpoint
from semvec.finetune.tuned import Lesson, Loading, named
from semvec.measures.intervals import Outcome
from semvec.results import Hits
from semvec.store.collection import Collection
from semvec.types import JSON, Progress, Step, Way

RUN = "augment-run.json"
TEMPERATURE = 0.1
"""Of neighbours whose weight was named."""

Look = Callable[..., list[Hits]]
"""Examples, and perhaps how many → their neighbours."""


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
    task: str = "classify",
    way: Way | str = Way.GATE,
    retrieval: Retrieval | None = None,
    collection: str | os.PathLike[str] | None = None,
    retriever: str | os.PathLike[str] | None = None,
    validation: str | os.PathLike[str] | None = None,
    options: FinetuneOptions | None = None,
    weight: float | None = None,
    tuned: str | os.PathLike[str] | None = None,
    resume: bool = False,
    overwrite: bool = False,
    device: str | None = None,
    progress: Progress | None = None,
) -> Augmented:
    """Train ``model``, an encoder, to say the labels of ``data``, or its tags (``task`` tag, by concat), with what it finds.

    What it becomes is written to ``output``: `RetrievalAugmentedClassifier` or `RetrievalAugmentedTagger` open it.
    It looks things up in the training examples, which are kept in the folder, or in ``collection``, whose items may have the
    field ``label``; ``retriever`` is the encoder that finds: ``model`` as it was, or the one that a collection names itself. It
    does not learn. Examples, of training and of validation, never find themselves, their like, or parts of their own document
    (the column ``document`` of the data, and the field of items). ``data``, ``validation`` and ``options`` are those of
    `finetune`. Under knn and gate ``weight`` is what the ``k`` nearest count for whatever validation shows, so that the model can
    be taught where they do not help yet; and ``tuned``, a model that `finetune` made for classify, is taken as it is: nothing
    is trained. A run that was stopped leaves ``output.part``, from which ``resume`` goes on.

    Raises what `finetune` raises, `OptionError` for what does not go with the ``way``, and `InputError` for an empty collection.
    """
    way, how, options = Way(way), retrieval or Retrieval(), options or FinetuneOptions()
    kind = kind_of(task)
    _check(task, way, how, options, weight, tuned)
    target, started, say = Path(output), perf_counter(), progress or (lambda _: None)
    finder = None if collection is not None and retriever is None else os.fspath(retriever or model)
    place = None if collection is None else named(collection)
    call = [
        task,
        weight,
        tuned and named(tuned),
        str(way),
        how.to_json(),
        options.to_json(),
        named(model),
        finder and named(finder),
        place,
    ]
    check = partial(check_replaceable, target, "model that looks things up", (target / ABOUT).is_file, overwrite=overwrite)
    check()
    needed = (one for one in (model, finder, collection, tuned) if one is not None and Path(one).exists())
    check_apart(target, model, True, data, validation, *needed)
    examples = read_data(kind.task, data, validation, options)
    with held(part_of(target)), ExitStack() as kept:
        with ExitStack() as asked:
            count = None if collection is None else asked.enter_context(Collection.open(collection)).count()
        digest = sha256(json.dumps([*call, count, repr(examples)], sort_keys=True).encode("utf-8", "surrogatepass")).hexdigest()
        work = _work(part_of(target), digest, resume=resume, overwrite=overwrite)
        if collection is None:
            memory = kept.enter_context(new_memory(work / MEMORY, load_encoder(os.fspath(finder or model), device=device), how))
            _fill(memory, kind, examples.train, say)
        else:
            memory = kept.enter_context(open_memory(collection, how, finder, device=device))
        if not memory.collection.count():
            raise InputError(f"{collection or data}: holds nothing that could be looked up")
        look = partial(_look, memory, kind, say)
        fixed = None if weight is None else Weighing(how.k, TEMPERATURE, weight)
        run = _Run(kind, way, model, examples, memory, work, options, Loading(device), resume, say, fixed, tuned)
        learnt, weighing, about = run.trained(look)
        record = {**about, "data": examples.name, "examples": _counts(examples)}
        its = Described(way, how, place, finder and named(finder), weighing, record, task)
        validated = _validated(learnt, memory, its, look, examples.validation)
        for name, found in zip(("validation", "alone"), validated.found.values(), strict=True):
            record[name] = measures_of(found, options.seed)
        record |= {"cost": validated.to_json(), "seconds": round(perf_counter() - started, 1)}
        kept.close()
        with folder_written_whole(target, check) as spare:
            its.write(spare)
            save_seen(spare, kind.task, examples.train, examples.validation)
            (spare / CARD).write_text(card(its, target.name), encoding="utf-8")
            for name in (MODEL, MEMORY) if collection is None else (MODEL,):
                shutil.copytree(work / name, spare / name)
        shutil.rmtree(work, ignore_errors=True)
    return Augmented(target, record)


def _look(memory: Memory, kind: Kind, say: Progress, examples: Any, k: int | None = None) -> list[Hits]:
    """Return the neighbours of ``examples`` that are not themselves, nor their like."""
    say(Step("looking things up", 0, len(examples), "texts"))
    return memory.neighbours(kind.texts(examples), apart=True, documents=kind.documents(examples), k=k)


def _validated(tuned: FineTuned, memory: Memory, its: Described, look: Look, validation: Any) -> Examined:
    """Return what is said of the validation data, none of which finds itself, is worth."""
    made: LooksUp
    if isinstance(tuned, Helped):
        made = RetrievalAugmentedTagger(tuned, memory, its)
    else:
        made = RetrievalAugmentedClassifier(answering(its.way, tuned, its.weighing), memory, its)
    return examined(made, validation, lambda: look(validation, made.wanted) if made.wanted else [Hits(())] * len(validation))


@dataclass
class _Run:
    """One training, and all it is about."""

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
    fixed: Weighing | None
    tuned: str | os.PathLike[str] | None = None

    @property
    def joint(self) -> bool:
        """Whether what is looked for is learnt, too."""
        return self.memory.how.joint

    def trained(self, look: Look) -> tuple[FineTuned, Weighing, dict[str, JSON]]:
        """Return the model, what neighbours count for, and what is to be noted."""
        if self.way == Way.CROSS or self.joint or self.kind.reads is Helped:
            return self._reading(look)
        folder = self.work / MODEL
        if self.tuned is not None:
            self._taken(folder)
        elif not folder.is_dir():
            data, validation = self._files(look)
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
        tuned = load_model(folder, device=self.loading.device)
        assert isinstance(tuned, FineTuned)
        if self.way == Way.CONCAT:
            return tuned, Weighing(), {}
        return tuned, self.fixed or self._weighed(tuned, look), {}

    def _taken(self, folder: Path) -> None:
        """Copy the model that was fine-tuned before into ``folder``, if it is one that can say the labels of the examples."""
        place, validation = Path(self.tuned or "").expanduser(), self.examples.validation
        its = load_model(place, device=self.loading.device)
        if its.task.name != "classify" or its.config.many:
            raise OptionError(
                f"{place}: is for {its.task.name}; tuned wants a model that says one label a text (finetune classify)"
            )
        its.task.check(validation, its.config, "validation data")
        if 2 * known_of(place, its.task, validation) > len(validation):
            raise InputError(
                f"{place} has learnt from most of the validation examples, which cannot show what neighbours count for: name "
                "others as validation"
            )
        with folder_written_whole(folder, lambda: None) as spare:
            shutil.copytree(place, spare, dirs_exist_ok=True, ignore=shutil.ignore_patterns(BEFORE))

    def _files(self, look: Look) -> tuple[Path, Path]:
        """Write the examples, with their neighbours where these are read beside them, and return the files."""
        files = []
        for name, its in (("train", self.examples.train), ("validation", self.examples.validation)):
            if self.way == Way.CONCAT:
                triples = zip(its.labels, its.texts, look(its), strict=True)
                rows = [{"label": label, "sentence1": text, "sentence2": beside(hits)} for label, text, hits in triples]
            else:
                rows = [{"label": label, "text": text} for label, text in zip(its.labels, its.texts, strict=True)]
            file = self.work / f"{name}.jsonl"
            with written_whole(file) as (stream,):
                stream.writelines((json.dumps(row, ensure_ascii=False) + "\n").encode("utf-8", "surrogatepass") for row in rows)
            files.append(file)
        return files[0], files[1]

    def _weighed(self, tuned: FineTuned, look: Look) -> Weighing:
        """Return what the neighbours count for, as the validation data show."""
        validation, hits = self.examples.validation, look(self.examples.validation, max(COUNTS))
        own_labels = tuned.config.labels
        others = {label for its in hits for hit in its if (label := label_of(hit)) is not None} - set(own_labels)
        names = [*own_labels, *sorted(others)]
        labels = {name: at for at, name in enumerate(names)}
        own = np.zeros((len(validation), len(names)))
        own[:, : len(own_labels)] = Weighed(tuned, Weighing()).begun(validation.texts)
        gold, measure = (
            np.array([labels[label] for label in validation.labels]),
            chosen_measure(self.kind.task, tuned, self.options),
        )

        def worth(shares: Any) -> Outcome:
            return findings(validation, [{"label": names[at]} for at in shares.argmax(axis=1).tolist()]).by(measure)

        self.say(Step("weighing the neighbours", 0, None, "settings"))
        if self.way == Way.GATE:
            return chosen_gate(own, hits, labels, gold, worth)
        return chosen_weight(own, hits, labels, worth)

    def _reading(self, look: Look) -> tuple[FineTuned, Weighing, dict[str, JSON]]:
        """Return a model that reads what is found itself."""
        task, both = self.kind.task, (self.examples.train, self.examples.validation)
        train, validation = (self.kind.found(its, look(its)) for its in both)
        tuned: Any = (Joint if self.joint else self.kind.reads).start(task, self.model, train, self.options, self.loading)
        if isinstance(tuned, Joint):
            tuned.attend(self.memory)
        task.check(validation, tuned.config, "validation data")
        measure = chosen_measure(task, tuned, self.options)
        history = tuned.learn(Lesson(train, validation, measure, self.work / CHECKPOINTS, self.resume), self.say)
        (self.work / MODEL).mkdir(exist_ok=True)
        tuned.record = {"measure": measure, "history": history}
        tuned.save(self.work / MODEL)
        return tuned, Weighing(), {"history": history}


def _check(task: str, way: Way, how: Retrieval, options: FinetuneOptions, weight: float | None, tuned: Any) -> None:
    """Raise `OptionError` for ``options`` that do not go with the ``way``."""
    if task == "tag" and way != Way.CONCAT:
        raise OptionError(f"taggers look things up by the way concat, not by {way}; 'semvec finetune tag --knn' weighs words")
    if weight is not None and (way not in (Way.KNN, Way.GATE) or not 0 < weight <= 1):
        raise OptionError("weight goes with the ways knn and gate, and is more than 0 and at most 1")
    if tuned is not None and (task != "classify" or way not in (Way.KNN, Way.GATE)):
        raise OptionError("tuned, a model taken as it is, goes with labels of texts (classify) and the ways knn and gate")
    if tuned is not None and replace(options, seed=0, columns={}, validation=FinetuneOptions().validation) != FinetuneOptions():
        raise OptionError("tuned is taken as it is, so options of training do not go with it")
    if how.joint and (task != "classify" or way != Way.CONCAT):
        raise OptionError("joint goes with labels of texts (classify) and the way concat")
    if options.many:
        raise OptionError("looking things up goes with one label a text, not with many")
    if options.knn or options.prune or options.search:
        raise OptionError("knn, prune and search are options of finetune, not of augment")
    if way == Way.CROSS and options.head != HeadKind.LINEAR:
        raise OptionError("cross-attention is a head itself, and goes with the option head at linear")
    if how.joint and options.head != HeadKind.LINEAR:
        raise OptionError("joint goes with the option head at linear")


def _work(work: Path, digest: str, *, resume: bool, overwrite: bool) -> Path:
    """Return the folder to work in: new, or what a run of the same ``digest`` left."""
    run = work / RUN
    with plain_errors(work):
        if resume:
            try:
                known = json.loads(run.read_bytes())["digest"]
            except (OSError, ValueError, KeyError, TypeError):
                raise ResumeMismatch(f"{work}: no unfinished run is there to go on with; leave out --resume") from None
            if known != digest:
                raise ResumeMismatch(f"{work}: the unfinished run had other data, another model or other options")
            return work
        if os.path.lexists(work):
            if not run.is_file():
                raise OutputExists(f"{work}: exists, is no unfinished run, and is not overwritten; name another MODEL")
            learnt = (work / CHECKPOINTS, part_of(work / MODEL) / CHECKPOINTS)
            if not overwrite and ((work / MODEL).exists() or any(last_checkpoint(its) for its in learnt)):
                raise OutputExists(f"{work}: an unfinished run is there: --resume goes on with it, --overwrite begins anew")
            shutil.rmtree(work)
        work.mkdir(parents=True)
        with written_whole(run) as (stream,):
            stream.write(json.dumps({"digest": digest}).encode())
    return work


def _fill(memory: Memory, kind: Kind, examples: Any, say: Progress) -> None:
    """Write the training examples into a memory where that was not done before, those of blanks left out."""
    if memory.collection.count():
        return  # a run that goes on; what it wrote, it wrote before it learnt anything
    say(Step("remembering", 0, len(examples), "examples"))
    ids = [f"train-{at}" for at in range(len(examples))]
    documents = kind.documents(examples)
    more = {} if documents is None else {DOCUMENT: documents}
    memory.add(ids, kind.texts(examples), kind.notes(examples), **more)


def _counts(examples: Any) -> JSON:
    return {"train": len(examples.train), "validation": len(examples.validation), "split off": examples.split}
