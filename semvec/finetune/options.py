"""What is decided about a training before it begins."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from operator import index
from typing import Any

from semvec.errors import OptionError
from semvec.types import JSON, Choice, Pooling, Strategy, check_names


class Precision(Choice):
    """With how many bits a training computes: ``auto`` takes bf16 on a GPU that has it, float32 elsewhere."""

    AUTO = "auto"
    FLOAT32 = "float32"
    BF16 = "bf16"


class Optimizer(Choice):
    """What takes the steps."""

    ADAMW = "adamw"
    SGD = "sgd"


class Schedule(Choice):
    """How the learning rate goes down after the warm-up."""

    LINEAR = "linear"
    COSINE = "cosine"
    CONSTANT = "constant"


class Scheme(Choice):
    """How a tagger marks spans: BIOES tells it also where they end and which are one word."""

    BIO = "BIO"
    BIOES = "BIOES"


class HeadKind(Choice):
    """What makes a label of a text's tokens.

    ``linear``: a linear layer on their pooling. ``router``: on a pooling of the tokens that a learned router keeps.
    ``expert-choice``: the same, after experts have each worked on the tokens they chose (arXiv:2202.09368).
    """

    LINEAR = "linear"
    ROUTER = "router"
    EXPERT_CHOICE = "expert-choice"


class Loss(Choice):
    """What a sentence encoder learns by; ``auto`` takes what fits the columns of the data.

    cosent wants scores, mnr pairs that belong together (all others of the batch do not), triplet a text that is not alike,
    contrastive labels 0 and 1; simcse and tsdae want texts alone.
    """

    AUTO = "auto"
    COSENT = "cosent"
    MNR = "mnr"
    TRIPLET = "triplet"
    CONTRASTIVE = "contrastive"
    SIMCSE = "simcse"
    TSDAE = "tsdae"


HEAD_POOLINGS = (Pooling.MEAN, Pooling.CLS, Pooling.MAX, Pooling.LAST_TOKEN)
"""What a head can make of a text's tokens."""


ROUTED = ("head", "keep", "experts", "expert_dim", "capacity")
"""What makes a head that chooses its tokens."""

ANSWERS = ("label", "labels", "score", "relation", "target", "tags", "keyphrases", "negative")
"""Columns that hold what is to be learnt."""

MOST_LAYERS = 1000
"""No layer is named that is farther from the first or the last one."""


@dataclass(frozen=True)
class FinetuneOptions:
    """How an encoder and its head learn.

    ``strategy`` says how much of the encoder learns. None stands for what suits the strategy (``epochs``, ``learning_rate``,
    ``head_learning_rate``), the task (``measure``, ``layers``, ``max_tokens``) or the encoder (``pooling``). A learning rate
    rises from 0 over the first ``warmup`` share of all steps, then follows ``schedule``. Training stops when ``measure`` was
    not bettered for ``patience`` looks (and 30 steps), and the best epoch is kept. ``validation`` is the share of the training
    examples that it is measured on, where no examples are named for that. ``search`` is how many settings are tried before
    (`semvec.finetune.search`). ``layers`` of the encoder are put side by side (-1 is the last).

    ``rank`` is that of LoRA and DoRA, ``last_layers`` how many learn under last-n, ``virtual_tokens`` how many there are under
    prefix, prompt and ptuning, ``reduction`` by how much an adapter's bottleneck is narrower than the encoder. ``crf`` and
    ``scheme`` are a tagger's; ``many`` are any number of labels a text. ``knn`` keeps what the head reads of the training
    examples, so that those nearest to a prediction explain it, and have a say in it where validation shows that they help.
    ``prune`` says from which layer of the encoder on (0 is the first) which share of the tokens is read; what is trained then is
    a model that `finetune` made, and the whole one teaches the pruned one.
    ``head`` is what makes a label of a text; ``keep`` the share of the tokens that a router keeps, and of ``experts`` of
    ``expert_dim`` units each takes ``capacity`` · n / experts of n tokens.
    ``loss``, ``matryoshka`` (dimensions that are to do by themselves) and ``hard_negatives`` (how many are looked for, for each
    pair) are those of similarity. ``columns`` says what the columns of the data are called (text, label, …). Of seq2seq are
    ``target_tokens``, the most it writes, the best of ``beams``, and ``decoder_layers`` and ``vocabulary`` of a new decoder.
    ``balanced`` weighs the labels of a classification so that all count the same.
    """

    strategy: Strategy = Strategy.FULL
    epochs: float | None = None
    batch_size: int = 32
    learning_rate: float | None = None
    head_learning_rate: float | None = None
    optimizer: Optimizer = Optimizer.ADAMW
    schedule: Schedule = Schedule.LINEAR
    warmup: float = 0.1
    weight_decay: float = 0.01
    dropout: float = 0.1
    clip: float = 1.0
    accumulate: int = 1
    label_smoothing: float = 0.0
    balanced: bool = False
    patience: int = 3
    measure: str | None = None
    validation: float = 0.1
    precision: Precision = Precision.AUTO
    seed: int = 0
    search: int = 0
    max_tokens: int | None = None
    layers: tuple[int, ...] | None = None
    pooling: Pooling | None = None
    rank: int = 8
    last_layers: int = 2
    virtual_tokens: int = 20
    reduction: int = 16
    crf: bool = False
    scheme: Scheme = Scheme.BIO
    many: bool = False
    knn: bool = False
    head: HeadKind = HeadKind.LINEAR
    keep: float = 0.5
    experts: int = 4
    expert_dim: int = 96
    capacity: float = 1.0
    prune: tuple[tuple[int, float], ...] = ()
    loss: Loss = Loss.AUTO
    matryoshka: tuple[int, ...] = ()
    hard_negatives: int = 0
    columns: Mapping[str, str] = field(default_factory=dict)
    decoder_layers: int = 3
    vocabulary: int = 8000
    target_tokens: int = 128
    beams: int = 4

    def __post_init__(self) -> None:
        for name, kind in CHOICES.items():
            if getattr(self, name) is not None:
                object.__setattr__(self, name, kind(getattr(self, name)))
        if self.pooling not in (None, *HEAD_POOLINGS):
            raise OptionError(f"pooling {str(self.pooling)!r}: a head reads one of {', '.join(HEAD_POOLINGS)}")
        for name in RANGES:
            if getattr(self, name) is not None:
                check_range(name, getattr(self, name))
        for name in ("layers", "matryoshka"):
            if getattr(self, name) is not None:
                object.__setattr__(self, name, _whole_numbers(name, getattr(self, name)))
        object.__setattr__(self, "prune", schedule_of(self.prune))
        if self.prune and (self.knn or self.strategy != Strategy.FULL):
            raise OptionError("prune: the whole encoder learns to do with fewer tokens (strategy full), and keeps no neighbours")

    @property
    def input_columns(self) -> dict[str, str]:
        """What the columns of a table are called in which there need be no answers."""
        return {name: its for name, its in self.columns.items() if name not in ANSWERS}

    def changed(self, changes: dict[str, Any]) -> FinetuneOptions:
        """Return these options with some changed; `OptionError` for a name that is none of theirs."""
        check_names(changes, [field.name for field in fields(self)])
        return replace(self, **changes)

    def to_json(self) -> JSON:
        """Return the options as JSON."""
        listed = {name: list(value) for name, value in asdict(self).items() if isinstance(value, tuple)}
        return {**asdict(self), **listed, "prune": [list(pair) for pair in self.prune]}


