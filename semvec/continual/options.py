"""What is decided about a learner before its first task."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from typing import Any

from semvec.continual.task import Scenario
from semvec.errors import OptionError
from semvec.finetune.options import FinetuneOptions, check_within
from semvec.types import JSON, Choice, Strategy, check_names


class ContinualStrategy(Choice):
    """What keeps a learner from forgetting, or what it is to be compared with.

    ``naive``: nothing. ``joint``: all examples so far are learnt anew with every task, the most that can be had.
    ``ewc``, ``online-ewc``: weights that mattered to earlier tasks move little (arXiv:1612.00796, arXiv:1805.06370).
    ``replay``: some earlier examples are learnt again beside the new ones (arXiv:1902.10486). ``der``: with what was said of
    them then, too (dark experience replay, arXiv:2004.07211). ``lwf``: what was said of the new texts before stays
    (learning without forgetting, arXiv:1606.09282). ``adapters``: every task has weights of its own beside a frozen encoder.
    ``ncm``: the label whose mean vector is nearest, ``knn``: the labels of the nearest examples, by an encoder that stays.
    """

    NAIVE = "naive"
    JOINT = "joint"
    EWC = "ewc"
    ONLINE_EWC = "online-ewc"
    REPLAY = "replay"
    DER = "der"
    LWF = "lwf"
    ADAPTERS = "adapters"
    NCM = "ncm"
    KNN = "knn"


class Fisher(Choice):
    """Whose labels the Fisher information is of: drawn from what the ``model`` says, or the examples' own (``empirical``)."""

    MODEL = "model"
    EMPIRICAL = "empirical"


class Selection(Choice):
    """Which examples are remembered.

    ``reservoir``: every one so far with the same chance (Vitter, 1985). ``balanced``: as many of every label.
    """

    RESERVOIR = "reservoir"
    BALANCED = "balanced"


class Among(Choice):
    """Which labels a new example is told apart from while it is learnt: all ``seen`` so far, or those of its ``task``."""

    SEEN = "seen"
    TASK = "task"


REPLAYING = (ContinualStrategy.REPLAY, ContinualStrategy.DER)
REMEMBERING = (ContinualStrategy.NCM, ContinualStrategy.KNN)
"""Strategies that train nothing."""

CONSOLIDATING = (ContinualStrategy.EWC, ContinualStrategy.ONLINE_EWC)
STRENGTHS = {ContinualStrategy.EWC: 1e5, ContinualStrategy.ONLINE_EWC: 1e5, ContinualStrategy.LWF: 1.0}
"""What keeps earlier tasks counts for, where nobody says."""

APART = (Strategy.FULL, Strategy.LAST_N, Strategy.LORA, Strategy.DORA, Strategy.IA3, Strategy.ADAPTER, Strategy.BITFIT)
"""Strategies of fine-tuning under which the encoder without what learnt is the encoder as it was."""

MEMORY = 500
"""Examples that are remembered, where nobody says how many."""

HEEDED = (
    *("strategy", "epochs", "batch_size", "learning_rate", "head_learning_rate", "optimizer", "schedule", "warmup"),
    *("weight_decay", "dropout", "clip", "accumulate", "precision", "seed", "max_tokens", "layers", "pooling"),
    *("rank", "last_layers", "virtual_tokens", "reduction"),
)
"""Options of fine-tuning that a classifier heeds which is not validated, and whose head is linear, as it grows."""


