"""Contextual token vectors: any encoder or decoder of transformers."""

from __future__ import annotations

import os
from pathlib import Path

from typing_extensions import Self, Unpack

from semvec.encoders.model_folder import check_folder, config_hash, first_line, read_config, weights_hash
from semvec.encoders.options import EncodeOptions, OptionChanges
from semvec.encoders.quick import quick_transformer
from semvec.encoders.quiet import quiet_loading
from semvec.encoders.transformer import Transformer, choose_device
from semvec.encoders.transformer_encoder import TransformerEncoder
from semvec.errors import ModelError, SemvecError


class ContextualEncoder(TransformerEncoder):
    """Vectors of tokens, words, spans, chunks and texts from any transformer (BERT, GPT-2, Llama, …).

    The vectors are those of ``AutoModel`` on each text alone to within 1e-4, whatever else is in the batch
    and on whichever side it is padded. Pooling is the mean over all tokens unless ``pooling`` says otherwise.
    """

    family = "contextual"

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

        Raises `ModelError` for a folder that holds none, `PickleRefused` and `RemoteCodeRefused` for one
        that could only be loaded at a risk nobody has accepted.
        """
        folder = Path(path)
        read_config(folder)
        check_folder(folder, trust_pickle=trust_pickle, trust_remote_code=trust_remote_code)
        place, weights = choose_device(device), weights_hash(folder)
        try:
            transformer = None if trust_remote_code else quick_transformer(folder, place, weights)
        except Exception:  # whatever is wrong with the folder, transformers says it better
            transformer = None
        if transformer is None:
            transformer = _loaded(folder, place, trust_pickle=trust_pickle, trust_remote_code=trust_remote_code)
        return cls(
            transformer,
            model=name or folder.name,
            weights=weights,
            config_hash=config_hash(folder),
            options=EncodeOptions().changed(changes),
        )


def _loaded(folder: Path, device: str, *, trust_pickle: bool, trust_remote_code: bool) -> Transformer:
    """Return the model in ``folder`` as transformers loads it."""
    from transformers import AutoModel, AutoTokenizer

    try:
        with quiet_loading():
            import torch

            tokenizer = AutoTokenizer.from_pretrained(folder, trust_remote_code=trust_remote_code, local_files_only=True)
            model = AutoModel.from_pretrained(
                folder,
                dtype=torch.float32,
                trust_remote_code=trust_remote_code,
                use_safetensors=None if trust_pickle else True,
                local_files_only=True,
            )
        return Transformer.of(tokenizer, model, device)
    except ModelError as error:
        raise ModelError(f"{folder}: {error}") from error
    except SemvecError:
        raise
    except Exception as error:  # whatever a library says of a folder it cannot make sense of
        raise ModelError(f"{folder}: transformers cannot load it ({first_line(error)})") from error
