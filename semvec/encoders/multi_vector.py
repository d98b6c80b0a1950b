"""Models made for late interaction (ColBERT and its kin), as sentence-transformers loads them."""

from __future__ import annotations

import copy
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from typing_extensions import Self, Unpack

from semvec.embeddings.fingerprint import Fingerprint
from semvec.embeddings.transforms import normalize
from semvec.encoders.base import BaseEncoder, TextInput
from semvec.encoders.model_folder import check_folder, config_hash, first_line, is_multi_vector, weights_hash
from semvec.encoders.options import EncodeOptions, OptionChanges, shared_settings
from semvec.encoders.quiet import quiet_loading
from semvec.encoders.rows import RowBatch
from semvec.encoders.transformer import choose_device
from semvec.errors import ModelError, SemvecError
from semvec.types import JSON, Level, Metric, Oov

BATCH = 32
UNUSED = ("layers", "layer_mix", "max_tokens", "overflow", "window_overlap", "late", "special", "batch_tokens", "backend", "oov",
          "pooling", "subword", "deterministic")  # fmt: skip


class MultiVectorEncoder(BaseEncoder):
    """A model whose own result is a vector for every token: queries and documents are read in different ways.

    At level token the rows are those that sentence-transformers scores: markers, special tokens and what queries are filled up
    with are among them, as rows without characters, and what the model skips is not. At level text a row is their mean. A text
    encoded as neither query nor document is read as a document.
    """

    family = "multi_vector"

    def __init__(
        self, loaded: Any, *, model: str, weights: str, config_hash: str = "", options: EncodeOptions | None = None
    ) -> None:
        super().__init__(options or EncodeOptions(level=Level.TOKEN))
        self.model = model
        self.weights = weights
        self._loaded = loaded
        self._config_hash = config_hash
        self._task = "document"

    @classmethod
    def from_pretrained(
        cls,
        path: str | os.PathLike[str],
        *,
        name: str | None = None,
        device: str | None = None,
        trust_pickle: bool = False,
        trust_remote_code: bool = False,
        **changes: Unpack[OptionChanges],
    ) -> Self:
        """Return the model in the folder ``path``, in float32, on ``device`` (the best there is).

        Raises `ModelError` for a folder that holds none; `PickleRefused` and `RemoteCodeRefused` as
        `ContextualEncoder.from_pretrained`.
        """
        folder = Path(path)
        check_folder(folder, trust_pickle=trust_pickle, trust_remote_code=trust_remote_code)
        if not is_multi_vector(folder):  # sentence-transformers would put a layer of random numbers behind it
            raise ModelError(f"{folder}: was not made for late interaction; any encoder does that by the vectors of its tokens")
        try:
            with quiet_loading():
                import torch
                from sentence_transformers import MultiVectorEncoder as Peer

                loaded = Peer(
                    str(folder),
                    device=choose_device(device),
                    trust_remote_code=trust_remote_code,
                    local_files_only=True,
                    model_kwargs={"dtype": torch.float32, "use_safetensors": None if trust_pickle else True},
                )
        except SemvecError:
            raise
        except Exception as error:  # whatever a library says of a folder it cannot make sense of
            raise ModelError(f"{folder}: sentence-transformers cannot load it ({first_line(error)})") from error
        if not getattr(loaded.tokenizer, "is_fast", False):
            raise ModelError(f"{folder}: its tokenizer does not say where tokens stand, and no other was found")
        made = EncodeOptions(level=Level.TOKEN).changed(changes)
        return cls(loaded, model=name or folder.name, weights=weights_hash(folder), config_hash=config_hash(folder), options=made)

    @property
    def levels(self) -> tuple[Level, ...]:
        return (Level.TOKEN, Level.TEXT)

    @property
    def metric(self) -> Metric:
        return Metric.COSINE

    @property
    def device(self) -> str:
        return str(self._loaded.device)

    def prompted(self, kind: str) -> Self:
        super().prompted(kind)  # refuses what is no kind
        if kind == self._task:
            return self
        other = copy.copy(self)
        other.__dict__.pop("fingerprint", None)
        other._task = kind
        return other

    @property
    def _prompt(self) -> str:
        own = self._loaded.prompts or {}
        return own.get(self._task) or "" if self.options.prompt is None else self.options.prompt

    def _check_options(self) -> None:
        self._refuse_unused(UNUSED, "of no use to a model that was made for late interaction")
        self._check_truncation(self._full_dim())

    def _full_dim(self) -> int:
        dim = self._loaded.get_embedding_dimension()
        if dim is None:
            raise ModelError(f"{self.model}: does not say how many dimensions its vectors have")
        return int(dim)

    def _fingerprint(self) -> Fingerprint:
        full = self._full_dim()
        settings: dict[str, JSON] = {"config": self._config_hash, "task": self._task, "prompt": self._prompt}
        return Fingerprint(
            family=self.family,
            model=self.model,
            weights=self.weights,
            level=self.options.level,
            dim=min(self.options.truncate_dim or full, full),
            dtype=self.options.dtype,
            metric=self.metric,
            normalized=self.options.normalize,
            settings={**settings, **shared_settings(self.options)},
        )

    def _encode_rows(self, inputs: Sequence[TextInput]) -> RowBatch:
        self._check_options()
        found: list[RowBatch] = []
        for at in range(0, len(inputs), BATCH):
            found += self._read([one.text for one in inputs[at : at + BATCH]])
            if self.options.progress:
                self.options.progress(min(at + BATCH, len(inputs)), len(inputs))
        return RowBatch.concatenate(found, self._full_dim())

    def _read(self, texts: list[str]) -> list[RowBatch]:
        """Return the rows of each of ``texts``."""
        encode = self._loaded.encode_query if self._task == "query" else self._loaded.encode_document
        features = encode(texts, prompt=self._prompt, batch_size=BATCH, output_value=None, show_progress_bar=False)
        tokens = self._tokens(texts)
        return [self._rows(one, ids, spans, len(text)) for one, (ids, spans), text in zip(features, tokens, texts, strict=True)]

    def _tokens(self, texts: Sequence[str]) -> list[tuple[list[int], list[tuple[int, int]]]]:
        """Return the ids of all tokens of each text, uncut, and where they stand in it: (0, 0) where in nothing of it."""
        prompt = self._prompt
        made = self._loaded.tokenizer(
            [prompt + text for text in texts], truncation=False, padding=False, return_offsets_mapping=True, verbose=False
        )
        return [
            (ids, [(start - len(prompt), end - len(prompt)) if end > start >= len(prompt) else (0, 0) for start, end in its])
            for ids, its in zip(made["input_ids"], made["offset_mapping"], strict=True)
        ]

    def _rows(self, features: dict[str, Any], ids: list[int], spans: list[tuple[int, int]], length: int) -> RowBatch:
        vectors = features["token_embeddings"].float().cpu().numpy()
        scored = features["attention_mask"].bool().cpu().numpy()
        read = features["input_ids"].cpu().tolist()
        places = np.zeros((len(read), 2), dtype=np.int32)
        alike = 0  # up to where it was cut, what was read is what the tokenizer gives
        while alike < min(len(read), len(ids)) and read[alike] == ids[alike]:
            places[alike] = spans[alike]
            alike += 1
        own = sum(end > start for start, end in spans)
        cut = sum(end > start for start, end in spans[alike:])
        counts = np.array([own], dtype=np.int32), np.array([cut], dtype=np.int32)
        solid = np.full(int(scored.sum()) if own else 0, Oov.EXACT, dtype=np.uint8)
        vectors, places = (vectors[scored], places[scored]) if own else (vectors[:0], places[:0])
        if self.options.level == Level.TOKEN:
            return RowBatch(np.array([len(vectors)]), vectors, places[:, 0].copy(), places[:, 1].copy(),
                            np.zeros(len(vectors), bool), solid, *counts)  # fmt: skip
        mean = normalize(vectors).mean(axis=0, keepdims=True) if len(vectors) else np.zeros((1, self._full_dim()), np.float32)
        known = np.array([Oov.EXACT if len(vectors) else Oov.ZERO], dtype=np.uint8)
        edges = np.zeros(1, np.int32), np.array([length], np.int32)
        return RowBatch(np.array([1]), mean.astype(np.float32), *edges, np.zeros(1, bool), known, *counts)

    def _count_tokens(self, inputs: Sequence[TextInput]) -> list[tuple[int, int]]:
        counted = []
        limit = self._limit()
        for ids, spans in self._tokens([one.text for one in inputs]):
            own, around = sum(end > start for start, end in spans), sum(end <= start for start, end in spans)
            counted.append((own, max(len(ids) - limit, 0) if own + around > limit else 0))
        return counted

    def _limit(self) -> int:
        """Return how many tokens are read of a query or a document, special ones included."""
        first = self._loaded[0]
        own = getattr(first, f"{self._task}_length", None)
        return int(own or self._loaded.max_seq_length or 1 << 30)
