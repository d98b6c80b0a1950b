"""A transformer and its tokenizer: token ids in, the hidden states of the layers asked for out."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Collection, Sequence
from functools import cached_property, partial
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from semvec.encoders.backends.bert import BertWeights, bert_weights
from semvec.encoders.backends.unpadded import beyond_table
from semvec.encoders.tokens import Tokenizer, itself
from semvec.types import LayerMix

if TYPE_CHECKING:
    import torch

PAD_OFFSET = (
    "roberta",
    "roberta-prelayernorm",
    "ibert",
    "xlm-roberta",
    "xlm-roberta-xl",
    "camembert",
    "data2vec-text",
    "longformer",
    "mpnet",
    "xmod",
    "esm",
    "luke",
)
"""Model types whose positions start behind the id of the padding token, and are counted by the model itself."""

UNBOUNDED = 1 << 20
PROBE_TOLERANCE = 1e-4
BATCH_TOKENS = {"cpu": 4096, "cuda": 65536, "mps": 16384}


class Transformer:
    """What a model is read and run with: its tokenizer, its limits, and the model of transformers, loaded when it is needed.

    ``n_layers`` and ``hidden`` size are the model's; ``max_tokens`` is how many tokens it is meant to read at
    once, ``limit`` how many it can. ``weights`` are those of a BERT, if it is known to be one without loading it. Batches
    are padded on the right, which suits every kind of model whatever its tokenizer says, unless ``left`` is set.
    """

    left = False

    def __init__(
        self,
        tokenizer: Tokenizer,
        config: Any,
        device: str,
        load: Callable[[], Any],
        *,
        max_tokens: int,
        weights: BertWeights | None = None,
        live: bool = False,
    ) -> None:
        self.tokenizer, self.device, self._load, self._weights, self._live = tokenizer, device, load, weights, live
        tokenizer.check(int(getattr(config, "vocab_size", 0) or 0))
        self.limit = model_limit(config)
        self.max_tokens = min(self.limit, max_tokens)
        self.n_layers, self.hidden = int(config.num_hidden_layers), int(config.hidden_size)

    @classmethod
    def of(cls, tokenizer: Any, model: Any, device: str, max_tokens: int | None = None, *, live: bool = False) -> Transformer:
        """Put ``model`` to work on ``device``; of an encoder-decoder only the encoder is used.

        A ``live`` model is somebody else's, who may train it on: nothing of it is copied.
        """
        config = model.config
        if getattr(config, "is_encoder_decoder", False):
            model = model.get_encoder()
        most = min(max_tokens or UNBOUNDED, stated_limit(tokenizer))
        return cls(
            Tokenizer.of(tokenizer),
            config.get_text_config(),
            device,
            partial(itself, model.to(device).eval()),
            max_tokens=most,
            live=live,
        )

    @cached_property
    def model(self) -> Any:
        """The model of transformers."""
        return self._load()

    @cached_property
    def weights(self) -> BertWeights | None:
        """The weights of a BERT as plain tensors; None where the model is none, or is live."""
        if self._weights is not None or self._live:
            return self._weights
        return bert_weights(self.model.config, self.model.state_dict())

    @property
    def batch_tokens(self) -> int:
        """How many tokens, padding included, are run together where nothing else is said."""
        return BATCH_TOKENS.get(self.device.split(":")[0], BATCH_TOKENS["cpu"])

    @property
    def is_live(self) -> bool:
        """Whether the model is somebody else's, who may train it on."""
        return self._live

    @property
    def is_read(self) -> bool:
        """Whether the weights were read from files, by their names, without transformers."""
        return self._weights is not None

    @cached_property
    def _table(self) -> int:
        """How many tokens the model has a vector for."""
        return getattr(self.model.get_input_embeddings(), "num_embeddings", UNBOUNDED)

    @cached_property
    def _pad(self) -> int:
        return self.tokenizer.pad if self.tokenizer.pad < self._table else 0

    @cached_property
    def _accepted(self) -> Collection[str]:
        """The names of what the model can be given."""
        return frozenset(inspect.signature(self.model.forward).parameters)

    @cached_property
    def may_pad(self) -> bool:
        """Whether a text's vectors stay the same beside a longer one."""
        return self._padding_is_harmless()

    def _padding_is_harmless(self) -> bool:
        """Try it: some models do not mask padding."""
        short, long = ([*self.tokenizer.prefix, *([self._pad + 1] * n), *self.tokenizer.suffix] for n in (3, 9))
        last, mix = [self.n_layers], LayerMix.MEAN
        alone = self.hidden_states(*self.batch([short]), last, mix)[0]
        rows = self.hidden_states(*self.batch([short, long]), last, mix)[0]
        beside = rows[len(rows) - len(short) :] if self.left else rows[: len(short)]
        return bool((alone - beside).abs().max() <= PROBE_TOLERANCE * max(float(alone.abs().max()), 1.0))

    def batch(
        self, ids: Sequence[Sequence[int]], shape: tuple[int, int] | None = None
    ) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Return padded ids and attention mask (rows, length)."""
        rows, length = shape or (len(ids), max(map(len, ids)))
        padded = np.full((rows, length), self._pad, dtype=np.int64)
        mask = np.zeros((rows, length), dtype=np.int64)
        mask[len(ids) :, -1 if self.left else 0] = 1  # a row of the fixed shape that nobody asked for
        for row, one in enumerate(ids):
            place = slice(length - len(one), length) if self.left else slice(len(one))
            padded[row, place] = one
            mask[row, place] = 1
        if padded.max() >= self._table:
            raise beyond_table(int(padded.max()), self._table)
        return padded, mask

    def hidden_states(self, ids: NDArray[np.int64], mask: NDArray[np.int64], layers: list[int], mix: LayerMix) -> torch.Tensor:
        """Return the mixed hidden states (rows, length, dim) of ``layers`` (0 is the embedding layer)."""
        import torch

        inputs = {"input_ids": torch.from_numpy(ids), "attention_mask": torch.from_numpy(mask)}
        own_positions = self.model.config.model_type in PAD_OFFSET
        if self.left and "position_ids" in self._accepted and not own_positions:
            inputs["position_ids"] = (inputs["attention_mask"].cumsum(1) - 1).clamp(min=0)
        inputs = {name: tensor.to(self.device) for name, tensor in inputs.items()}
        only_last = layers == [self.n_layers]
        cache = {"use_cache": False} if "use_cache" in self._accepted else {}
        with torch.inference_mode():
            output = self.model(**inputs, **cache, output_hidden_states=not only_last, return_dict=True)
            if only_last:
                return output.last_hidden_state  # type: ignore[no-any-return]
            return mix_layers([output.hidden_states[layer] for layer in layers], mix)


def mix_layers(states: list[torch.Tensor], mix: LayerMix) -> torch.Tensor:
    """Return several hidden states (…, dim) as one; ``concat`` puts them side by side, the first first."""
    import torch

    if len(states) == 1:
        return states[0]
    if mix == LayerMix.CONCAT:
        return torch.cat(states, dim=-1)
    total = torch.stack(states).sum(0)
    return total / len(states) if mix == LayerMix.MEAN else total


def stated_limit(tokenizer: Any) -> int:
    """Return how many tokens the tokenizer says the model should read."""
    return int(min(tokenizer.model_max_length or UNBOUNDED, UNBOUNDED))


def model_limit(config: Any) -> int:
    """Return how many tokens, special ones included, the model has positions for."""
    limit = getattr(config, "max_position_embeddings", None) or UNBOUNDED
    if limit < 0:
        limit = UNBOUNDED
    if config.model_type in PAD_OFFSET and limit < UNBOUNDED:
        limit -= (getattr(config, "pad_token_id", None) or 0) + 1
    return int(min(limit, UNBOUNDED))


def choose_device(device: str | None) -> str:
    """Return ``device``, or the best there is: cuda, mps, cpu. Raises `OptionError` for one that is not there."""
    import torch

    from semvec.errors import OptionError

    if device is None or device == "auto":
        return "cuda" if torch.cuda.is_available() else "mps" if torch.backends.mps.is_available() else "cpu"
    try:
        torch.zeros(1, device=device).item()
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        said = str(error).splitlines()[0].split(". ")[0]
        raise OptionError(f"device {device!r} cannot be used here: {said:.120}; cpu always can") from error
    return device
