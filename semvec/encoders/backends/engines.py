"""Models run by other engines, OpenVINO and onnxruntime, for which they are converted as they are loaded."""

from __future__ import annotations

import inspect
import logging
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from importlib import import_module
from threading import Lock
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from semvec.encoders.backends.unpadded import CACHED_TOKENS
from semvec.encoders.model_folder import first_line
from semvec.encoders.transformer import Transformer
from semvec.errors import MissingExtra, ModelError, OptionError
from semvec.types import Backend, LayerMix

if TYPE_CHECKING:
    import torch

TOLERANCE = 1e-4
"""By how much of the largest number vectors may differ from those of transformers."""

_TURN = Lock()
"""One model is converted at a time: what is kept quiet meanwhile is so for the whole process."""

Infer: TypeAlias = "Callable[[NDArray[np.int64], NDArray[np.int64]], list[NDArray[np.float32]]]"
"""Gives hidden states, each (rows, length, dim), for ids and mask (rows, length)."""


class Engine:
    """Runs windows of token ids (a `Runner`) of ``transformer`` by what ``backend`` makes of it.

    It is converted once for the last layer, and once more when others are asked for; each time what it makes of ``sample``, some
    windows, is compared with transformers.
    """

    pads, batch_tokens = True, CACHED_TOKENS

    def __init__(self, transformer: Transformer, backend: Backend, sample: Sequence[Sequence[int]]) -> None:
        self._transformer, self._backend, self._sample = transformer, backend, sample
        self._made: dict[bool, Infer] = {}
        self._infer(every=False)

    def __call__(self, windows: Sequence[Sequence[int]], wanted: Sequence[int] | None = None) -> list[torch.Tensor]:
        import torch

        every = wanted is not None and list(wanted) != [self._transformer.n_layers]
        ids, mask = self._transformer.batch(windows)
        states = self._infer(every=every)(ids, mask)
        read = [states[number] for number in wanted or ()] if every else states
        return [torch.from_numpy(its[mask.astype(bool)]) for its in read]

    def _infer(self, *, every: bool) -> Infer:
        with _TURN:
            if every not in self._made:
                try:
                    with _quiet():
                        found = _ENGINES[self._backend][1](_hidden_states(self._transformer.model, every))
                        layers = [*range(self._transformer.n_layers + 1)] if every else [self._transformer.n_layers]
                        off = self._difference(found, layers)
                except Exception as error:  # whatever an engine says of a model it cannot make sense of
                    raise ModelError(f"{self._backend} cannot run this model ({first_line(error)}): backend='torch'") from error
                if not off <= TOLERANCE:
                    raise ModelError(f"by {self._backend} the vectors are {off:.1g} from those of transformers: backend='torch'")
                self._made[every] = found
            return self._made[every]

    def _difference(self, infer: Infer, layers: list[int]) -> float:
        """Return by how much of the largest number hidden states differ at most from those of transformers."""
        ids, mask = self._transformer.batch(self._sample)
        theirs = self._transformer.hidden_states(ids, mask, layers, LayerMix.CONCAT).numpy()[mask.astype(bool)]
        own = np.concatenate(infer(ids, mask), axis=-1)[mask.astype(bool)]
        return float(np.abs(theirs - own).max()) / max(float(np.abs(theirs).max()), 1.0)


def engine(transformer: Transformer, backend: Backend, sample: Sequence[Sequence[int]]) -> Engine:
    """Return what runs ``transformer`` by ``backend``, which needs its extra (`MissingExtra`); it is tried on ``sample``.

    Raises `OptionError` for a model that it does not go with, and `ModelError` for one that cannot be converted, or gives other
    vectors then.
    """
    takes = inspect.signature(transformer.model.forward).parameters
    if transformer.device != "cpu" or transformer.is_live or not {"input_ids", "attention_mask"} <= set(takes):
        raise OptionError(f"backend {str(backend)!r} is for models loaded by semvec on the cpu that read a mask: backend='torch'")
    if not transformer.may_pad:
        raise OptionError(f"backend {str(backend)!r} pads, which changes the vectors of this model: backend='torch'")
    for name in _ENGINES[backend][0]:
        try:
            import_module(name)
        except ImportError as error:
            raise MissingExtra(f'backend {backend} needs its library ({error}): pip install "semvec[{backend}]"') from error

    return Engine(transformer, backend, sample)


def _hidden_states(model: Any, every: bool) -> Any:
    """Return ``model`` as a module that gives its last hidden states, or ``every`` layer's."""
    import torch

    settings = {"output_hidden_states": every, "return_dict": True}
    if "use_cache" in inspect.signature(model.forward).parameters:
        settings["use_cache"] = False

    class States(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inner = model

        def forward(self, input_ids: Any, attention_mask: Any) -> Any:
            found = self.inner(input_ids=input_ids, attention_mask=attention_mask, **settings)
            return tuple(found.hidden_states) if every else (found.last_hidden_state,)

    return States().eval()


def _example() -> tuple[torch.Tensor, torch.Tensor]:
    """Return ids and a mask with padding: without, a model may be converted to one that does not look at it."""
    import torch

    mask = torch.ones((2, 8), dtype=torch.int64)
    mask[1, 5:] = 0
    return torch.ones((2, 8), dtype=torch.int64), mask


def _openvino(model: Any) -> Infer:
    import openvino

    ids, mask = _example()
    converted = openvino.convert_model(model, example_input={"input_ids": ids, "attention_mask": mask})
    compiled = openvino.Core().compile_model(converted, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})

    def infer(ids: NDArray[np.int64], mask: NDArray[np.int64]) -> list[NDArray[np.float32]]:
        found = compiled.create_infer_request().infer({"input_ids": ids, "attention_mask": mask}, share_inputs=True)
        return [found[at] for at in range(len(compiled.outputs))]

    return infer


def _onnx(model: Any) -> Infer:
    import tempfile
    from pathlib import Path

    import onnxruntime
    import torch

    free = {0: torch.export.Dim.DYNAMIC, 1: torch.export.Dim.DYNAMIC}
    shapes, names = (free, dict(free)), ["input_ids", "attention_mask"]
    program = torch.onnx.export(model, _example(), input_names=names, dynamic_shapes=shapes, dynamo=True, verbose=False)
    assert program is not None
    settings = onnxruntime.SessionOptions()
    settings.intra_op_num_threads = torch.get_num_threads()
    with tempfile.TemporaryDirectory() as folder:
        path = str(Path(folder, "model.onnx"))
        program.save(path, external_data=True)  # weights of more than 2 GB do not fit into the file itself
        session = onnxruntime.InferenceSession(path, settings, providers=["CPUExecutionProvider"])
    return lambda ids, mask: session.run(None, {"input_ids": ids, "attention_mask": mask})


_ENGINES: dict[Backend, tuple[tuple[str, ...], Callable[[Any], Infer]]] = {
    Backend.OPENVINO: (("openvino",), _openvino),
    Backend.ONNX: (("onnxruntime", "onnxscript"), _onnx),  # torch exports by onnxscript
}
"""The libraries of each, and what makes a model run by it."""


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep to itself what torch and the engines say of their work: it is about their insides."""
    level = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(level)