def _whole_numbers(name: str, value: object) -> tuple[int, ...]:
    """Return ``value`` as a tuple of whole numbers; `OptionError` where it is none."""
    if not isinstance(value, list | tuple) or not all(isinstance(one, int) and not isinstance(one, bool) for one in value):
        raise OptionError(f"{name} must be a list of whole numbers, not {value!r:.40}")
    return tuple(value)


def schedule_of(pairs: object) -> tuple[tuple[int, float], ...]:
    """Return the layers and shares of ``pairs`` in their order; `OptionError` where they are none."""
    try:
        found = tuple(sorted((index(layer), float(share)) for layer, share in pairs))  # type: ignore[attr-defined]
    except (TypeError, ValueError, OverflowError) as error:
        raise OptionError(f"prune: pairs of a layer and a share are wanted, not {pairs!r:.80}") from error
    shares = [share for _, share in found]
    if not all(0 < share <= 1 for share in shares) or any(not 0 <= layer < MOST_LAYERS for layer, _ in found):
        raise OptionError("prune: a layer is counted from 0 on, and the share kept is more than 0 and at most 1")
    if len({layer for layer, _ in found}) < len(found):
        raise OptionError("prune: a layer is named twice")
    if shares != sorted(shares, reverse=True):
        raise OptionError("prune: what is left out stays out, so a later layer cannot keep a greater share")
    return found


def check_range(name: str, value: object) -> None:
    """Raise `OptionError` where ``value`` is none that the option ``name`` may have."""
    check_within(name, value, RANGES[name], whole=name in WHOLE)


def check_within(name: str, value: object, range_: tuple[float, float], *, whole: bool) -> None:
    """Raise `OptionError` where ``value`` is no number of ``range_``, or no ``whole`` one where that is wanted."""
    low, high = range_
    if isinstance(value, bool) or not (isinstance(value, int | float) and low <= value <= high):
        raise OptionError(f"{name} must be from {low:g} to {high:g}, not {value!r:.40}")
    if whole and not isinstance(value, int):
        raise OptionError(f"{name} must be a whole number, not {value!r:.40}")


CHOICES: dict[str, type[Choice]] = {
    "strategy": Strategy,
    "optimizer": Optimizer,
    "schedule": Schedule,
    "precision": Precision,
    "scheme": Scheme,
    "pooling": Pooling,
    "loss": Loss,
    "head": HeadKind,
}
WHOLE = (
    *(
        "batch_size",
        "accumulate",
        "patience",
        "seed",
        "search",
        "max_tokens",
        "rank",
        "last_layers",
        "virtual_tokens",
        "reduction",
    ),
    *("hard_negatives", "experts", "expert_dim", "decoder_layers", "vocabulary", "target_tokens", "beams"),
)
"""Options that are whole numbers."""

RANGES: dict[str, tuple[float, float]] = {
    "epochs": (0.001, 10_000),
    "batch_size": (1, 65_536),
    "learning_rate": (1e-9, 10),
    "head_learning_rate": (1e-9, 10),
    "warmup": (0, 1),
    "weight_decay": (0, 10),
    "dropout": (0, 0.95),
    "clip": (0, 1e6),
    "accumulate": (1, 65_536),
    "label_smoothing": (0, 0.9),
    "patience": (1, 10_000),
    "validation": (0.001, 0.9),
    "seed": (0, 2**31 - 1),
    "search": (0, 10_000),
    "max_tokens": (8, 1_000_000),
    "rank": (1, 1024),
    "last_layers": (1, 1000),
    "virtual_tokens": (1, 1000),
    "reduction": (1, 1024),
    "hard_negatives": (0, 100),
    "keep": (0.001, 1),
    "experts": (1, 256),
    "expert_dim": (1, 65_536),
    "capacity": (0.01, 256),
    "decoder_layers": (1, 100),
    "vocabulary": (300, 1_000_000),
    "target_tokens": (4, 4096),
    "beams": (1, 64),
}
