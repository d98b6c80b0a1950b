"""What fine-tuning made of an encoder, where only what it learnt is stored: that, and the encoder it is put upon.

``semvec.json`` says which (``encoder``): ``peft`` (adapter_model.safetensors, the library's own format), ``adapter``
(adapter.safetensors, `semvec.encoders.bottleneck`) or ``tensors`` (tensors.safetensors, weights in the place of the encoder's).
"""

from __future__ import annotations

import json
import os
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from semvec.encoders.bottleneck import add_bottlenecks
from semvec.encoders.model_folder import ABOUT, combined_hash, first_line, is_tuned
from semvec.encoders.transformer import Transformer
from semvec.encoders.transformer_encoder import TransformerEncoder
from semvec.errors import MissingExtra, ModelError
from semvec.types import JSON

FILES = {"peft": "adapter_model.safetensors", "adapter": "adapter.safetensors", "tensors": "tensors.safetensors"}
WHOLE = "whole"
MERGED = ("LORA", "IA3")
"""Kinds of peft that become part of the weights."""

IN_FRONT = ("PROMPT_TUNING", "P_TUNING")
"""Kinds of peft that put vectors before those of the tokens."""

INSTALL = "pip install 'semvec[finetune]'"


@dataclass(frozen=True)
class Grown:
    """How an encoder was changed: the ``kind``, the encoder's name or path, its weights' hash, an adapter's reduction."""

    kind: str
    base: str
    weights: str
    reduction: int = 0

    def to_json(self) -> JSON:
        """Return this as it stands in ``semvec.json``."""
        return asdict(self)


def read_about(folder: Path) -> Mapping[str, JSON]:
    """Return what ``semvec.json`` says; raise `ModelError` where it is missing or damaged."""
    try:
        about = json.loads((folder / ABOUT).read_bytes())
        assert isinstance(about, dict)
    except FileNotFoundError:
        raise ModelError(f"{folder}: no {ABOUT}, so this is no model that semvec has fine-tuned") from None
    except (ValueError, OSError, RecursionError, AssertionError) as error:
        raise ModelError(f"{folder}: {ABOUT} is damaged ({first_line(error)})") from error
    return about


def read_grown(folder: Path) -> Grown:
    """Return how the encoder in ``folder`` was changed; raise `ModelError` where it does not say."""
    try:
        its = read_about(folder)["encoder"]
        grown = Grown(str(its["kind"]), str(its["base"]), str(its["weights"]), int(its.get("reduction") or 0))
    except (KeyError, TypeError, ValueError) as error:
        raise ModelError(f"{folder}: {ABOUT} does not say what the encoder is ({first_line(error)})") from error
    if grown.kind not in (*FILES, WHOLE):
        raise ModelError(f"{folder}: the encoder is of the kind {grown.kind!r:.40}, which this version of semvec does not know")
    return grown


def bases(model: str | os.PathLike[str]) -> list[Path]:
    """Return the folders that ``model`` is made of: its own, and those that it was tuned upon, one after the other.

    Raises `ModelError` where they come round to the first again.
    """
    found: list[Path] = []
    place = Path(model).expanduser()
    while place.is_dir():
        if place.resolve() in found:
            raise ModelError(f"{place}: was tuned upon itself, so nothing is left of what it was tuned upon")
        found.append(place.resolve())
        if not is_tuned(place):
            break
        place = Path(read_grown(place).base)
    return found


def tuned(encoder: TransformerEncoder, folder: Path, grown: Grown, name: str) -> TransformerEncoder:
    """Return ``encoder``, whose model is used up, with what is stored in ``folder`` put upon it.

    Raises `ModelError` where it is not the encoder that was tuned, and where what is stored does not fit it.
    """
    if encoder.weights != grown.weights:
        raise ModelError(
            f"{folder}: was tuned from {grown.base} with the weights {grown.weights[:12]}…, where there are now "
            f"{encoder.weights[:12]}…"
        )
    file = folder / FILES[grown.kind]
    if not file.is_file():
        raise ModelError(f"{folder}: {file.name} is missing")
    before = encoder.transformer
    try:
        model = put_upon(before.model, folder, grown, before.hidden)
    except MissingExtra:
        raise
    except Exception as error:  # whatever torch or peft say of tensors that do not fit
        raise ModelError(f"{folder}: {file.name} does not fit {grown.base} ({first_line(error)})") from error
    plain = type(model) is type(before.model) and not hasattr(model, "adapters")
    after = Transformer.of(before.tokenizer.inner, model, before.device, before.max_tokens, live=not plain)
    return encoder.with_transformer(after, model=name, weights=combined_hash([file]) + grown.weights[:16])


def put_upon(model: Any, folder: Path, grown: Grown, hidden: int) -> Any:
    """Return ``model`` with what is stored in ``folder`` put upon it, as part of its weights where that can be."""
    from safetensors.torch import load_file

    if grown.kind == "peft":
        return _with_peft(model, folder)
    tensors = load_file(folder / FILES[grown.kind])
    if grown.kind == "adapter":
        add_bottlenecks(model, hidden, grown.reduction).load_state_dict(tensors)
        return model.eval()
    if unknown := model.load_state_dict(tensors, strict=False).unexpected_keys:
        raise ValueError(f"no {unknown[0]} in it")
    return model.eval()


def _with_peft(model: Any, folder: Path) -> Any:
    try:
        from peft import PeftModel
    except ImportError as error:
        raise MissingExtra(f"this model needs the library peft ({error}): {INSTALL}") from error
    with quiet_peft():
        loaded = PeftModel.from_pretrained(model, os.fspath(folder))
    kind = str(loaded.active_peft_config.peft_type.value)
    return loaded.merge_and_unload() if kind in MERGED else with_virtual_tokens(loaded.eval())


@contextmanager
def quiet_peft() -> Iterator[None]:
    """Leave out what peft says of names that transformers will change, and of what it sets right by itself."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)
        warnings.simplefilter("ignore", UserWarning)
        yield


def with_virtual_tokens(model: Any) -> Any:
    """Return a model of peft whose hidden states are those of the tokens alone, without vectors put before them."""
    import torch

    class Body(torch.nn.Module):
        """A model of peft that is called, and answers, as the model inside."""

        def __init__(self) -> None:
            super().__init__()
            self.inner = model
            self.config = model.get_base_model().config
            its = model.active_peft_config
            self.virtual = int(its.num_virtual_tokens) if its.peft_type.value in IN_FRONT else 0

        def get_input_embeddings(self) -> Any:
            return self.inner.get_base_model().get_input_embeddings()

        def forward(self, input_ids: Any, attention_mask: Any, output_hidden_states: bool = False, **_: Any) -> Any:
            output = self.inner(input_ids=input_ids, attention_mask=attention_mask, output_hidden_states=output_hidden_states)
            output.last_hidden_state = output.last_hidden_state[:, self.virtual :]
            if output_hidden_states:
                output.hidden_states = tuple(states[:, self.virtual :] for states in output.hidden_states)
            return output

    return Body()
