"""Models run by other engines, OpenVINO and onnxruntime, for which they are converted as they are loaded."""

from __future__ import annotations

import inspect
import io
import logging
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from importlib import import_module
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from semvec.encoders.backends.unpadded import CACHED_TOKENS
from semvec.encoders.model_folder import first_line
from semvec.encoders.transformer import Transformer
from semvec.errors import MissingExtra, ModelError, OptionError
from semvec.types import Backend

if TYPE_CHECKING:
    import torch

Infer: TypeAlias = "Callable[[NDArray[np.int64], NDArray[np.int64]], list[NDArray[np.float32]]]"
"""Gives hidden states, each (rows, length, dim), for ids and mask (rows, length)."""


class Engine:
    """Runs windows of token ids (a `Runner`) of ``transformer`` by what ``convert`` makes of it.

    It is converted once for the last layer, and once more when others are asked for.
    """

    side_by_side, batch_tokens = False, CACHED_TOKENS

    def __init__(self, transformer: Transformer, convert: Callable[[Any], Infer]) -> None:
        self._transformer, self._convert = transformer, convert
        self._made: dict[bool, Infer] = {}

    def __call__(self, windows: Sequence[Sequence[int]], wanted: Sequence[int] | None = None) -> list[torch.Tensor]:
        import torch

        layers = self._transformer.n_layers
        every = wanted is not None and list(wanted) != [layers]
        if every not in self._made:
            self._made[every] = self._convert(_hidden_states(self._transformer.model, every))
        ids, mask = self._transformer.batch(windows)
        states = self._made[every](ids, mask)
        read = [states[number] for number in wanted or ()] if every else states
        return [torch.from_numpy(its[mask.astype(bool)]) for its in read]


def engine(transformer: Transformer, backend: Backend) -> Engine:
    """Return what runs ``transformer`` by ``backend``, which needs its extra (`MissingExtra`).

    Raises `OptionError` for a model that it does not go with, and `ModelError` for one that cannot be converted, when it is
    first run.
    """
    takes = inspect.signature(transformer.model.forward).parameters
    if transformer.device != "cpu" or transformer.is_live or not {"input_ids", "attention_mask"} <= set(takes):
        raise OptionError(f"backend {str(backend)!r} is for models loaded by semvec on the cpu that read a mask: backend='torch'")
    if not transformer.may_pad:
        raise OptionError(f"backend {str(backend)!r} pads, which changes the vectors of this model: backend='torch'")
    libraries, convert = _ENGINES[backend]
    for name in libraries:
        try:
            import_module(name)
        except ImportError as error:
            raise MissingExtra(f'backend {backend} needs its library ({error}): pip install "semvec[{backend}]"') from error

    def converted(model: Any) -> Infer:
        try:
            with _quiet():
                return convert(model)
        except Exception as error:  # whatever an engine says of a model it cannot make sense of
            raise ModelError(f"{backend} cannot convert this model ({first_line(error)}): backend='torch'") from error

    return Engine(transformer, converted)


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
            return (*found.hidden_states[:-1], found.last_hidden_state) if every else (found.last_hidden_state,)

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
        with warnings.catch_warnings(), redirect_stdout(io.StringIO()), redirect_stderr(io.StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(level)
