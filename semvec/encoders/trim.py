"""An encoder without the pieces of words that some texts never have: the same vectors of these, from a smaller model."""

from __future__ import annotations

import fnmatch
import json
import os
import re
import shutil
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from semvec.embeddings.files import check_replaceable, folder_written_whole
from semvec.encoders.catalog import find_model, load_encoder
from semvec.encoders.model_folder import ABOUT, TOKENIZER_FILES, is_tuned, module_folders, read_config, weight_files
from semvec.encoders.pieces import with_pieces
from semvec.encoders.transformer_encoder import TransformerEncoder
from semvec.errors import InputError, ModelError, OptionError
from semvec.types import JSON, Progress, Step

ABOUT_TRIM = "trimmed.json"
TEXTS_AT_ONCE = 2048
CHECKED = 128
"""Texts whose vectors are compared before a trimmed model is called one."""

CLOSE = 1e-4
CARD, FRONT_MATTER = "README.md", re.compile(r"---\n.*?\n---\n+", re.S)
"""The model's card, and what it may begin with, which has to stay at its beginning."""

OUTPUTS = ("lm_head", "predictions")
"""In the names of weights that a model says pieces of words by; an encoder leaves them alone, and they have a row each too."""

LEFT_BEHIND = (
    "pytorch_model*",
    "*.index.json",
    "*.onnx",
    "*.h5",
    "*.msgpack",
    "*.ot",
    "onnx",
    "openvino",
    "generation_config.json",
)
OLD_TOKENIZER = (*TOKENIZER_FILES, "tokenizer.model", "spm.model", "unigram.json", "added_tokens.json")
"""What of the folder with the transformer is of the old vocabulary."""


@dataclass(frozen=True)
class Trimmed:
    """What `trim` made: where, and how many ``pieces`` of words and ``bytes`` of weights and tokenizer there were and are now.

    ``texts`` is how many were read, ``alike`` how many of them come in the same tokens as before.
    """

    path: Path
    pieces: tuple[int, int]
    bytes: tuple[int, int]
    texts: int
    alike: int


def trim(
    model: str | os.PathLike[str],
    corpus: Iterable[str],
    output: str | os.PathLike[str],
    *,
    min_count: int = 1,
    overwrite: bool = False,
    device: str | None = None,
    trust_remote_code: bool = False,
    progress: Progress | None = None,
) -> Trimmed:
    """Write ``model`` into the folder ``output`` with those pieces of words alone that ``corpus`` has, and return what it is.

    Pieces that came fewer than ``min_count`` times go, and their rows of the embedding table with them; special tokens and
    single characters stay, so that any text can be read still. With 1 every text of the corpus comes in the same tokens, which
    is verified of all, behind each prompt of the model, and so has the same vectors, which is verified of the first `CHECKED`;
    with more, words with rare pieces are read in smaller ones. ``model`` may be one that `finetune` made (stored whole, and not
    one that writes): it stays one. ``corpus`` is read twice.

    Raises `OptionError` for an encoder without a transformer or stored as what it learnt alone, `ModelError` where its tokenizer
    or its weights cannot be taken apart, `InputError` for a corpus without a text or one that can be read once, `MissingExtra`
    without skeletoken, `OutputExists` and `OutputError`.
    """
    say, target = progress or (lambda _: None), Path(output)
    if isinstance(corpus, str | Iterator):
        raise InputError("corpus is read twice: give a list of texts")
    if min_count < 1:
        raise OptionError(f"min_count must be at least 1, not {min_count!r}")
    check = partial(check_replaceable, target, "trimmed model", (target / ABOUT_TRIM).is_file, overwrite=overwrite)
    check()
    place = find_model(model).path
    _check_place(place, target, model)
    load = partial(load_encoder, device=device, trust_remote_code=trust_remote_code)
    encoder = _with_transformer(load(model), model)
    module = _module(place)
    counts, texts = _counted(encoder, corpus, say)
    before, after, old_ids = with_pieces(encoder, module, counts >= min_count)
    with folder_written_whole(target, check) as spare:
        shutil.copytree(place, spare, dirs_exist_ok=True, ignore=partial(_left_behind, place, module))
        _rewrite(spare / module.relative_to(place), after, old_ids, encoder)
        trimmed = _with_transformer(load(spare), model)
        alike = _verified(encoder, trimmed, corpus, texts, old_ids, say, strict=min_count == 1)
        made = Trimmed(target, (before, len(old_ids)), (_size(place), _size(spare)), texts, alike)
        _note(spare, made, os.fspath(model), min_count)
    return made


