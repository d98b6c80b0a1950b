"""A model that reads texts and writes others: its loss, and what it writes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from semvec.finetune.heads import NOTHING, Batch

AT_ONCE = 64
"""Windows that are read at once where nothing is learnt."""


@dataclass(frozen=True)
class Source:
    """The windows that are read of a text, ids each, and the ids of what it is to become (none where that is asked)."""

    owner: int
    windows: list[NDArray[np.int64]]
    target: NDArray[np.int64] | None = None

    def cut(self, most: int, windows: int) -> Source:
        """Return this with at most ``windows``, and ``most`` ids to write, the last of which ends them still."""
        if self.target is None or (len(self.target) <= most and len(self.windows) <= windows):
            return self
        short = self.target if len(self.target) <= most else np.append(self.target[: most - 1], self.target[-1])
        return replace(self, windows=self.windows[:windows], target=short)

    @property
    def length(self) -> int:
        """How many tokens are read."""
        return sum(map(len, self.windows))


def collate(sources: Sequence[Source], pad: int) -> Batch:
    """Return ``sources`` as a batch: ``ids`` and ``mask`` (windows, length), how many windows each has, and ``labels``."""
    batch = {"counts": torch.tensor([len(its.windows) for its in sources])}
    batch["ids"], batch["mask"] = _padded([window for its in sources for window in its.windows], pad)
    if sources[0].target is not None:
        labels, there = _padded([its.target for its in sources if its.target is not None], 0)
        batch["labels"] = labels.masked_fill(there == 0, NOTHING)
    return batch


def _padded(rows: Sequence[NDArray[np.int64]], fill: int) -> tuple[Tensor, Tensor]:
    lengths = np.array([len(row) for row in rows])
    ids = np.full((len(rows), lengths.max()), fill, dtype=np.int64)
    there = np.arange(lengths.max()) < lengths[:, None]
    ids[there] = np.concatenate(rows)
    return torch.from_numpy(ids), torch.from_numpy(there.astype(np.int64))


class Writer(nn.Module):
    """``model``, an encoder and a decoder of transformers; ``fresh`` says that the decoder is a new one.

    A text in several windows is read one by one, and the decoder attends to all of them (fusion in the decoder,
    arXiv:2007.01282).
    """

    def __init__(self, model: Any, *, fresh: bool, smoothing: float = 0.0) -> None:
        super().__init__()
        if fresh:
            self.head = model.decoder  # named first: it learns at the rate of heads
        self.model, self.smoothing = model, smoothing

    def read(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """Return the hidden states (texts, length, dim) of all windows of each text, and their mask."""
        encoder = self.model.get_encoder()
        at_once = len(batch["ids"]) if torch.is_grad_enabled() else AT_ONCE
        parts = zip(torch.split(batch["ids"], at_once), torch.split(batch["mask"], at_once), strict=True)
        states = torch.cat([encoder(input_ids=ids, attention_mask=mask).last_hidden_state for ids, mask in parts])
        counts = batch["counts"].tolist()
        if len(counts) == len(states):
            return states, batch["mask"]
        rows = [its.flatten(0, 1) for its in torch.split(states, counts)]
        masks = [its.flatten() for its in torch.split(batch["mask"], counts)]
        return nn.utils.rnn.pad_sequence(rows, batch_first=True), nn.utils.rnn.pad_sequence(masks, batch_first=True)

    def forward(self, **batch: Tensor) -> dict[str, Tensor]:
        """Return the ``loss`` a token, the mean cross-entropy of the ``labels``."""
        from transformers.modeling_outputs import BaseModelOutput

        states, mask = self.read(batch)
        logits = self.model(
            encoder_outputs=BaseModelOutput(last_hidden_state=states),
            attention_mask=mask,
            decoder_input_ids=self._shifted(batch["labels"]),
            use_cache=False,
        ).logits
        loss = nn.functional.cross_entropy(
            logits.float().flatten(0, 1), batch["labels"].flatten(), ignore_index=NOTHING, label_smoothing=self.smoothing
        )
        return {"loss": loss, "logits": logits}

    def units(self, batch: Batch) -> Tensor:
        """Return how many tokens are to be written."""
        return (batch["labels"] != NOTHING).sum()

    def _shifted(self, labels: Tensor) -> Tensor:
        """Return what the decoder is given to write ``labels``: a start, and every token but the last."""
        if (own := getattr(self.model, "prepare_decoder_input_ids_from_labels", None)) is not None:
            return own(labels)  # type: ignore[no-any-return]
        start = torch.full_like(labels[:, :1], self.model.config.decoder_start_token_id)
        return torch.cat([start, labels[:, :-1].masked_fill(labels[:, :-1] == NOTHING, self.model.config.pad_token_id)], dim=1)

    def write(self, batch: Batch, beams: int, most: int) -> Tensor:
        """Return the ids (texts, length) of what is written, ``most`` tokens at most, the best of ``beams``."""
        from transformers.modeling_outputs import BaseModelOutput

        states, mask = self.read(batch)
        return self.model.generate(  # type: ignore[no-any-return]
            encoder_outputs=BaseModelOutput(last_hidden_state=states),
            attention_mask=mask,
            num_beams=beams,
            max_new_tokens=most,
            do_sample=False,
        )
