"""Which words fit into a gap behind a text, as a checkpoint with a masked-LM head says (Schick and Schütze, arXiv:2001.07676)."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from semvec.encoders.model_folder import first_line, read_config, weight_files
from semvec.encoders.quiet import quiet_loading
from semvec.encoders.tokens import Tokenizer
from semvec.encoders.transformer import choose_device, model_limit, stated_limit
from semvec.errors import ModelError, OptionError
from semvec.finetune.network import ask_all

PATTERN = "{} It was [MASK]."
"""A text's place, and the gap."""

GAP = "[MASK]"
TOKENS = 1 << 13
"""Tokens that are read together."""


class Cloze:
    """A masked language model, asked what stands in the gap of ``pattern``, in which ``{}`` is the text and ``[MASK]`` the gap.

    Of a text that is too long for the model its beginning is read, and all of the pattern.
    """

    def __init__(self, model: Any, tokenizer: Any, pattern: str = PATTERN, device: str = "cpu") -> None:
        if pattern.count("{}") != 1 or pattern.count(GAP) != 1:
            raise OptionError(f"pattern {pattern!r:.80} has not one {{}}, for the text, and one {GAP}, for the gap")
        if tokenizer.mask_token is None:
            raise OptionError("this model's tokenizer has no mask, so there is no gap to fill")
        self.model, self.tokenizer, self.device = model.to(device).eval(), tokenizer, device
        self.reader = Tokenizer.of(tokenizer)
        self.most = min(model_limit(model.config), stated_limit(tokenizer))
        self.pattern = pattern
        self.before, self.behind = self._framed(tokenizer.mask_token)

    @classmethod
    def load(cls, place: Path, pattern: str = PATTERN, *, device: str | None = None) -> Cloze:
        """Return the model in the folder ``place``; `OptionError` where it has no masked-LM head, `ModelError` for a pickle."""
        from transformers import AutoModelForMaskedLM, AutoTokenizer

        if not fills_gaps(place):
            raise OptionError(f"{place}: has no masked-LM head, so it fills no gaps; similarity needs none")
        if pickles := [file.name for file in weight_files(place) if file.suffix != ".safetensors"]:
            raise ModelError(f"{place}: its weights ({pickles[0]}) are a pickle: save it as safetensors first")
        try:
            with quiet_loading():
                model = AutoModelForMaskedLM.from_pretrained(
                    place, local_files_only=True, use_safetensors=True, dtype=torch.float32
                )
                tokenizer = AutoTokenizer.from_pretrained(place, local_files_only=True)
        except (OSError, ValueError, KeyError, RuntimeError) as error:
            raise ModelError(f"{place}: cannot be read as a masked language model ({first_line(error)})") from error
        return cls(model, tokenizer, pattern, choose_device(device))

    def _framed(self, filled: str) -> tuple[list[int], list[int]]:
        """Return the tokens before and behind the text where the gap is ``filled``, special tokens of the model included."""
        first, second = self.pattern.replace(GAP, filled).split("{}")
        before, behind = (self.reader([part], offsets=False)[0].ids.tolist() if part.strip() else [] for part in (first, second))
        return [*self.reader.prefix, *before], [*behind, *self.reader.suffix]

    def word(self, word: str) -> int:
        """Return the id of ``word``, as it would stand in the gap; `OptionError` where it is several pieces."""
        gaps, words = ([*before, *behind] for before, behind in map(self._framed, (self.tokenizer.mask_token, word)))
        differs = [at for at, (gap, its) in enumerate(zip(gaps, words, strict=False)) if gap != its]
        if len(words) != len(gaps) or len(differs) != 1 or words[differs[0]] == self.tokenizer.unk_token_id:
            pieces = self.tokenizer.tokenize(word)
            raise OptionError(f"{word!r:.40} is no single word of this model ({' '.join(pieces[:6])}): describe the label by one")
        return int(words[differs[0]])

    def ids(self, text: str) -> NDArray[np.int64]:
        """Return the tokens of the pattern with ``text`` in it."""
        room = max(0, self.most - len(self.before) - len(self.behind))
        its = self.reader([text], offsets=False)[0].ids[:room]
        return np.concatenate([self.before, its, self.behind]).astype(np.int64)

    def logs(self, texts: Sequence[str], words: Sequence[int]) -> NDArray[np.float64]:
        """Return the logarithm (texts, words) of how likely each of ``words``, ids of pieces, is in the gap behind each text."""
        rows = [self.ids(text) for text in texts]
        found = np.zeros((len(rows), len(words)), dtype=np.float64)
        gap, pad = self.tokenizer.mask_token_id, self.reader.pad

        def run(batch: Sequence[tuple[int, NDArray[np.int64]]]) -> None:
            longest = max(len(ids) for _, ids in batch)
            ids = torch.full((len(batch), longest), pad)
            mask = torch.zeros((len(batch), longest), dtype=torch.int64)
            for row, (_, its) in enumerate(batch):
                ids[row, : len(its)], mask[row, : len(its)] = torch.from_numpy(its), 1
            logits = self.model(input_ids=ids.to(self.device), attention_mask=mask.to(self.device)).logits
            for row, (at, its) in enumerate(batch):
                place = len(its) - len(self.behind) + self.behind.index(gap) if gap in self.behind else self.before.index(gap)
                found[at] = logits[row, place].double().log_softmax(dim=-1)[list(words)].cpu().numpy()

        ask_all(self.model, list(enumerate(rows)), lambda pair: len(pair[1]), TOKENS, run, lambda _: None)
        return found


def fills_gaps(place: Path) -> bool:
    """Whether the checkpoint in the folder ``place`` says that it has a masked-LM head."""
    if not (place / "config.json").is_file():
        return False
    architectures = read_config(place).get("architectures") or ()
    return any(str(name).endswith("ForMaskedLM") for name in architectures)
