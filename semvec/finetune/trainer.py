"""The loop: transformers' Trainer, with validation by the very code that predicts, and checkpoints of what learns alone."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save_file
from transformers import EarlyStoppingCallback, PrinterCallback, Trainer, TrainerCallback, TrainingArguments

from semvec.embeddings.files import written_whole
from semvec.encoders.tuned import INSTALL
from semvec.errors import MissingExtra, OutputError
from semvec.finetune.chance import seeded
from semvec.finetune.heads import Batch
from semvec.finetune.options import FinetuneOptions, Optimizer, Precision, Schedule
from semvec.finetune.processes import COUNTED, Shared, by_first, check_alone, has_idle, many, number, weighed
from semvec.finetune.strategies import settled
from semvec.finetune.tuned import Lesson
from semvec.types import JSON, Progress, Step

Validate = Callable[[], Mapping[str, float]]


def unvalidated() -> Mapping[str, float]:
    """Stand where measures are wanted in a lesson without validation data: it is never asked."""
    raise AssertionError("nothing is validated: the last step is kept")


LEARNT, WHOLE = "learnt.safetensors", "whole"
"""Files of a checkpoint: what had been learnt, and the sign that it was written to its end."""

TOGETHER = 50
"""Batches whose windows are put in the order of their lengths, so that little is padded."""

PATIENT = 30
"""Steps without a better measure before which no training is stopped: an epoch of few examples says little."""

KEPT_EVERY = 100
"""Steps between two checkpoints, at least, where nothing is looked at: of few examples an epoch is soon done again."""

STEPS_AT_MOST = 1000
"""Steps between two looks at the validation data, at most."""

WRITER = ("inline_container", "PytorchStreamWriter")
"""What torch calls itself where it cannot write a file."""

MOMENTUM = 0.9
SCHEDULES = {Schedule.LINEAR: "linear", Schedule.COSINE: "cosine", Schedule.CONSTANT: "constant_with_warmup"}


class Item(Protocol):
    """What is learnt from at once."""

    @property
    def length(self) -> int:
        """How many tokens it has."""


class Validated(Trainer):  # type: ignore[misc]
    """Trainer, except for what is validated and stored, and which rates there are.

    ``learner`` is the module that learns from ``lesson``, ``validate`` gives its measures as it is.
    """

    def __init__(
        self, *, learner: torch.nn.Module, lesson: Lesson, validate: Validate, options: FinetuneOptions, **named: Any
    ) -> None:
        if many() > 1 and not hasattr(learner, "units"):
            check_alone("this training")
        self.learner: Any = learner
        self.lesson, self.validate, self.own_options = lesson, validate, options
        super().__init__(**named)
        self.remove_callback(PrinterCallback)
        self.model_accepts_loss_kwargs = False

    def evaluate(self, *_: Any, **__: Any) -> dict[str, float]:
        found = by_first(self.validate)
        metrics = {f"eval_{name}": value for name, value in found.items()}
        if self.lesson.told:
            self.lesson.told(found[self.lesson.measure])
        self.log(dict(metrics))
        self.control: Any = self.callback_handler.on_evaluate(self.args, self.state, self.control, metrics)
        return metrics

    def create_optimizer(self, model: Any = None) -> Any:
        self.optimizer: Any = self.optimizer or optimizer(self.learner, self.own_options)
        return self.optimizer

    def _save(self, output_dir: str | None = None, state_dict: Any = None) -> None:
        place = Path(output_dir or self.args.output_dir)
        place.mkdir(parents=True, exist_ok=True)
        save_file({name: its.detach().cpu().contiguous() for name, its in learnt(self.learner).items()}, place / LEARNT)

    def _load_from_checkpoint(self, resume_from_checkpoint: str, model: Any = None) -> None:
        self.learner.load_state_dict(load_file(Path(resume_from_checkpoint) / LEARNT), strict=False)

    def _load_best_model(self) -> None:
        if self.state.best_model_checkpoint:
            self._load_from_checkpoint(self.state.best_model_checkpoint)


class Loop(Validated):
    """The loop of a network: batches of windows of like lengths, and the loss that it gives itself."""

    at_epoch: Callable[[int], None] | None = None

    def compute_loss(self, model: Any, inputs: Any, return_outputs: bool = False, **_: Any) -> Any:
        counted = inputs.pop(COUNTED, None)
        outputs = model(**inputs)
        loss = outputs["loss"] if counted is None else weighed(outputs["loss"], self.learner.units(inputs), counted)
        return (loss, outputs) if return_outputs else loss

    def get_train_dataloader(self) -> Any:
        if many() == 1:
            return super().get_train_dataloader()
        return Shared(self.train_dataset, self._get_train_sampler(), self.own_options.batch_size, self.data_collator)

    def _get_train_sampler(self, train_dataset: Any = None) -> Any:
        return Order(self.train_dataset, self.own_options.batch_size, self.own_options.seed, self.at_epoch)


class Told(TrainerCallback):  # type: ignore[misc]
    """Marks checkpoints as whole, and says how far training is."""

    def __init__(self, folder: Path, progress: Progress | None) -> None:
        self.folder, self.progress = folder, progress

    def on_save(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        if number() == 0:
            (self.folder / f"checkpoint-{state.global_step}" / WHOLE).touch()

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        if self.progress:
            loss = next((its["loss"] for its in reversed(state.log_history) if "loss" in its), None)
            self.progress(Step("training", state.global_step, state.max_steps, "steps", loss))


class Renewed(TrainerCallback):  # type: ignore[misc]
    """Puts what ``renew`` gives in the place of ``items``, before every epoch but the first, and where a run goes on."""

    def __init__(self, items: list[Item], renew: Callable[..., Sequence[Item]], options: FinetuneOptions) -> None:
        self.items, self.renew, self.options = items, renew, options

    def on_epoch_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        if state.global_step:
            self.items[:] = self.renew(inside=state.global_step % steps_an_epoch(len(self.items), self.options) > 0)


def train(
    network: torch.nn.Module,
    items: Sequence[Item],
    options: FinetuneOptions,
    lesson: Lesson,
    validate: Validate,
    device: str,
    *,
    collate: Callable[[Sequence[Any]], Batch],
    renew: Callable[..., Sequence[Item]] | None = None,
    at_epoch: Callable[[int], None] | None = None,
    progress: Progress | None = None,
) -> JSON:
    """Train ``network`` on ``items``, those of ``lesson``, leave it as it was best, and return the history as JSON.

    ``collate`` makes a batch of some of them; ``renew`` gives them anew before every epoch but the first, and, told that it is
    ``inside`` an epoch, where a stopped run goes on there; ``at_epoch`` hears which epoch begins (0 is the first). ``validate``
    gives the measures of the network as it is. The history has the loss of some steps, the measures of every look, and which
    was best.
    """

    kept = list(items)

    def make() -> Any:
        loop = Loop(
            learner=network,
            lesson=lesson,
            validate=validate,
            options=options,
            model=network,
            args=TrainingArguments(
                **arguments(len(items), options, lesson, device),
                ddp_find_unused_parameters=many() > 1 and has_idle(network, collate(kept[:1]), device),
            ),
            train_dataset=kept,
            eval_dataset=[],
            data_collator=collate,
            callbacks=[*callbacks(len(items), options, lesson, progress), *([Renewed(kept, renew, options)] if renew else [])],
        )
        loop.at_epoch = at_epoch
        return loop

    return run(make, options.seed, lesson)


def run(make: Callable[[], Any], seed: int, lesson: Lesson) -> JSON:
    """Run the trainer that ``make`` gives, from its last checkpoint where ``lesson`` resumes, and return its history."""
    if not torch.distributed.is_initialized():
        check_alone("this training")
    with seeded(seed), _quiet():
        try:
            trainer = make()
        except ImportError as error:
            raise MissingExtra(f"training needs the library accelerate ({str(error).splitlines()[0]:.80}): {INSTALL}") from error
        if not isinstance(trainer, Loop):
            check_alone("this training")
        if number():
            torch.manual_seed(seed + number())  # what is dropped here is not what is dropped there
        last = by_first(partial(_to_go_on_from, lesson.folder)) if lesson.resume else None
        with _told_where_full(lesson.folder):
            trainer.train(resume_from_checkpoint=None if last is None else str(last))
        trainer.accelerator.unwrap_model(trainer.model, keep_fp32_wrapper=False)  # else it computes in bf16 from now on
    return {**_history(trainer.state), **({} if last is None else {"resumed at": int(last.name.partition("-")[2])})}


@contextmanager
def _told_where_full(folder: Path) -> Iterator[None]:
    """Raise `OutputError` where a checkpoint could not be written, which torch and safetensors each say in their own way."""
    try:
        yield
    except (OSError, SafetensorError) as error:
        raise OutputError(f"{folder}: cannot be written: {str(error).splitlines()[0]:.160}") from error
    except RuntimeError as error:
        if not any(sign in str(error) for sign in WRITER):
            raise
        raise OutputError(f"{folder}: cannot be written: is the disk full? ({str(error).splitlines()[0]:.120})") from error


def _reads(checkpoint: Path) -> bool:
    """Whether what is in ``checkpoint`` can be read still."""
    try:
        json.loads((checkpoint / "trainer_state.json").read_bytes())
        with safe_open(checkpoint / LEARNT, "pt") as tensors:
            return bool(tensors.keys())
    except Exception:  # whatever safetensors says of a file that is none
        return False


def _to_go_on_from(folder: Path) -> Path | None:
    """Return the last whole checkpoint in ``folder``, ready to be gone on from."""
    last = last_checkpoint(folder)
    if last is not None:
        _best_is_here(last)
    return last


def _best_is_here(checkpoint: Path) -> None:
    """Have what is known of a run name its best checkpoint where that is now: its folder may have been moved."""
    file = checkpoint / "trainer_state.json"
    state = json.loads(file.read_text(encoding="utf-8"))
    if best := state.get("best_model_checkpoint"):
        state["best_model_checkpoint"] = str(checkpoint.resolve().parent / Path(best).name)
        with written_whole(file) as (stream,):
            stream.write(json.dumps(state).encode())


def last_checkpoint(folder: Path) -> Path | None:
    """Return the last checkpoint in ``folder`` that was written to its end."""
    found = [path.parent for path in folder.glob(f"checkpoint-*/{WHOLE}") if _reads(path.parent)]
    return max(found, key=lambda path: int(path.name.partition("-")[2]), default=None)


def callbacks(count: int, options: FinetuneOptions, lesson: Lesson, progress: Progress | None) -> list[Any]:
    """Return what stops a training on ``count`` examples early, and tells of it."""
    if lesson.validation is None:
        return [Told(lesson.folder, progress)]
    _, look = steps_of(count, options)
    patience = max(options.patience, -(-PATIENT // look))
    return [EarlyStoppingCallback(early_stopping_patience=patience), Told(lesson.folder, progress)]


def steps_of(count: int, options: FinetuneOptions) -> tuple[int, int]:
    """Return how many steps are taken at most for ``count`` examples, and how many between two looks."""
    a_epoch = steps_an_epoch(count, options)
    steps = max(1, round(a_epoch * (settled(options).epochs or 1)))
    return steps, min(steps, -(-a_epoch // -(-a_epoch // STEPS_AT_MOST)))


def steps_an_epoch(count: int, options: FinetuneOptions) -> int:
    """Return how many steps an epoch of ``count`` examples has."""
    return max(1, -(-count // (options.batch_size * options.accumulate)))


def arguments(count: int, options: FinetuneOptions, lesson: Lesson, device: str) -> dict[str, Any]:
    """Return Trainer's settings for ``count`` examples."""
    steps, look = steps_of(count, options)
    looked: dict[str, Any] = {
        "eval_strategy": "steps",
        "eval_steps": look,
        "save_steps": look,
        "load_best_model_at_end": True,
        "metric_for_best_model": f"eval_{lesson.measure}",
        "greater_is_better": True,
    }
    if lesson.validation is None:
        looked = {"eval_strategy": "no", "save_steps": max(look, min(steps, KEPT_EVERY))}
    on_gpu = device.startswith("cuda")
    able = on_gpu and torch.cuda.is_bf16_supported()
    return {
        "output_dir": str(lesson.folder.resolve()),
        "per_device_train_batch_size": max(1, options.batch_size // many()),
        "gradient_accumulation_steps": options.accumulate,
        "max_steps": steps,
        "learning_rate": settled(options).learning_rate,
        "lr_scheduler_type": SCHEDULES[options.schedule],
        "warmup_steps": round(options.warmup * steps),
        "weight_decay": options.weight_decay,
        "max_grad_norm": options.clip,
        "bf16": options.precision == Precision.BF16 or (options.precision == Precision.AUTO and able),
        "use_cpu": device == "cpu",
        **looked,
        "save_strategy": "steps",
        "save_total_limit": 2,
        "logging_strategy": "steps",
        "logging_steps": max(1, steps // 100),
        "logging_nan_inf_filter": False,
        "seed": options.seed,
        "disable_tqdm": True,
        "report_to": "none",
        "remove_unused_columns": False,
        "dataloader_pin_memory": on_gpu,
        "restore_callback_states_from_checkpoint": True,
    }


def optimizer(module: torch.nn.Module, options: FinetuneOptions) -> torch.optim.Optimizer:
    """Return what takes the steps: what is new at the rate of heads, biases and norms without decay."""
    its = settled(options)
    rates = {False: its.learning_rate, True: its.head_learning_rate}
    new = getattr(module, "new", ("head.",))
    groups: dict[tuple[bool, bool], list[torch.nn.Parameter]] = {}
    for name, weight in module.named_parameters():
        if weight.requires_grad:
            groups.setdefault((name.startswith(new), weight.ndim > 1), []).append(weight)
    sets = [
        {"params": weights, "lr": rates[head], "weight_decay": options.weight_decay if decays else 0.0}
        for (head, decays), weights in groups.items()
    ]
    if options.optimizer == Optimizer.SGD:
        return torch.optim.SGD(sets, momentum=MOMENTUM)
    return torch.optim.AdamW(sets, fused=True)  # on 2 CPU cores in a fifth of the time


def learnt(module: torch.nn.Module) -> dict[str, torch.Tensor]:
    """Return what learns of ``module``, and its buffers, by name: all that has to be kept of a training."""
    kept = {name for name, weight in module.named_parameters() if weight.requires_grad}
    kept |= {name for name, _ in module.named_buffers()}
    return {name: value for name, value in module.state_dict().items() if name in kept}


class Order(torch.utils.data.Sampler[int]):
    """The order of the items in every epoch, decided by the seed: those of like lengths together, batches by chance."""

    def __init__(self, items: Sequence[Item], batch: int, seed: int, told: Callable[[int], None] | None = None) -> None:
        self.items, self.batch, self.seed, self.epoch, self.told = items, batch, seed, 0, told

    def set_epoch(self, epoch: int) -> None:
        """Say which epoch comes next."""
        self.epoch = epoch
        if self.told:
            self.told(epoch)

    def __len__(self) -> int:
        return len(self.items)

    def __iter__(self) -> Iterator[int]:
        rng = np.random.default_rng((self.seed, self.epoch))
        lengths, order = np.array([item.length for item in self.items]), rng.permutation(len(self.items))
        some = self.batch * TOGETHER
        parts = [part[np.argsort(-lengths[part], kind="stable")] for part in np.split(order, range(some, len(order), some))]
        batches = [batch for part in parts for batch in np.split(part, range(self.batch, len(part), self.batch))]
        short = [batch for batch in batches if len(batch) < self.batch]
        full = [batch for batch in batches if len(batch) == self.batch]
        ordered = [full[at] for at in rng.permutation(len(full))] + short  # a short one in between would shift all others
        return iter(np.concatenate(ordered).tolist())


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep Trainer's notes, which are of no use to a user of semvec, off the terminal."""
    from transformers.utils import logging as notes

    level = notes.get_verbosity()
    notes.set_verbosity_error()
    try:
        yield
    finally:
        notes.set_verbosity(level)


def _history(state: Any) -> JSON:
    """Return the losses of some steps, the measures of every look, and the step that was best."""
    losses = [{"step": its["step"], "epoch": its["epoch"], "loss": its["loss"]} for its in state.log_history if "loss" in its]
    looks = [
        {"step": its["step"], "epoch": its["epoch"], **found}
        for its in state.log_history
        if (found := {name.removeprefix("eval_"): value for name, value in its.items() if name.startswith("eval_")})
    ]
    return {
        "steps": state.global_step,
        "best_step": state.best_global_step or state.global_step,
        "losses": losses,
        "looks": looks,
    }
