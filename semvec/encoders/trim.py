"""An encoder without the pieces of words that some texts never have: the same vectors of these, from a smaller model."""

from __future__ import annotations

import json
import logging
import os
import shutil
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import chain, islice
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from semvec.embeddings.files import check_replaceable, folder_written_whole
from semvec.embeddings.transforms import normalize
from semvec.encoders.catalog import find_model, load_encoder
from semvec.encoders.model_folder import TOKENIZER_FILES, first_line, is_tuned, module_folders, read_config, weight_files
from semvec.encoders.transformer_encoder import TransformerEncoder
from semvec.errors import InputError, MissingExtra, ModelError, OptionError
from semvec.types import JSON, Oov, Progress, Step

ABOUT_TRIM = "trimmed.json"
TEXTS_AT_ONCE = 2048
CHECKED = 128
"""Texts whose vectors are compared before a trimmed model is called one."""

CLOSE = 1e-4
OUTPUTS = ("lm_head", "predictions")
"""In the names of weights that a model says pieces of words by; an encoder leaves them alone, and they have a row each too."""

LEFT_BEHIND = ("*.bin", "*.safetensors.index.json", "onnx", "openvino", "before", "generation_config.json", "*.h5", "*.msgpack")
"""What of a model's folder is of the old vocabulary, or of no use beside the new one."""


@dataclass(frozen=True)
class Trimmed:
    """What `trim` made: where, and how many ``pieces``, parameters and ``bytes`` there were before and are now.

    ``texts`` is how many were read, ``alike`` how many of them come in the same tokens as before.
    """

    path: Path
    pieces: tuple[int, int]
    bytes: tuple[int, int]
    texts: int
    alike: int


