"""Labelled examples → a model that looks things up: checked, its memory filled, taught (`learn`), examined and stored whole."""

from __future__ import annotations

import json
import os
import shutil
from contextlib import ExitStack
from dataclasses import dataclass, replace
from functools import partial
from hashlib import sha256
from pathlib import Path
from time import perf_counter
from typing import Any

from semvec.augment.card import card
from semvec.augment.classifier import RetrievalAugmentedClassifier
from semvec.augment.described import ABOUT, MEMORY, MODEL, Described
from semvec.augment.joint import check_alike
from semvec.augment.kinds import Kind, kind_of
from semvec.augment.learn import FILLED, Learning, taken
from semvec.augment.looks_up import LooksUp
from semvec.augment.memory import DOCUMENT, Memory, Retrieval, new_memory, open_memory
from semvec.augment.report import Examined, examined
from semvec.augment.tagger import Helped, RetrievalAugmentedTagger
from semvec.augment.ways import answering
from semvec.augment.weigh import Weighing
from semvec.embeddings.files import check_replaceable, folder_written_whole, held, plain_errors, written_whole
from semvec.encoders.catalog import load_encoder
from semvec.errors import InputError, OptionError, OutputExists, ResumeMismatch
from semvec.finetune.card import CARD
from semvec.finetune.model import FineTuned
from semvec.finetune.options import FinetuneOptions, HeadKind
from semvec.finetune.place import CHECKPOINTS, check_apart, part_of
from semvec.finetune.seen import save_seen
from semvec.finetune.train import measures_of, read_data
from semvec.finetune.trainer import last_checkpoint
from semvec.finetune.tuned import Loading, named
from semvec.results import Hits
from semvec.types import JSON, Dtype, Level, Progress, Step, Way

RUN = "augment-run.json"
TEMPERATURE = 0.1
"""Of neighbours whose weight was named."""