@dataclass(frozen=True)
class ContinualOptions:
    """How a learner goes from task to task.

    ``among`` says, in the scenario class, which labels a new example is told apart from; None is all seen so far, and those of
    its task under lwf, ewc and online-ewc, which otherwise unlearn the old ones by being told that no new text has them. A task
    of one label is always told apart from all. ``strength`` is what staying as it was counts for under ewc, online-ewc (λ) and
    lwf; None is the strategy's own.

    ``memory`` is how many examples replay and der remember, by ``selection``; None is 500, and of a stream in a file a fifth of
    the first task's examples, where that is less. Under der what was said of them (their logits) counts ``alpha`` and their
    labels ``beta`` (0 is plain DER, more DER++). ``fisher`` says whose labels the Fisher information is of, taken of
    ``fisher_samples`` examples a task; under online-ewc the earlier one counts ``decay`` of what it did. ``temperature`` softens
    what was said, under lwf. ``k`` is how many neighbours knn asks.

    ``finetune`` says how a network learns each task: its strategy under adapters is lora where it is left at full.
    """

    strategy: ContinualStrategy = ContinualStrategy.REPLAY
    scenario: Scenario = Scenario.CLASS
    among: Among | None = None
    strength: float | None = None
    memory: int | None = None
    selection: Selection = Selection.BALANCED
    alpha: float = 0.5
    beta: float = 0.5
    fisher: Fisher = Fisher.MODEL
    fisher_samples: int = 256
    decay: float = 0.9
    temperature: float = 2.0
    k: int = 8
    finetune: FinetuneOptions = field(default_factory=FinetuneOptions)

    def __post_init__(self) -> None:
        for name, kind in CHOICES.items():
            if getattr(self, name) is not None:
                object.__setattr__(self, name, kind(getattr(self, name)))
        for name, range_ in RANGES.items():
            if getattr(self, name) is not None:
                check_within(name, getattr(self, name), range_, whole=name in WHOLE)
        its, plain = self.finetune, FinetuneOptions()
        others = (one.name for one in fields(its) if one.name not in HEEDED)
        if other := next((name for name in others if getattr(its, name) != getattr(plain, name)), None):
            raise OptionError(f"{other} does nothing, or does not go, with one task after the other")
        if self.among is not None and self.scenario != Scenario.CLASS:
            raise OptionError(f"among is of the scenario class; in {self.scenario} it is settled")
        if self.strategy == ContinualStrategy.ADAPTERS and its.strategy not in APART:
            raise OptionError(f"adapters: a task's own weights are by {', '.join(APART[1:])}, not by {its.strategy}")

    @property
    def told_apart(self) -> Among:
        """Which labels a new example is told apart from."""
        if self.scenario != Scenario.CLASS:
            return Among.TASK if self.scenario == Scenario.TASK else Among.SEEN
        keeps = (*CONSOLIDATING, ContinualStrategy.LWF)
        return self.among or (Among.TASK if self.strategy in keeps else Among.SEEN)

    @property
    def remembers(self) -> int:
        """How many examples replay and der remember."""
        return MEMORY if self.memory is None else self.memory

    @property
    def taught_by(self) -> FinetuneOptions:
        """How a network learns a task: under adapters by LoRA where nobody says otherwise."""
        lora = self.strategy == ContinualStrategy.ADAPTERS and self.finetune.strategy == Strategy.FULL
        return replace(self.finetune, strategy=Strategy.LORA) if lora else self.finetune

    @property
    def counts(self) -> float:
        """What staying as it was counts for."""
        return STRENGTHS.get(self.strategy, 0.0) if self.strength is None else self.strength

    def to_json(self) -> JSON:
        """Return the options as JSON."""
        return {**asdict(self), "finetune": self.finetune.to_json()}

    @classmethod
    def from_json(cls, record: Mapping[str, Any]) -> ContinualOptions:
        """Return what `to_json` gave, or some of it; `OptionError` for a name or a value that is none."""
        its = dict(record)
        check_names(its, [one.name for one in fields(cls)])
        if "finetune" in its:
            its["finetune"] = FinetuneOptions().changed(dict(its["finetune"]))
        return cls(**its)


CHOICES: dict[str, type[Choice]] = {
    "strategy": ContinualStrategy,
    "scenario": Scenario,
    "among": Among,
    "selection": Selection,
    "fisher": Fisher,
}
WHOLE = ("memory", "fisher_samples", "k")
RANGES: dict[str, tuple[float, float]] = {
    "strength": (0, 1e12),
    "memory": (1, 10_000_000),
    "alpha": (0, 1e6),
    "beta": (0, 1e6),
    "fisher_samples": (1, 1_000_000),
    "decay": (0, 1),
    "temperature": (0.01, 100),
    "k": (1, 10_000),
}