def _check_place(place: Path, target: Path, model: str | os.PathLike[str]) -> None:
    """Raise `OptionError` where what is at ``place`` cannot be trimmed, or not into ``target``."""
    if is_tuned(place):
        raise OptionError(f"{model}: is stored as what it learnt alone: store it whole (finetune … --merge) first")
    if (place / ABOUT).is_file() and read_config(place, ABOUT).get("task") == "seq2seq":
        raise OptionError(f"{model}: writes texts, and what it needs for that is in no corpus: only models that read are trimmed")
    ours, theirs = place.resolve(), target.resolve()
    if ours == theirs or ours in theirs.parents or theirs in ours.parents:
        raise OptionError(f"{target}: is {model}, inside of it, or around it: name another folder")
    if broken := next((file for file in place.rglob("*") if not file.is_file() and not file.is_dir()), None):
        raise ModelError(f"{broken}: is neither a file nor a folder that is there, so the model cannot be copied")


def _left_behind(place: Path, module: Path, folder: str, names: list[str]) -> set[str]:
    """Return which of the ``names`` in a ``folder`` of the model at ``place`` are not copied."""
    patterns = LEFT_BEHIND if Path(folder) == module else ()
    before = {"before"} if Path(folder) == place else set()
    return before | {name for pattern in patterns for name in fnmatch.filter(names, pattern)}


def _with_transformer(encoder: Any, model: str | os.PathLike[str]) -> TransformerEncoder:
    if not isinstance(encoder, TransformerEncoder):
        kind = encoder.fingerprint.family
        raise OptionError(f"{model} is a {kind} model: only sentence and contextual ones have pieces of words to leave out")
    return encoder


def _module(place: Path) -> Path:
    """Return the folder in which transformer and tokenizer are."""
    every = [its for its in module_folders(place) if (its / "config.json").is_file() and weight_files(its)]
    found = [its for its in every if "vocab_size" in read_config(its)]
    if len(found) != 1:
        raise ModelError(
            f"{place}: it does not say in one config.json how many pieces of words it knows, so they cannot be trimmed"
        )
    if pickles := [file.name for file in weight_files(found[0]) if file.suffix != ".safetensors"]:
        raise ModelError(f"{place}: its weights ({pickles[0]}) are a pickle: save it as safetensors first")
    return found[0]


def _prompts(encoder: TransformerEncoder) -> list[str]:
    """Return what ``encoder`` may put before a text: nothing, or one of its prompts."""
    return list(dict.fromkeys(["", *filter(None, encoder.prompts.values())]))


def _batches(corpus: Iterable[str]) -> Iterator[list[str]]:
    rest = iter(corpus)
    while batch := list(islice(rest, TEXTS_AT_ONCE)):
        yield batch


def _counted(encoder: TransformerEncoder, corpus: Iterable[str], say: Progress) -> tuple[NDArray[np.int64], int]:
    """Return how often each piece comes in ``corpus``, behind the encoder's prompts too, and how many texts there are."""
    read, prompts = encoder.transformer.tokenizer, _prompts(encoder)
    table = int(encoder.transformer.model.get_input_embeddings().weight.shape[0])
    if table < len(read.inner):
        raise ModelError(f"{encoder.model}: the tokenizer has {len(read.inner):,} tokens, the model {table:,}: one is of another")
    counts, texts = np.zeros(table, dtype=np.int64), 0
    for batch in _batches(corpus):
        each = [np.concatenate([its.ids for its in read([prompt + text for text in batch], offsets=False)]) for prompt in prompts]
        counts += np.max([np.bincount(ids, minlength=len(counts)) for ids in each], axis=0)
        texts += len(batch)
        say(Step("counting", texts, None, "texts"))
    if not counts.any():
        raise InputError("the corpus has no text with a token in it")
    return counts, texts


def _rewrite(module: Path, tokenizer: Any, old_ids: NDArray[np.int64], encoder: TransformerEncoder) -> None:
    """Write the tokenizer, the ids in configurations and the rows of the weights anew, in the folder ``module``."""
    new_ids = {int(old): new for new, old in enumerate(old_ids)}
    for name in OLD_TOKENIZER:
        (module / name).unlink(missing_ok=True)
    (module / "tokenizer.json").write_text(tokenizer.model_dump_json(), encoding="utf-8")
    config = read_config(module)
    for name in [its for its in config if its.endswith("_token_id")]:
        config[name] = _renumbered(config[name], new_ids)
    _write(module / "config.json", {**config, "vocab_size": len(old_ids)})
    if (file := module / "tokenizer_config.json").is_file():
        known = read_config(module, file.name)
        if isinstance(added := known.get("added_tokens_decoder"), dict):
            known["added_tokens_decoder"] = {str(new_ids[int(old)]): its for old, its in added.items() if int(old) in new_ids}
        _write(file, known)
    _trim_weights(module, old_ids, encoder.transformer.model)


