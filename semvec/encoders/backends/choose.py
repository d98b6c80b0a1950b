"""Which way a transformer is run: as transformers does it, packed, or packed in bytes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from semvec.encoders.backends.packed import Packed, in_bytes, in_floats
from semvec.encoders.backends.sample import SAMPLE
from semvec.encoders.transformer import Transformer
from semvec.errors import ModelError, OptionError
from semvec.types import Backend, LayerMix

if TYPE_CHECKING:
    import torch

TOLERANCE = 1e-4
"""By how much of the largest number packed vectors may differ from those of transformers."""

FLOOR = 0.99
"""The mean cosine with float32, over texts, that bytes must reach."""


class Runners:
    """The ways ``transformer`` can be run here, each made when it is first asked for and then kept."""

    def __init__(self, transformer: Transformer) -> None:
        self._transformer = transformer
        self._made: dict[Backend, Packed | None] = {}

    def __getstate__(self) -> dict[str, Any]:
        """What is made is laid out for this processor, and made again in another process."""
        return self.__dict__ | {"_made": {}}

    def get(self, backend: Backend) -> Packed | None:
        """Return what runs the model by ``backend``; None where transformers does.

        Raises `OptionError` where the model or the processor is not made for it, `ModelError` where its vectors are too
        far from those in float32.
        """
        if backend not in self._made:
            self._made[backend] = _MAKERS[backend](self)
        return self._made[backend]

    def _auto(self) -> Packed | None:
        """Return the model packed, where it can be and its vectors are the same to rounding."""
        try:
            return self.get(Backend.PACKED)
        except (OptionError, ModelError):
            return None

    def _packed(self) -> Packed:
        weights = self._weights()
        made, windows = in_floats(weights), self._windows()[:2]
        if self._transformer.is_read:
            return made  # all of its tensors are those of a BERT, and transformers may stay unloaded
        theirs, own = self._eager(windows), made(windows)[-1]
        if not float((theirs - own).abs().max()) <= TOLERANCE * max(float(theirs.abs().max()), 1.0):
            raise ModelError("run packed the model gives other vectors than transformers: backend='torch' runs it as they do")
        return made

    def _int8(self) -> Packed:
        import torch

        if not torch.cpu._is_vnni_supported():
            raise OptionError("backend 'int8': this processor has no products of bytes (VNNI); 'packed' is the fastest here")
        weights, windows = self._weights(), self._windows()
        made = in_bytes(weights, windows)
        floats = self.get(Backend.PACKED)
        assert floats is not None
        cosine = float(text_cosines(floats(windows)[-1], made(windows)[-1], windows).mean())
        if not cosine >= FLOOR:
            raise ModelError(f"in bytes the vectors have a cosine of {cosine:.4f} with float32, under {FLOOR}: backend='packed'")
        return made

    def _weights(self) -> Any:
        found = None if self._transformer.device != "cpu" else self._transformer.weights
        if found is None:
            raise OptionError("only models laid out as BERT, on the cpu, are run packed or in bytes: backend='auto' or 'torch'")
        return found

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


_MAKERS = {
    Backend.AUTO: Runners._auto,
    Backend.TORCH: lambda its: None,
    Backend.PACKED: Runners._packed,
    Backend.INT8: Runners._int8,
}


def text_cosines(first: torch.Tensor, second: torch.Tensor, windows: Sequence[Sequence[int]]) -> torch.Tensor:
    """Return the cosine (windows,) of the means over each window of two matrices (tokens, dim)."""
    import torch

    lengths = [len(one) for one in windows]
    one, other = (torch.stack([part.mean(0) for part in torch.split(rows, lengths)]) for rows in (first, second))
    return torch.nn.functional.cosine_similarity(one, other, dim=1)
