"""Token vectors against AutoModel on each text alone, in batches padded on either side."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from semvec.encoders.contextual import ContextualEncoder
from semvec.errors import OptionError
from semvec.types import LayerMix
from tests.sample import TEXTS

KINDS = ("bert", "roberta", "gpt2", "llama", "t5")
POSITIONS = 64


def reference(folder: Path, text: str, *, special: bool = False) -> tuple[list[np.ndarray[Any, Any]], list[int]]:
    """Every layer's hidden states of one text alone (truncated as the model must), by transformers itself."""
    from transformers import AutoModel, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(folder)
    model = AutoModel.from_pretrained(folder, dtype=torch.float32).eval()
    model = model.get_encoder() if model.config.is_encoder_decoder else model
    inputs = tokenizer(text, return_tensors="pt", truncation=True, max_length=POSITIONS, return_special_tokens_mask=True)
    mask = inputs.pop("special_tokens_mask")[0].numpy().astype(bool)
    inputs = {name: inputs[name] for name in ("input_ids", "attention_mask")}
    with torch.inference_mode():
        states = model(**inputs, output_hidden_states=True).hidden_states
    keep = np.ones_like(mask) if special else ~mask
    return [state[0].numpy()[keep] for state in states], inputs["input_ids"][0][torch.from_numpy(keep)].tolist()


@pytest.mark.parametrize("side", ["left", "right"])
@pytest.mark.parametrize("kind", KINDS)
def test_tokens_equal_automodel_alone(
    folders: dict[str, Path], contextual: dict[str, ContextualEncoder], kind: str, side: str
) -> None:
    encoder = contextual[kind]
    encoder.transformer.left = side == "left"
    try:
        found = encoder.encode(TEXTS, level="token", layers=-1)
    finally:
        encoder.transformer.left = False
    largest = 0.0
    for i, text in enumerate(TEXTS):
        states, _ = reference(folders[kind], text)
        assert found[i].vectors.shape == states[-1].shape
        largest = max(largest, float(np.abs(found[i].vectors - states[-1]).max()))
    assert largest <= 1e-4


@pytest.mark.parametrize("kind", ["bert", "gpt2"])
def test_special_tokens_only_when_asked_for(
    folders: dict[str, Path], contextual: dict[str, ContextualEncoder], kind: str
) -> None:
    found = contextual[kind].encode(TEXTS[:3], level="token", special=True)
    for i, text in enumerate(TEXTS[:3]):
        states, ids = reference(folders[kind], text, special=True)
        np.testing.assert_allclose(found[i].vectors, states[-1], atol=1e-4)
        assert found[i].special.sum() == (2 if kind == "bert" else 0)
    assert not contextual[kind].encode(TEXTS[:3], level="token").special.any()


@pytest.mark.parametrize(
    ("layers", "numbers"),
    [(-1, [3]), (0, [0]), ([-1, -2], [3, 2]), ("-2:", [2, 3]), ("all", [0, 1, 2, 3]), ("1:3", [1, 2]), ("-1,-3", [3, 1])],
)
@pytest.mark.parametrize("mix", list(LayerMix))
def test_layers_and_their_mix(
    folders: dict[str, Path], contextual: dict[str, ContextualEncoder], layers: Any, numbers: list[int], mix: LayerMix
) -> None:
    found = contextual["bert"].encode(TEXTS[:2], level="token", layers=layers, layer_mix=mix)
    for i, text in enumerate(TEXTS[:2]):
        states = [reference(folders["bert"], text)[0][number] for number in numbers]
        expected = {"mean": np.mean(states, axis=0), "sum": np.sum(states, axis=0), "concat": np.concatenate(states, axis=1)}[mix]
        np.testing.assert_allclose(found[i].vectors, expected, atol=2e-4)
    assert found.dim == found.vectors.shape[1]


@pytest.mark.parametrize("layers", [4, -5, "9:", "x", [1, 7], "1:2:3:4"])
def test_layers_that_are_not_there(contextual: dict[str, ContextualEncoder], layers: Any) -> None:
    with pytest.raises(OptionError, match="layers"):
        contextual["bert"].encode(["a"], level="token", layers=layers)


def pooled_by_hand(states: np.ndarray[Any, Any], how: str) -> np.ndarray[Any, Any]:
    n = len(states)
    return {
        "mean": lambda: states.mean(0),
        "cls": lambda: states[0],
        "max": lambda: states.max(0),
        "last_token": lambda: states[-1],
        "weighted_mean": lambda: (states * np.arange(1, n + 1)[:, None]).sum(0) / (n * (n + 1) / 2),
        "mean_sqrt": lambda: states.sum(0) / np.sqrt(n),
    }[how]()


@pytest.mark.parametrize("kind", ["bert", "llama"])
@pytest.mark.parametrize("how", ["mean", "cls", "max", "last_token", "weighted_mean", "mean_sqrt"])
def test_text_pooling(folders: dict[str, Path], contextual: dict[str, ContextualEncoder], kind: str, how: str) -> None:
    found = contextual[kind].encode(TEXTS, pooling=how)
    for i, text in enumerate(TEXTS):
        expected = pooled_by_hand(reference(folders[kind], text, special=True)[0][-1], how)
        np.testing.assert_allclose(found.vectors[i], expected, atol=2e-4)


@pytest.mark.parametrize("kind", ["bert", "roberta", "gpt2", "llama"])
@pytest.mark.parametrize("how", ["first", "last", "mean", "max"])
def test_words_are_made_of_their_own_tokens(
    folders: dict[str, Path], contextual: dict[str, ContextualEncoder], kind: str, how: str
) -> None:
    words = ["The", "muddy", "river-bank", "résumé", "中文", "👨‍👩‍👧", "unbelievableness"]
    text = " ".join(words)
    found = contextual[kind].encode([words], level="word", subword=how)
    tokens = contextual[kind].encode([text], level="token")
    assert found.surface.tolist() == words
    at = 0
    for row, word in enumerate(words):
        mine = [i for i in range(tokens.rows) if at <= tokens.start[i] < at + len(word) and tokens.end[i] > tokens.start[i]]
        states = tokens.vectors[mine]
        expected = {"first": states[0], "last": states[-1], "mean": states.mean(0), "max": states.max(0)}[how]
        np.testing.assert_allclose(found.vectors[row], expected, atol=1e-4)
        at += len(word) + 1


def test_same_vectors_whatever_the_budget(contextual: dict[str, ContextualEncoder]) -> None:
    for kind in KINDS:
        alone = contextual[kind].encode(TEXTS, level="token", batch_tokens=1)
        together = contextual[kind].encode(TEXTS, level="token", batch_tokens=100_000)
        np.testing.assert_allclose(alone.vectors, together.vectors, atol=1e-4)
        assert (alone.start == together.start).all()


def test_deterministic_vectors_do_not_depend_on_neighbours(contextual: dict[str, ContextualEncoder]) -> None:
    for kind in KINDS:
        encoder = contextual[kind].with_options(deterministic=True, batch_tokens=512)
        whole = encoder.encode(TEXTS).vectors
        backwards = encoder.encode(TEXTS[::-1]).vectors[::-1]
        alone = np.concatenate([encoder.encode([text]).vectors for text in TEXTS])
        np.testing.assert_array_equal(whole, backwards)
        np.testing.assert_array_equal(whole, alone)
    assert not torch.are_deterministic_algorithms_enabled()