def _renumbered(value: JSON, new_ids: dict[int, int]) -> JSON:
    """Return the new id of ``value``, an old one, or of each of several; None of one that is not there any more."""
    if isinstance(value, list):
        return [new_ids[one] for one in value if one in new_ids]
    return new_ids.get(value) if isinstance(value, int) else None


def _trim_weights(module: Path, old_ids: NDArray[np.int64], model: Any) -> None:
    import torch
    from safetensors.torch import load_file, save_file

    table = model.get_input_embeddings().weight.detach().cpu()
    tensors: dict[str, Any] = {}
    for file in weight_files(module):
        tensors |= load_file(file)
        file.unlink()
    rows = {name for name, its in tensors.items() if its.shape == table.shape and torch.equal(its.to(table.dtype), table)}
    if not rows:
        raise ModelError(f"{module}: none of its weights are those that the model has of its pieces of words")
    rows |= {name for name, its in tensors.items() if its.shape[:1] == table.shape[:1] and any(mark in name for mark in OUTPUTS)}
    for its in rows:
        tensors[its] = tensors[its][old_ids].contiguous()
    save_file(tensors, module / "model.safetensors", metadata={"format": "pt"})


def _verified(
    whole: TransformerEncoder,
    trimmed: TransformerEncoder,
    corpus: Iterable[str],
    texts: int,
    old_ids: NDArray[np.int64],
    say: Progress,
    *,
    strict: bool,
) -> int:
    """Return how many of the ``texts`` texts of ``corpus`` come in the same tokens as before, behind every prompt.

    Raises `ModelError` where one does not and should, or has another vector; `InputError` where ``corpus`` gives others now.
    """
    alike = done = 0
    some: list[str] = []
    for batch in _batches(corpus):
        agree = np.ones(len(batch), dtype=np.bool_)
        for prompt in _prompts(whole):
            both = (its.transformer.tokenizer([prompt + text for text in batch], offsets=False) for its in (whole, trimmed))
            agree &= [np.array_equal(one.ids, old_ids[other.ids]) for one, other in zip(*both, strict=True)]
        for text, same in zip(batch, agree.tolist(), strict=True):
            alike += same
            if same and len(some) < CHECKED and text.strip():
                some.append(text)
            elif strict and not same:
                raise ModelError(
                    f"{whole.model}: trimmed, its tokenizer would read {text!r:.80} otherwise, so nothing was written"
                )
        done += len(batch)
        say(Step("comparing", done, None, "texts"))
    if done != texts:
        raise InputError(f"the corpus had {texts:,} texts at first, and {done:,} when read again: give what can be read twice")
    if some:
        apart = float(np.abs(whole.encode(some).floats() - trimmed.encode(some).floats()).max())
        if not apart < CLOSE:
            raise ModelError(
                f"{whole.model}: trimmed, its vectors would be {apart:.2g} from what they are, so nothing was written"
            )
    return alike


def _size(folder: Path) -> int:
    """Return how many bytes weights and tokenizer in ``folder`` have."""
    names = {*TOKENIZER_FILES}
    every = [file for module in module_folders(folder) for file in {*weight_files(module), *(module / name for name in names)}]
    return sum(file.stat().st_size for file in set(every) if file.is_file())


def _note(folder: Path, made: Trimmed, model: str, min_count: int) -> None:
    about = {"model": model, "pieces": made.pieces, "bytes": made.bytes, "texts": made.texts, "alike": made.alike}
    _write(folder / ABOUT_TRIM, {**about, "min_count": min_count})
    card = folder / CARD
    was = card.read_text(encoding="utf-8", errors="replace") if card.is_file() else ""
    head = FRONT_MATTER.match(was)
    front = head[0] if head else ""
    card.write_text(f"{front}> {told(folder)}\n\n{was[len(front) :].lstrip()}", encoding="utf-8")


def told(folder: Path) -> str | None:
    """Return what was left out of the model in ``folder``, in a sentence; None where nothing was."""
    try:
        its = json.loads((folder / ABOUT_TRIM).read_bytes())
        before, after = map(int, its["pieces"])
        texts, model = int(its["texts"]), Path(str(its["model"])).name
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return f"Trimmed from {model} by semvec: {after:,} of {before:,} pieces of words, those of {texts:,} texts; others are spelt."


def _write(file: Path, record: JSON) -> None:
    file.write_text(json.dumps(record, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