@dataclass(frozen=True)
class Agreement:
    """How two encoders agree on ``texts``: how many come in the same tokens, the mean and the lowest cosine of their vectors."""

    texts: int
    alike: int
    mean: float
    lowest: float


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
    single characters stay, so that any text can be read still. With 1 every text of the corpus comes in the same tokens and
    has the same vectors, which is verified; with more, words with rare pieces are read in smaller ones. ``model`` may be one
    that `finetune` made (stored whole): it stays one. ``corpus`` is read twice.

    Raises `OptionError` for an encoder without a transformer or stored as what it learnt alone, `ModelError` where its tokenizer
    or its weights cannot be taken apart, `InputError` for a corpus without a text, `MissingExtra` without skeletoken,
    `OutputExists` and `OutputError`.
    """
    say, target = progress or (lambda _: None), Path(output)
    if isinstance(corpus, str) or iter(corpus) is corpus:
        raise InputError("corpus is read twice: give a list of texts")
    if min_count < 1:
        raise OptionError(f"min_count must be at least 1, not {min_count!r}")
    check = partial(check_replaceable, target, "trimmed model", (target / ABOUT_TRIM).is_file, overwrite=overwrite)
    check()
    place = find_model(model).path
    if is_tuned(place):
        raise OptionError(f"{model}: is stored as what it learnt alone: store it whole (finetune … --merge) first")
    load = partial(load_encoder, device=device, trust_remote_code=trust_remote_code)
    encoder = _with_transformer(load(model), model)
    module = _module(place)
    counts, texts = _counted(encoder, corpus, say)
    before, after, old_ids = _without(_tokenizer_json(encoder, module), encoder, counts >= min_count)
    with folder_written_whole(target, check) as spare:
        shutil.copytree(place, spare, dirs_exist_ok=True, ignore=shutil.ignore_patterns(*LEFT_BEHIND))
        _rewrite(spare / module.relative_to(place), after, old_ids, encoder)
        alike = _verified(encoder, _with_transformer(load(spare), model), corpus, old_ids, say, strict=min_count == 1)
        made = Trimmed(target, (before, len(old_ids)), (_size(place), _size(spare)), texts, alike)
        _note(spare, made, os.fspath(model), min_count)
    return made


def agreement(whole: TransformerEncoder, trimmed: TransformerEncoder, texts: Sequence[str]) -> Agreement:
    """Return how the two agree on ``texts``; the vectors are those of whole texts."""
    same = [_surfaces(one) == _surfaces(other) for one, other in zip(_tokens(whole, texts), _tokens(trimmed, texts), strict=True)]
    one, other = whole.encode(texts), trimmed.encode(texts)
    there = (one.oov != Oov.ZERO) & (other.oov != Oov.ZERO)
    if not there.any():
        raise InputError("none of these texts has a token")
    cosines = np.einsum("ij,ij->i", normalize(one.floats())[there], normalize(other.floats())[there])
    return Agreement(len(texts), sum(same), float(cosines.mean()), float(cosines.min()))


def _with_transformer(encoder: Any, model: str | os.PathLike[str]) -> TransformerEncoder:
    if not isinstance(encoder, TransformerEncoder):
        kind = encoder.fingerprint.family
        raise OptionError(f"{model} is a {kind} model: only sentence and contextual ones have pieces of words to leave out")
    return encoder


def _module(place: Path) -> Path:
    """Return the folder in which transformer and tokenizer are."""
    found = [its for its in module_folders(place) if (its / "config.json").is_file() and weight_files(its)]
    if len(found) != 1 or "vocab_size" not in read_config(found[0]):
        raise ModelError(
            f"{place}: it does not say in one config.json how many pieces of words it knows, so they cannot be trimmed"
        )
    if pickles := [file.name for file in weight_files(found[0]) if file.suffix != ".safetensors"]:
        raise ModelError(f"{place}: its weights ({pickles[0]}) are a pickle: save it as safetensors first")
    return found[0]


def _tokenizer_json(encoder: TransformerEncoder, module: Path) -> str:
    """Return the tokenizer as its library writes it today: older files leave out what skeletoken wants."""
    from tokenizers import Tokenizer

    file = module / "tokenizer.json"
    its = Tokenizer.from_file(str(file)) if file.is_file() else encoder.transformer.tokenizer.inner.backend_tokenizer
    return str(its.to_str())


def _tokens(encoder: TransformerEncoder, texts: Sequence[str]) -> list[tuple[NDArray[np.int64], list[str]]]:
    """Return the ids and the surfaces of the tokens of ``texts``."""
    its = encoder.transformer.tokenizer(texts)
    return [
        (found.ids, [text[start:end] for start, end in zip(found.start.tolist(), found.end.tolist(), strict=True)])
        for text, found in zip(texts, its, strict=True)
    ]


def _surfaces(found: tuple[NDArray[np.int64], list[str]]) -> list[str]:
    return found[1]


def _batches(corpus: Iterable[str]) -> Iterator[list[str]]:
    rest = iter(corpus)
    while batch := list(islice(rest, TEXTS_AT_ONCE)):
        yield batch


def _counted(encoder: TransformerEncoder, corpus: Iterable[str], say: Progress) -> tuple[NDArray[np.int64], int]:
    """Return how often each piece comes in ``corpus``, behind the encoder's prompts too, and how many texts there are."""
    read, prompts = encoder.transformer.tokenizer, ["", *filter(None, encoder.prompts.values())]
    counts, texts = np.zeros(int(encoder.transformer.model.get_input_embeddings().weight.shape[0]), dtype=np.int64), 0
    for batch in _batches(corpus):
        for prompt in prompts:
            found = read([prompt + text for text in batch], offsets=False)
            ids = np.concatenate([its.ids for its in found])
            counts += np.bincount(ids, minlength=len(counts))
        texts += len(batch)
        say(Step("counting", texts, None, "texts"))
    if not counts.any():
        raise InputError("the corpus has no text with a token in it")
    return counts, texts


