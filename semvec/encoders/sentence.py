"""Sentence vectors: the models of sentence-transformers."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from typing_extensions import Self, Unpack

from semvec.encoders.model_folder import check_folder, config_hash, first_line, weights_hash
from semvec.encoders.options import EncodeOptions, OptionChanges
from semvec.encoders.quick import METRICS, POOLING_NAMES, quick_modules, quick_transformer
from semvec.encoders.quiet import quiet_loading
from semvec.encoders.transformer import Transformer, choose_device
from semvec.encoders.transformer_encoder import TransformerEncoder
from semvec.errors import ModelError, SemvecError

AFTER_POOLING = ("Dense", "LayerNorm", "Normalize", "Dropout")


class SentenceEncoder(TransformerEncoder):
    """A sentence-transformers model, with the token, word, span and chunk vectors of its transformer too.

    At the levels text, chunk and span the vectors go through all of the model's modules, so a text's is
    what ``SentenceTransformer.encode`` returns (cosine at least 0.99999); only a text without a token is a
    flagged zero row here. Words and tokens are those of the transformer, before pooling.
    """

    family = "sentence"

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

        Raises `ModelError` for a folder that holds none, or one with modules between the transformer and
        the pooling; `PickleRefused` and `RemoteCodeRefused` as `ContextualEncoder.from_pretrained`.
        """
        folder = Path(path)
        check_folder(folder, trust_pickle=trust_pickle, trust_remote_code=trust_remote_code)
        if (
            not trust_remote_code
            and (quick := cls._quick(folder, device, name or folder.name, EncodeOptions().changed(changes))) is not None
        ):
            return quick
        try:
            with quiet_loading():
                import torch
                from sentence_transformers import SentenceTransformer

                place = choose_device(device)
                loaded = SentenceTransformer(
                    str(folder),
                    device=place,
                    trust_remote_code=trust_remote_code,
                    local_files_only=True,
                    model_kwargs={"dtype": torch.float32, "use_safetensors": None if trust_pickle else True},
                )
            return cls.of(
                loaded,
                name=name or folder.name,
                weights=weights_hash(folder),
                config=config_hash(folder),
                options=EncodeOptions().changed(changes),
                live=False,
            )
        except ModelError as error:
            raise ModelError(str(error) if str(folder) in str(error) else f"{folder}: {error}") from error
        except SemvecError:
            raise
        except Exception as error:  # whatever a library says of a folder it cannot make sense of
            raise ModelError(f"{folder}: sentence-transformers cannot load it ({first_line(error)})") from error

    @classmethod
    def _quick(cls, folder: Path, device: str | None, name: str, options: EncodeOptions) -> Self | None:
        """Return the model where it is an ordinary one that can be read without sentence-transformers, else None."""
        place, weights = choose_device(device), weights_hash(folder)
        try:
            modules = quick_modules(folder)
            transformer = None if modules is None else quick_transformer(folder, place, weights, modules.max_tokens)
        except Exception:  # whatever is wrong with the folder, the library that it is made for says it better
            return None
        if modules is None or transformer is None:
            return None
        return cls(
            transformer,
            model=name,
            weights=weights,
            config_hash=config_hash(folder),
            options=options,
            own_pooling=modules.pooling,
            pool_front=modules.pool_front,
            post=_normalized if modules.normalized else None,
            post_name="+normalize" if modules.normalized else "",
            normalized=modules.normalized,
            metric=modules.metric,
            prompts=modules.prompts,
            default_prompt=modules.default_prompt,
        )

    @classmethod
    def of(
        cls, loaded: Any, *, name: str, weights: str, config: str = "", options: EncodeOptions | None = None, live: bool = True
    ) -> Self:
        """Return an encoder around a ``SentenceTransformer`` that is loaded already; ``live``, if it may be trained on."""
        modules = list(loaded)
        kinds = [type(module).__name__ for module in modules]
        if kinds[:2] != ["Transformer", "Pooling"] or any(kind not in AFTER_POOLING for kind in kinds[2:]):
            raise ModelError(
                f"{name}: a sentence model of {', '.join(kinds)}; only Transformer, Pooling, {', '.join(AFTER_POOLING)} are read"
            )
        sized = {"Dense", "LayerNorm"} & set(kinds)
        first, pooling, tail = modules[0], modules[1], modules[2:]
        if loaded.truncate_dim and (options is None or options.truncate_dim is None):
            options = (options or EncodeOptions()).changed({"truncate_dim": loaded.truncate_dim})
        modes = (pooling.pooling_mode,) if isinstance(pooling.pooling_mode, str) else tuple(pooling.pooling_mode)
        return cls(
            Transformer.of(first.tokenizer, first.auto_model, str(loaded.device), loaded.max_seq_length, live=live),
            model=name,
            weights=weights,
            config_hash=config,
            options=options,
            own_pooling=tuple(POOLING_NAMES[mode] for mode in modes),
            pool_front=pooling.include_prompt,
            post=Chain(tail) if tail else None,
            post_name="".join(f"+{kind.lower()}" for kind in kinds[2:] if kind != "Dropout"),
            post_dims=(pooling.get_embedding_dimension(), loaded.get_embedding_dimension()) if sized else None,
            normalized="Normalize" in kinds,
            metric=METRICS[str(loaded.similarity_fn_name)],
            prompts={key: text for key, text in (loaded.prompts or {}).items() if text},
            default_prompt=(loaded.prompts or {}).get(loaded.default_prompt_name or ""),
        )


def _normalized(vectors: Any) -> Any:
    """Return ``vectors`` (rows, dim), each of length 1, as the module Normalize does it."""
    import torch

    return torch.nn.functional.normalize(vectors, p=2, dim=1)


class Chain:
    """Modules of sentence-transformers, one after the other, on pooled vectors (rows, dim)."""

    def __init__(self, modules: list[Any]) -> None:
        self.modules = modules

    def __call__(self, vectors: Any) -> Any:
        features = {"sentence_embedding": vectors}
        for module in self.modules:
            features = module(features)
        return features["sentence_embedding"]
