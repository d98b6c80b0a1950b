"""Which settings suit the data: Optuna proposes, validation judges, and everything that was tried is kept."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from contextlib import contextmanager
from dataclasses import fields, replace
from pathlib import Path
from shutil import rmtree
from time import perf_counter
from typing import TYPE_CHECKING, Any, Protocol

from semvec.encoders.model_folder import first_line
from semvec.errors import MissingExtra, OptionError, SemvecError
from semvec.finetune.options import FinetuneOptions
from semvec.finetune.tuned import Lesson, Tuned
from semvec.types import JSON, Progress, Step, Strategy

if TYPE_CHECKING:
    from collections.abc import Iterator

JOURNAL = "trials.log"
RANDOM = 6
"""Trials drawn by chance before what was seen decides (Tree-structured Parzen estimator, Bergstra and others, 2011)."""

WIDER = 5.0
"""How many times greater and smaller than a strategy's own rate the rates are that are tried."""

LOOKS = 1
"""Looks of a trial before it may be given up for being worse than half of the others were at the same look."""


class Suggest(Protocol):
    """What proposes an option to a trial; ``own`` is what it is without a search."""

    def __call__(self, trial: Any, name: str, own: float) -> Any: ...


def _rate(trial: Any, name: str, own: float) -> float:
    return float(trial.suggest_float(name, own / WIDER, own * WIDER, log=True))


def _among(*values: Any) -> Suggest:
    return lambda trial, name, own: trial.suggest_categorical(name, list(values))


def _epochs(trial: Any, name: str, own: float) -> int:
    return int(trial.suggest_int(name, max(1, int(own) // 2), max(2, 2 * int(own))))


SPACE: dict[str, Suggest] = {
    "learning_rate": _rate,
    "head_learning_rate": _rate,
    "epochs": _epochs,
    "batch_size": _among(16, 32, 64),
    "dropout": lambda trial, name, own: trial.suggest_float(name, 0.0, 0.3),
    "weight_decay": _among(0.0, 0.01, 0.1),
    "label_smoothing": _among(0.0, 0.1),
    "rank": _among(4, 8, 16, 32),
    "virtual_tokens": _among(5, 10, 20, 50),
    "reduction": _among(4, 8, 16, 32),
    "last_layers": _among(1, 2, 3),
}
"""The options that are looked for, and among what."""

ONLY: dict[str, tuple[Strategy, ...]] = {
    "rank": (Strategy.LORA, Strategy.DORA),
    "virtual_tokens": (Strategy.PREFIX, Strategy.PROMPT, Strategy.PTUNING),
    "reduction": (Strategy.ADAPTER,),
    "last_layers": (Strategy.LAST_N,),
}
"""Options that only some strategies heed."""


def sought(options: FinetuneOptions, heeded: Collection[str]) -> list[str]:
    """Return what of ``options`` is looked for: what is as it is by default, and of those ``heeded`` or the strategy's own."""
    plain = {field.name: field.default for field in fields(FinetuneOptions)}
    own = {name for name, strategies in ONLY.items() if options.strategy in strategies}
    return [name for name in SPACE if getattr(options, name) == plain[name] and name in own | set(heeded)]


def search(
    start: Callable[[FinetuneOptions], Tuned],
    options: FinetuneOptions,
    usual: FinetuneOptions,
    names: Sequence[str],
    lesson: Lesson,
    progress: Progress | None = None,
) -> tuple[FinetuneOptions, JSON]:
    """Return ``options`` with those of ``names`` as they were best on the validation data, and all that was tried, as JSON.

    ``start`` gives a model ready to learn, ``usual`` are the options it has without a search. A setting that cannot be trained
    with is noted and passed over. With ``lesson.resume`` the trials that were done are not done again. Raises `MissingExtra`
    without optuna, `OptionError` where there is nothing to look for or no setting could be trained with.
    """
    try:
        import optuna
    except ImportError as error:
        raise MissingExtra(f"--search needs the library optuna ({error}): pip install 'semvec[optuna]'") from error
    if not names:
        raise OptionError("search: every option it could change was named")
    lesson.folder.mkdir(exist_ok=True)
    plain = replace(options, search=0, knn=False)
    say, count = progress or (lambda _: None), options.search

    def objective(trial: Any) -> float:
        began = perf_counter()
        chosen = replace(plain, **{name: SPACE[name](trial, name, getattr(usual, name)) for name in names})
        place = lesson.folder / f"trial-{trial.number}"
        looks: list[float] = []

        def told(value: float) -> None:
            looks.append(value)
            trial.report(value, len(looks))
            if trial.should_prune():
                raise optuna.TrialPruned

        stage = f"setting {len(_done(trial.study, optuna)) + 1} of {count}"

        def inner(step: Step) -> None:
            say(replace(step, stage=f"{stage}: {step.stage}"))

        try:
            start(chosen).learn(replace(lesson, folder=place, resume=False, told=told), inner)
        except (SemvecError, RuntimeError, ValueError) as error:
            trial.set_user_attr("error", first_line(error))
            raise
        finally:
            trial.set_user_attr("seconds", round(perf_counter() - began, 1))
            rmtree(place, ignore_errors=True)
        return max(looks)

    with _silent(optuna):
        study = _study(optuna, lesson.folder / JOURNAL, options.seed)
        left = count - len(_done(study, optuna))
        if left > 0:
            study.optimize(objective, n_trials=left, catch=(SemvecError, RuntimeError, ValueError))
        done = _done(study, optuna)
        if not any(trial.state == optuna.trial.TrialState.COMPLETE for trial in done):
            raise OptionError(f"search: none of {len(done)} settings could be trained with: {_why(done)}")
        best = study.best_trial
    trials = [
        {
            "trial": trial.number + 1,
            "value": None if trial.value is None else round(trial.value, 6),
            "given up": trial.state == optuna.trial.TrialState.PRUNED,
            "error": trial.user_attrs.get("error"),
            "seconds": trial.user_attrs.get("seconds"),
            **trial.params,
        }
        for trial in done
    ]
    return replace(options, **best.params), {"best": best.number + 1, "options": names, "trials": trials}


def _done(study: Any, optuna: Any) -> list[Any]:
    """Return the trials that came to their end, were given up or met an error; not those in which the run was stopped."""
    states = optuna.trial.TrialState
    ended = (states.COMPLETE, states.PRUNED)
    return [trial for trial in study.trials if trial.state in ended or "error" in trial.user_attrs]


def _why(trials: Sequence[Any]) -> str:
    return next((its.user_attrs["error"] for its in trials if "error" in its.user_attrs), "the measure was no number")


def _study(optuna: Any, file: Path, seed: int) -> Any:
    """Return the study in ``file``, a new one where there is none."""
    from optuna.storages import JournalStorage
    from optuna.storages.journal import JournalFileBackend

    study = optuna.create_study(
        storage=JournalStorage(JournalFileBackend(str(file))),
        study_name="search",
        pruner=optuna.pruners.MedianPruner(n_startup_trials=RANDOM, n_warmup_steps=LOOKS + 1),
        direction="maximize",
        load_if_exists=True,
    )
    drawn = len(study.trials)  # a search that goes on must not draw again what it drew
    study.sampler = optuna.samplers.TPESampler(seed=seed + drawn, n_startup_trials=RANDOM)
    return study


@contextmanager
def _silent(optuna: Any) -> Iterator[None]:
    """Keep Optuna's notes off the terminal."""
    level = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    try:
        yield
    finally:
        optuna.logging.set_verbosity(level)