def _without(spec: str, encoder: TransformerEncoder, wanted: NDArray[np.bool_]) -> tuple[int, Any, NDArray[np.int64]]:
    """Return how many pieces there were, the tokenizer ``spec`` with those ``wanted`` alone, and the old id of each of its."""
    try:
        from skeletoken import TokenizerModel
    except ImportError as error:
        raise MissingExtra(f"trimming needs the library skeletoken ({error}): pip install 'semvec[trim]'") from error
    notes = logging.getLogger("skeletoken")
    level = notes.level
    notes.setLevel(logging.ERROR)
    try:
        whole = TokenizerModel.from_string(spec)
        keep = _kept(whole, wanted, encoder)
        made = whole.remove_tokens_from_vocabulary([piece for piece in whole.vocabulary if piece not in keep])
    except Exception as error:  # whatever skeletoken says of a tokenizer that it cannot take apart
        raise ModelError(f"{encoder.model}: its tokenizer cannot be taken apart ({first_line(error)})") from error
    finally:
        notes.setLevel(level)
    old, new = whole.vocabulary, made.vocabulary
    ids = np.array([old[piece] for piece in sorted(new, key=new.__getitem__)], dtype=np.int64)
    return len(old), made, ids


def _kept(whole: Any, wanted: NDArray[np.bool_], encoder: TransformerEncoder) -> set[str]:
    """Return the pieces that stay: those ``wanted``, special ones, characters, and what any of them is merged from."""
    special = set(encoder.transformer.tokenizer.inner.all_special_ids)
    keep = {its.content for its in whole.added_tokens.root}
    marks = (whole.continuing_subword_prefix or "", "▁", getattr(whole.model, "end_of_word_suffix", None) or "")
    for piece, number in whole.vocabulary.items():
        bare = piece
        for mark in filter(None, marks):
            bare = bare.replace(mark, "", 1)
        is_byte = piece.startswith("<0x") and piece.endswith(">")
        if number in special or len(bare) <= 1 or is_byte or (number < len(wanted) and wanted[number]):
            keep.add(piece)
    if whole.unk_token is not None:
        keep.add(whole.unk_token)
    kind = str(whole.model.type.value)
    if kind == "Unigram":  # what an unknown character costs is reckoned from the least likely piece
        keep.add(min(whole.model.vocab.root, key=lambda pair: pair[1])[0])
    return keep if kind != "BPE" else _with_parts(keep, whole.model)


def _with_parts(keep: set[str], bpe: Any) -> set[str]:
    """Return ``keep`` with all that its pieces are merged from, one step after the other."""
    prefix = bpe.continuing_subword_prefix or ""
    parts: dict[str, list[tuple[str, str]]] = {}
    for left, right in bpe.merges.root:
        parts.setdefault(left + right.removeprefix(prefix), []).append((left, right))
    found, rest = set(keep), list(keep)
    while rest:
        for part in chain.from_iterable(parts.get(rest.pop(), ())):
            if part not in found:
                found.add(part)
                rest.append(part)
    return found


def _rewrite(module: Path, tokenizer: Any, old_ids: NDArray[np.int64], encoder: TransformerEncoder) -> None:
    """Write the tokenizer, the ids in configurations and the rows of the weights anew, in the folder ``module``."""
    new_ids = {int(old): new for new, old in enumerate(old_ids)}
    for name in TOKENIZER_FILES:
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
    old_ids: NDArray[np.int64],
    say: Progress,
    *,
    strict: bool,
) -> int:
    """Return how many texts of ``corpus`` come in the same tokens as before; raise `ModelError` where they do not and should."""
    alike = done = 0
    some: list[str] = []
    for batch in _batches(corpus):
        both = (its.transformer.tokenizer(batch, offsets=False) for its in (whole, trimmed))
        for text, one, other in zip(batch, *both, strict=True):
            same = np.array_equal(one.ids, old_ids[other.ids])
            alike += same
            if same and len(some) < CHECKED and text.strip():
                some.append(text)
            elif strict and not same:
                raise ModelError(
                    f"{whole.model}: trimmed, its tokenizer would read {text!r:.80} otherwise, so nothing was written"
                )
        done += len(batch)
        say(Step("comparing", done, None, "texts"))
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


def _write(file: Path, record: JSON) -> None:
    file.write_text(json.dumps(record, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
