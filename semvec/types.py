"""The closed choices, each a string enum: strings become members once, at the edge."""

from __future__ import annotations

import difflib
import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from enum import IntEnum
from typing import Any, TypeAlias

if sys.version_info >= (3, 11):
    from enum import StrEnum
else:
    from enum import Enum

    class StrEnum(str, Enum):
        """The part of Python 3.11's ``StrEnum`` that semvec uses."""

        def __str__(self) -> str:
            return str(self.value)


from semvec.errors import OptionError

JSON: TypeAlias = Any
"""A value that ``json.dumps`` takes."""


@dataclass(frozen=True)
class Step:
    """How far a run is: ``done`` of ``total`` (where known) of a ``stage``, in ``unit``, and the last epoch's loss."""

    stage: str
    done: int
    total: int | None
    unit: str
    loss: float | None = None


Progress: TypeAlias = Callable[[Step], None]
"""What is told how far a run is."""


def did_you_mean(value: str, known: list[str]) -> str:
    """Return ``" (did you mean 'x'?)"``, or an empty string where nothing comes near."""
    near = difflib.get_close_matches(value, known, n=1)
    return f" (did you mean {near[0]!r}?)" if near else ""


def check_names(names: Iterable[str], known: list[str]) -> None:
    """Raise `OptionError` for one of ``names`` that is no option: ``known`` are those there are."""
    for name in names:
        if name not in known:
            raise OptionError(f"no option {name!r}{did_you_mean(name, known)}: there are {', '.join(known)}")


class Choice(StrEnum):
    """A string enum whose misses list what there is."""

    @classmethod
    def _missing_(cls, value: object) -> Choice:
        known = [str(member.value) for member in cls]
        name = "".join(f"_{c.lower()}" if c.isupper() else c for c in cls.__name__).strip("_")
        hint = did_you_mean(str(value), known)
        raise OptionError(f"{name} {value!r} is unknown: choose from {', '.join(known)}{hint}")


class Level(Choice):
    """What one row of an `Embeddings` stands for."""

    TEXT = "text"
    CHUNK = "chunk"
    SPAN = "span"
    WORD = "word"
    TOKEN = "token"


TOKEN_LEVELS = (Level.TOKEN, Level.WORD)
"""The levels at which a text has a row for every piece of it, the finer first."""


class Pooling(Choice):
    """How the token vectors of a text, chunk or span become one vector."""

    MEAN = "mean"
    CLS = "cls"
    MAX = "max"
    LAST_TOKEN = "last_token"
    WEIGHTED_MEAN = "weighted_mean"
    MEAN_SQRT = "mean_sqrt"
    SIF = "sif"


class Subword(Choice):
    """How the sub-word vectors of a word become one vector."""

    FIRST = "first"
    LAST = "last"
    MEAN = "mean"
    MAX = "max"


class LayerMix(Choice):
    """How several layers become one."""

    MEAN = "mean"
    SUM = "sum"
    CONCAT = "concat"


class Overflow(Choice):
    """What happens to a text that is longer than the model reads."""

    TRUNCATE = "truncate"
    ERROR = "error"
    WINDOWS = "windows"


class ChunkBy(Choice):
    """Where ``level="chunk"`` may cut a text."""

    TOKENS = "tokens"
    SENTENCES = "sentences"


class Backend(Choice):
    """What runs a transformer."""

    AUTO = "auto"
    TORCH = "torch"
    PACKED = "packed"
    BF16 = "bf16"
    INT8 = "int8"
    OPENVINO = "openvino"
    ONNX = "onnx"


class Dtype(Choice):
    """How a vector's numbers are kept."""

    FLOAT32 = "float32"
    FLOAT16 = "float16"
    INT8 = "int8"
    BINARY = "binary"


class Analogy(Choice):
    """How the three words of an analogy make the fourth."""

    COS_ADD = "3cosadd"
    COS_MUL = "3cosmul"


class Metric(Choice):
    """How two vectors are compared; the score is always the greater the nearer."""

    COSINE = "cosine"
    DOT = "dot"
    EUCLIDEAN = "euclidean"


class Strategy(Choice):
    """How much of an encoder learns, and by what."""

    FULL = "full"
    HEAD = "head"
    LAST_N = "last-n"
    LORA = "lora"
    DORA = "dora"
    IA3 = "ia3"
    PREFIX = "prefix"
    PROMPT = "prompt"
    PTUNING = "ptuning"
    ADAPTER = "adapter"
    BITFIT = "bitfit"


class OnError(Choice):
    """What a bad row does to a run over files."""

    STOP = "stop"
    SKIP = "skip"


class Oov(IntEnum):
    """The out-of-vocabulary ladder: the rung on which a row's vector was found.

    ``ZERO`` is the last rung: there was nothing to make a vector of, and the row is all zeros.
    """

    EXACT = 0
    CASE = 1
    FOLD = 2
    SUBWORD = 3
    SPELLING = 4
    ZERO = 5


class Way(Choice):
    """How a model uses its neighbours.

    ``knn``: their labels are weighed beside what the model says. ``gate``: the same, each text with a weight of its own.
    ``concat``: they are read together with the text, their labels before them. ``joint``: each is read with the text apart, and
    what is looked for is learnt, too. ``cross-attention``: layers on top of the encoder attend to their tokens.
    """

    KNN = "knn"
    GATE = "gate"
    CONCAT = "concat"
    JOINT = "joint"
    CROSS = "cross-attention"


class FewShot(Choice):
    """What few labelled texts are learnt by.

    ``pairs``: of like and unlike texts, then a linear head. ``labels``: a linear head, then head and encoder together. ``auto``:
    labels of more than 256 texts, else pairs.
    """

    AUTO = "auto"
    PAIRS = "pairs"
    LABELS = "labels"


class ZeroShot(Choice):
    """By what labels are said that were never learnt: how near their descriptions are, or what fills the gap of a pattern."""

    SIMILARITY = "similarity"
    CLOZE = "cloze"
