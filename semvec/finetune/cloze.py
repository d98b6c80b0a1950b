"""Which words fit into a gap behind a text, as a checkpoint with a masked-LM head says (Schick and Schütze, arXiv:2001.07676)."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from semvec.encoders.model_folder import check_folder, first_line, read_config
from semvec.encoders.quiet import quiet_loading
from semvec.encoders.tokens import Tokenizer
from semvec.encoders.transformer import choose_device, model_limit, stated_limit
from semvec.errors import ModelError, OptionError
from semvec.finetune.network import ask_all

PATTERN = "{} It was [MASK]."
"""A text's place, and the gap."""

GAP = "[MASK]"
SAFE: dict[str, Any] = {"local_files_only": True, "trust_remote_code": False}
NUMBERS = 1 << 26
"""How many numbers may come of a batch: one for every token and every piece of the vocabulary."""


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
        if len(self.ids("")) >= self.most:
            raise OptionError(f"pattern {pattern!r:.80} leaves no room for a text: the model reads {self.most} tokens")

    @classmethod
    def load(cls, place: Path, pattern: str = PATTERN, *, device: str | None = None) -> Cloze:
        """Return the model in the folder ``place``; `OptionError` where it has no masked-LM head, `ModelError` for a pickle."""
        from transformers import AutoModelForMaskedLM, AutoTokenizer

        if not fills_gaps(place):
            raise OptionError(f"{place}: has no masked-LM head, so it fills no gaps; similarity needs none")
        check_folder(place, trust_pickle=False, trust_remote_code=False)
        try:
            with quiet_loading():
                model = AutoModelForMaskedLM.from_pretrained(
                    place, local_files_only=True, use_safetensors=True, dtype=torch.float32
                )
                tokenizer = AutoTokenizer.from_pretrained(place, **SAFE)
        except (OSError, ValueError, KeyError, RuntimeError) as error:
            raise ModelError(f"{place}: cannot be read as a masked language model ({first_line(error)})") from error
        return cls(model, tokenizer, pattern, choose_device(device))

    def word(self, word: str) -> int:
        """Return the id of ``word``, as it would stand in the gap; `OptionError` where it is several pieces."""
        gaps, words = self.ids("a"), self.ids("a", word.replace("{}", "").strip() or None)
        differs = np.flatnonzero(gaps != words) if len(gaps) == len(words) else np.arange(0)
        if len(differs) != 1 or words[differs[0]] == self.tokenizer.unk_token_id:
            pieces = " ".join(self.tokenizer.tokenize(word)[:6])
            raise OptionError(f"{word!r:.40} is no single word of this model ({pieces}): describe the label by one")
        return int(words[differs[0]])

    def ids(self, text: str, filled: str | None = None) -> NDArray[np.int64]:
        """Return the tokens of the pattern with ``text`` in it, and a word ``filled`` in, or a gap; a long text is cut."""
        first, second = self.pattern.replace(GAP, filled or self.tokenizer.mask_token).split("{}")
        text = text.replace(self.tokenizer.mask_token, " ")  # there is one gap alone
        its = self.reader([f"{first}{text}{second}"])[0]
        over = len(its.ids) + len(self.reader.prefix) + len(self.reader.suffix) - self.most
        kept = np.ones(len(its.ids), dtype=bool)
        if over > 0:
            end = len(first) + len(text)
            own = np.flatnonzero((its.start >= len(first)) & (its.end <= end))
            kept[own[max(0, len(own) - over) :]] = False
        return np.concatenate([self.reader.prefix, its.ids[kept], self.reader.suffix]).astype(np.int64)

    def label_logs(self, texts: Sequence[str], words: Sequence[Sequence[int]]) -> NDArray[np.float64]:
        """Return `logs` (texts, labels), of each label the mean of those of its ``words``."""
        said = self.logs(texts, [one for some in words for one in some])
        ends = np.cumsum([len(some) for some in words])
        return np.stack([its.mean(axis=1) for its in np.split(said, ends[:-1], axis=1)], axis=1)

    def logs(self, texts: Sequence[str], words: Sequence[int]) -> NDArray[np.float64]:
        """Return the logarithm (texts, words) of how likely each of ``words``, ids of pieces, is in the gap behind each text."""
        rows, vocabulary = [self.ids(text) for text in texts], int(self.model.config.vocab_size)
        found, gap = np.zeros((len(rows), len(words)), dtype=np.float64), self.tokenizer.mask_token_id

        def run(batch: Sequence[tuple[int, NDArray[np.int64]]]) -> None:
            longest = max(len(ids) for _, ids in batch)
            ids = torch.full((len(batch), longest), self.reader.pad)
            mask = torch.zeros((len(batch), longest), dtype=torch.int64)
            for row, (_, its) in enumerate(batch):
                ids[row, : len(its)], mask[row, : len(its)] = torch.from_numpy(its), 1
            logits = self.model(input_ids=ids.to(self.device), attention_mask=mask.to(self.device)).logits
            places = (ids == gap).int().argmax(dim=1)
            at_gaps = logits[torch.arange(len(batch)), places].cpu().double().log_softmax(dim=-1)
            found[[at for at, _ in batch]] = at_gaps[:, list(words)].numpy()

        together = max(self.most, NUMBERS // vocabulary)
        ask_all(self.model, list(enumerate(rows)), lambda pair: len(pair[1]), together, run, lambda _: None)
        return found


def fills_gaps(place: Path) -> bool:
    """Whether the checkpoint in the folder ``place`` says that it has a masked-LM head, and is no sentence encoder."""
    if not (place / "config.json").is_file() or (place / "modules.json").is_file():
        return False
    architectures = read_config(place).get("architectures") or ()
    return any(str(name).endswith("ForMaskedLM") for name in architectures)
