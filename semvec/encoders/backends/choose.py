"""Which way a transformer is run: as transformers does it, packed, in bytes, or by another engine."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from threading import RLock
from typing import TYPE_CHECKING, Any, TypeAlias

from semvec.encoders.backends.autocast import Autocast
from semvec.encoders.backends.bert import BertWeights
from semvec.encoders.backends.engines import TOLERANCE, engine
from semvec.encoders.backends.packed import Packed, in_floats
from semvec.encoders.backends.sample import SAMPLE
from semvec.encoders.backends.unpadded import Runner
from semvec.encoders.transformer import Transformer
from semvec.errors import MissingExtra, ModelError, OptionError
from semvec.types import Backend, LayerMix

if TYPE_CHECKING:
    import torch

REFUSALS = (OptionError, ModelError, MissingExtra)
Refusal: TypeAlias = "OptionError | ModelError | MissingExtra"
"""Why a model cannot be run some way."""

FLOORS = {Backend.BF16: 0.999, Backend.INT8: 0.99}
"""The mean cosine with float32, over texts, that must be reached."""


class Runners:
    """The ways ``transformer`` can be run here, each made when it is first asked for and then kept."""

    def __init__(self, transformer: Transformer) -> None:
        self._transformer = transformer
        self._made: dict[Backend, Runner | Refusal | None] = {}
        self._turn = RLock()

    def __getstate__(self) -> dict[str, Any]:
        """What is made is laid out for this processor, and made again in another process."""
        return {"_transformer": self._transformer}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self._transformer, self._made, self._turn = state["_transformer"], {}, RLock()

    def get(self, backend: Backend) -> Runner | None:
        """Return what runs the model by ``backend``; None where transformers does.

        Raises `OptionError` where the model or the processor is not made for it, `ModelError` where its vectors are too
        far from those in float32; the same again when asked again.
        """
        with self._turn:
            if backend not in self._made:
                try:
                    self._made[backend] = _MAKERS[backend](self)
                except REFUSALS as error:
                    self._made[backend] = error
        found = self._made[backend]
        if isinstance(found, Exception):
            raise found
        return found

    def _auto(self) -> Runner | None:
        """Return the model packed, where it can be and its vectors are the same to rounding."""
        try:
            return self.get(Backend.PACKED)
        except REFUSALS:
            return None

    def _packed(self) -> Packed:
        weights, windows = self._needed_weights(), self._windows()[:2]
        try:
            made = in_floats(weights)
            own = made(windows)[0]
        except (AttributeError, NotImplementedError, RuntimeError) as error:
            raise OptionError(f"this build of torch has not what packed needs ({str(error).splitlines()[0]})") from error
        if not self._transformer.is_read:  # else all of its tensors are those of a BERT, and transformers may stay unloaded
            theirs = self._eager(windows)
            if not float((theirs - own).abs().max()) <= TOLERANCE * max(float(theirs.abs().max()), 1.0):
                raise ModelError("run packed the model gives other vectors than by transformers: backend='torch'")
        return made

    def _engine(self, backend: Backend) -> Runner:
        return engine(self._transformer, backend, self._windows()[:2])

    def _bf16(self) -> Runner:
        its = self._transformer
        if not has_bfloat16(its.device):
            raise OptionError(f"backend 'bf16': {its.device} has no products of bfloat16 here; 'auto' is the fastest in float32")
        windows = self._windows()
        try:
            made = Autocast(its) if self._weights is None else in_floats(self._weights, half=True)
            own = made(windows)[0]
            floats = self._eager(windows) if self._weights is None else in_floats(self._weights)(windows)[0]
        except (AttributeError, NotImplementedError, RuntimeError) as error:
            raise OptionError(f"this build of torch has not what bf16 needs ({str(error).splitlines()[0]})") from error
        self._near(floats, own, windows, Backend.BF16)
        return made

    def _int8(self) -> Runner:
        if not has_byte_products():
            raise OptionError("backend 'int8': this processor has no products of bytes (VNNI); 'packed' is the fastest here")
        from semvec.encoders.backends.int8 import InBytes

        weights, windows = self._needed_weights(), self._windows()
        floats = self.get(Backend.PACKED)
        assert isinstance(floats, Packed)
        try:
            made = InBytes(weights, floats, windows, half=has_bfloat16("cpu"))
            own = made(windows)[0]
        except (AttributeError, NotImplementedError, RuntimeError) as error:
            raise OptionError(f"this build of torch has not what int8 needs ({str(error).splitlines()[0]})") from error
        self._near(floats(windows)[0], own, windows, Backend.INT8)
        return made

    @property
    def _weights(self) -> BertWeights | None:
        return None if self._transformer.device != "cpu" else self._transformer.weights

    def _needed_weights(self) -> BertWeights:
        if self._weights is None:
            raise OptionError(
                "only models laid out as BERT, loaded by semvec on the cpu, are run packed or in bytes: backend='auto' or 'torch'"
            )
        return self._weights

    def _near(self, floats: torch.Tensor, own: torch.Tensor, windows: list[list[int]], backend: Backend) -> None:
        """Raise `ModelError` where the vectors that ``backend`` makes of ``windows`` are too far from those in float32."""
        cosine, floor = float(text_cosines(floats, own, windows).mean()), FLOORS[backend]
        if not cosine >= floor:
            raise ModelError(
                f"in {backend} the vectors have a cosine of {cosine:.4f} with float32, under {floor}: backend='auto'"
            )

    def _windows(self) -> list[list[int]]:
        """Return the sample as the model reads it, the longest first."""
        tokenizer, most = self._transformer.tokenizer, self._transformer.max_tokens
        room = most - len(tokenizer.prefix) - len(tokenizer.suffix)
        tokens = [its.ids[:room].tolist() for its in tokenizer(SAMPLE, offsets=False)]
        return sorted(([*tokenizer.prefix, *its, *tokenizer.suffix] for its in tokens), key=len, reverse=True)

    def _eager(self, windows: list[list[int]]) -> torch.Tensor:
        """Return the last hidden states (tokens, dim) of ``windows`` as transformers computes them, each alone."""
        import torch

        its = self._transformer
        alone = [its.hidden_states(*its.batch([one]), [its.n_layers], LayerMix.MEAN)[0] for one in windows]
        return torch.cat(alone)


_MAKERS: dict[Backend, Callable[[Runners], Runner | None]] = {
    Backend.AUTO: Runners._auto,
    Backend.TORCH: lambda its: None,
    Backend.PACKED: Runners._packed,
    Backend.BF16: Runners._bf16,
    Backend.INT8: Runners._int8,
    Backend.OPENVINO: partial(Runners._engine, backend=Backend.OPENVINO),
    Backend.ONNX: partial(Runners._engine, backend=Backend.ONNX),
}


def has_bfloat16(device: str) -> bool:
    """Whether torch says that ``device`` multiplies in bfloat16 by itself."""
    import torch

    if device.startswith("cuda"):
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    units = ("_is_avx512_bf16_supported", "_is_amx_tile_supported")
    return device == "cpu" and any(getattr(torch.cpu, name, lambda: False)() for name in units)


def has_byte_products() -> bool:
    """Whether torch says that this processor multiplies bytes (VNNI)."""
    import torch

    return bool(getattr(torch.cpu, "_is_vnni_supported", lambda: False)())


def text_cosines(first: torch.Tensor, second: torch.Tensor, windows: Sequence[Sequence[int]]) -> torch.Tensor:
    """Return the cosine (windows,) of the means over each window of two matrices (tokens, dim)."""
    import torch

    lengths = [len(one) for one in windows]
    one, other = (torch.stack([part.mean(0) for part in torch.split(rows, lengths)]) for rows in (first, second))
    return torch.nn.functional.cosine_similarity(one, other, dim=1)