OF_A_RUN = {RUN, FILLED, MEMORY, MODEL, CHECKPOINTS, part_of(Path(MODEL)).name, "train.jsonl", "validation.jsonl"}
"""All that lies in the folder of an unfinished run, beside what locks it."""


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
    as_is: bool = False,
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
    be taught where they do not help yet. There too ``model`` may be one that `finetune` made for classify and that is taken
    ``as_is``: nothing is trained, and the encoder it was made from finds. A run that was stopped leaves ``output.part``, from
    which ``resume`` goes on.

    Raises what `finetune` raises, `OptionError` for what does not go with the ``way``, and `InputError` for an empty collection.
    """
    way, how, options = Way(way), retrieval or Retrieval(), options or FinetuneOptions()
    kind = kind_of(task)
    _check(task, way, how, options, weight, as_is, collection is not None)
    target, started, say = Path(output), perf_counter(), progress or (lambda _: None)
    loading = Loading(device)
    check = partial(check_replaceable, target, "model that looks things up", (target / ABOUT).is_file, overwrite=overwrite)
    check()
    fixed = taken(model, loading) if as_is else None
    own = None if collection is not None else model if fixed is None else fixed.base.base
    finder = None if (retriever or own) is None else named(retriever or own or model)
    _check_apart(target, model, finder, collection, data, validation)
    examples = read_data(kind.task, data, validation, options)
    if fixed is None:
        kind.task.check(examples.validation, kind.task.config(examples.train, options), "validation data")
    call = [task, weight, as_is, str(way), how.to_json(), options.to_json(), named(model), finder]
    call.append(None if collection is None else named(collection))
    with held(part_of(target)), ExitStack() as kept:
        memory = None if collection is None else kept.enter_context(open_memory(collection, how, finder, device=device))
        if memory is not None and not memory.collection.count():
            raise InputError(f"{collection}: holds nothing that could be looked up")
        encoder = load_encoder(finder or model, device=device) if memory is None else memory.searcher.encoder
        if way == Way.JOINT:
            check_alike(encoder, loading.encoder(model).transformer.hidden)
        what = [*call, None if memory is None else memory.collection.count(), repr(examples)]
        digest = sha256(json.dumps(what, sort_keys=True).encode("utf-8", "surrogatepass")).hexdigest()
        work = _work(part_of(target), digest, resume=resume, overwrite=overwrite)
        if memory is None:
            memory = kept.enter_context(new_memory(work / MEMORY, encoder, how))
            _fill(memory, work / FILLED, kind, examples.train, say)
        run = Learning(kind, way, model, examples, memory, work, options, loading, resume, say, fixed)
        learnt, weighing, about = run.learnt(None if weight is None else Weighing(how.k, TEMPERATURE, weight))
        record = {
            **about,
            "data": examples.name,
            "examples": {"train": len(examples.train), "validation": len(examples.validation), "split off": examples.split},
            "model": named(model),
            "as is": as_is,
            "strategy": str(learnt.options.strategy),
            "seed": options.seed,
            "device": loading.device or learnt.device,
            "dtype": str(memory.collection.settings.dtype),
        }
        its = Described(way, how, None if collection is None else named(collection), finder, weighing, record, task)
        validated = _validated(learnt, memory, its, run, examples.validation)
        for name, found in zip(("validation", "alone"), validated.found.values(), strict=True):
            record[name] = measures_of(found, options.seed)
        record |= {"cost": validated.to_json(), "seconds": round(perf_counter() - started, 1)}
        kept.close()
        with folder_written_whole(target, check) as spare:
            its.write(spare)
            save_seen(spare, kind.task, examples.train, examples.validation, also=Path(model) if as_is else None)
            (spare / CARD).write_text(card(its, target.name), encoding="utf-8")
            for name in (MODEL, MEMORY) if collection is None else (MODEL,):
                shutil.copytree(work / name, spare / name)
        shutil.rmtree(work, ignore_errors=True)
    return Augmented(target, record)


def _validated(tuned: FineTuned, memory: Memory, its: Described, run: Learning, validation: Any) -> Examined:
    """Return what is said of the validation data, none of which finds itself, is worth."""
    made: LooksUp
    if isinstance(tuned, Helped):
        made = RetrievalAugmentedTagger(tuned, memory, its)
    else:
        made = RetrievalAugmentedClassifier(answering(its.way, tuned, its.weighing), memory, its)
    return examined(made, validation, lambda: run.look(validation, made.wanted) if made.wanted else [Hits(())] * len(validation))


def _check(task: str, way: Way, how: Retrieval, options: FinetuneOptions, weight: float | None, as_is: bool, given: bool) -> None:
    """Raise `OptionError` for what does not go with the ``way``, the task, or a collection that was ``given``."""
    weighed, own = way in (Way.KNN, Way.GATE), replace(options, seed=0, columns={}, validation=0.5, measure=None)
    rules = (
        (task == "tag" and way != Way.CONCAT, f"taggers look things up by the way concat, not by {way}"),
        (
            weight is not None and not (weighed and 0 < weight <= 1),
            "weight goes with knn and gate, and is more than 0, at most 1",
        ),
        (as_is and not (task == "classify" and weighed), "as_is goes with labels of texts (classify) and the ways knn and gate"),
        (as_is and own != FinetuneOptions(validation=0.5), "a model that is taken as it is has no use for options of training"),
        (given and how.dtype != Dtype.FLOAT32, "dtype is of a memory that is made, and a collection keeps its own"),
        (options.many, "looking things up goes with one label a text, not with many"),
        (options.knn or options.prune or options.search, "knn, prune and search are options of finetune, not of augment"),
    )
    own_heads = (
        (options.head != HeadKind.LINEAR, f"{way} is a head itself, and goes with the option head at linear"),
        (
            way == Way.JOINT and (how.hybrid or how.level == Level.TOKEN),
            "joint is learnt on one vector a text, without hybrid and level token",
        ),
    )
    for wrong, said in (*rules, *(own_heads if way in (Way.CROSS, Way.JOINT) else ())):
        if wrong:
            raise OptionError(said)


def _check_apart(
    target: Path,
    model: str | os.PathLike[str],
    finder: str | os.PathLike[str] | None,
    collection: str | os.PathLike[str] | None,
    *data: str | os.PathLike[str] | None,
) -> None:
    """Raise `OptionError` where writing ``target`` would take away what is read, or what that was made upon."""
    for its in (model, finder):
        if its is not None:
            check_apart(target, its, False, *data, *(one for one in (collection,) if one and Path(one).exists()))


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
            if not run.is_file() or (others := {path.name for path in work.iterdir()} - OF_A_RUN):
                why = "is no unfinished run" if not run.is_file() else f"holds {min(others)}, which is of no run"
                raise OutputExists(f"{work}: exists, {why}, and is not overwritten; name another MODEL")
            learnt = (work / CHECKPOINTS, part_of(work / MODEL) / CHECKPOINTS)
            if not overwrite and ((work / MODEL).exists() or any(last_checkpoint(its) for its in learnt)):
                raise OutputExists(f"{work}: an unfinished run is there: --resume goes on with it, --overwrite begins anew")
            shutil.rmtree(work)
        work.mkdir(parents=True)
        with written_whole(run) as (stream,):
            stream.write(json.dumps({"digest": digest}).encode())
    return work


def _fill(memory: Memory, mark: Path, kind: Kind, examples: Any, say: Progress) -> None:
    """Write the training examples into a memory, those of blanks left out, and have all of it searched fast; once a run."""
    if mark.exists():
        return
    say(Step("remembering", 0, len(examples), "examples"))
    documents = kind.documents(examples)
    more = {} if documents is None else {DOCUMENT: documents}
    memory.add([f"train-{at}" for at in range(len(examples))], kind.texts(examples), kind.notes(examples), **more)
    if not memory.collection.count():
        raise InputError("the training examples hold nothing that could be looked up")
    memory.collection.optimise()
    mark.touch()
