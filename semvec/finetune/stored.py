"""How the encoder of a fine-tuned model is stored: whole, or as what it learnt alone (`semvec.encoders.tuned`)."""

from __future__ import annotations

import copy
import json
import os
import shutil
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from semvec.encoders.catalog import find_model
from semvec.encoders.model_folder import ABOUT, CONFIGS, TOKENIZER_FILES, module_folders
from semvec.encoders.quiet import quiet_loading
from semvec.encoders.tuned import FILES, WHOLE, Grown
from semvec.errors import ModelError, OptionError
from semvec.types import JSON

VERSION = 2
BESIDE = ("modules.json", "config_sentence_transformers.json", "added_tokens.json")
"""What of an encoder's folder is copied, besides its configuration and tokenizer."""


def save_encoder(body: Any, base: Grown, folder: Path, *, merge: bool = False) -> Grown:
    """Write ``body``, made from ``base``, into ``folder``, and return how it is stored there.

    Raises `OptionError` where it is to be whole (``merge``) and cannot be.
    """
    grown = replace(base, kind=WHOLE) if merge else base
    with quiet_loading():
        if grown.kind == WHOLE:
            _save_whole(_merged(body, base.kind), find_model(grown.base).path, folder)
        else:
            SAVERS[grown.kind](body, folder, grown)
    return grown


def write_about(folder: Path, grown: Grown, task: str, head: JSON, options: JSON, record: JSON) -> None:
    """Write ``semvec.json``, which says what the model in ``folder`` is."""
    about = {"format": VERSION, "task": task, "head": head, "encoder": grown.to_json(), "options": options, "record": record}
    (folder / ABOUT).write_text(json.dumps(about, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def check_mergeable(body: Any, base: Grown) -> None:
    """Raise `OptionError` where ``body`` cannot be stored whole: worth knowing before an hour's training."""
    if base.kind == "adapter" or (base.kind == "peft" and not hasattr(body, "merge_and_unload")):
        raise OptionError("--merge: this strategy adds parts to the encoder; lora, dora, ia3, bitfit and last-n can be merged")
    check_whole(base.base)


def check_whole(model: str | os.PathLike[str]) -> None:
    """Raise `OptionError` where ``model`` is itself stored as what it learnt alone, and so cannot be stored whole."""
    _origin(find_model(model).path)


def _merged(body: Any, kind: str) -> Any:
    """Return the plain model that ``body`` comes to."""
    return copy.deepcopy(body).merge_and_unload() if kind == "peft" else body


def _origin(origin: Path) -> list[Path]:
    """Return the folders of the encoder at ``origin``; `OptionError` where nothing whole is there to be taken as a pattern."""
    if not (origin / "config.json").is_file():
        raise OptionError(f"{origin}: is itself stored as what it learnt alone: store that one whole (--merge) first")
    try:
        return module_folders(origin)
    except ModelError as error:
        raise OptionError(f"{origin}: cannot be stored whole: {error}") from error


def _save_whole(model: Any, origin: Path, folder: Path) -> None:
    """Write ``model`` and whatever of the encoder at ``origin`` stands around it."""
    names = {*CONFIGS, *TOKENIZER_FILES, *BESIDE}
    for module in _origin(origin)[1:]:
        if module != origin and module.is_dir():
            shutil.copytree(module, folder / module.relative_to(origin), dirs_exist_ok=True)
    for file in origin.iterdir():
        if file.name in names:
            shutil.copyfile(file, folder / file.name)
    model.save_pretrained(folder)


def _save_peft(body: Any, folder: Path, grown: Grown) -> None:
    if not hasattr(getattr(body, "inner", body), "active_peft_config"):
        raise OptionError("what a strategy added became part of the weights when the model was loaded: copy its folder instead")
    getattr(body, "inner", body).save_pretrained(folder)
    (folder / "README.md").unlink(missing_ok=True)
    config = json.loads((folder / "adapter_config.json").read_text(encoding="utf-8"))
    config["base_model_name_or_path"] = grown.base
    (folder / "adapter_config.json").write_text(json.dumps(config, indent=1), encoding="utf-8")


def _save_adapters(body: Any, folder: Path, grown: Grown) -> None:
    _save_tensors(body.adapters.state_dict(), folder / FILES["adapter"])


def _save_learnt(body: Any, folder: Path, grown: Grown) -> None:
    _save_tensors({name: its for name, its in body.named_parameters() if its.requires_grad}, folder / FILES["tensors"])


def _save_tensors(tensors: Mapping[str, Any], file: Path) -> None:
    from safetensors.torch import save_file

    save_file({name: its.detach().cpu().contiguous() for name, its in tensors.items()}, file)


SAVERS: dict[str, Callable[[Any, Path, Grown], None]] = {"peft": _save_peft, "adapter": _save_adapters, "tensors": _save_learnt}
