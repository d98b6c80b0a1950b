"""Texts longer than the model: cut and counted, refused, or read in windows; chunks."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
import pytest

from semvec.encoders.contextual import ContextualEncoder
from semvec.encoders.sentence import SentenceEncoder
from semvec.encoders.windows import overlapping
from semvec.errors import OptionError, OverflowRefused, TextsCut
from semvec.types import Oov
from tests.sample import TEXTS

LONG = " ".join(TEXTS * 3)


@pytest.mark.parametrize(("n", "size", "overlap"), [(0, 5, 2), (5, 5, 2), (6, 5, 2), (23, 5, 2), (100, 10, 9), (50_000, 254, 63)])
def test_windows_cover_every_token_once_with_context(n: int, size: int, overlap: int) -> None:
    windows = overlapping(n, size, overlap)
    owned = [i for window in windows for i in range(window.own_start, window.own_end)]
    assert owned == list(range(n))
    for window in windows:
        assert window.start <= window.own_start <= window.own_end <= window.end
        assert window.end - window.start <= size
        assert window.start == 0 or window.own_start - window.start >= overlap // 2
        assert window.end == n or window.end - window.own_end >= overlap // 2


def test_truncation_is_counted(sentence: SentenceEncoder) -> None:
    found = sentence.encode([LONG, "short"])
    whole = sentence.encode([LONG, "short"], level="token", overflow="windows")
    assert found.n_tokens.tolist() == [len(whole[0].vectors), len(whole[1].vectors)]
    assert found.n_truncated.tolist() == [found.n_tokens[0] - 62, 0]  # 64 positions less CLS and SEP
    assert sentence.count_tokens([LONG, "short"])[1].tolist() == found.n_truncated.tolist()
    tokens = sentence.encode([LONG, "short"], level="token")
    assert len(tokens[0].vectors) == 62
    words = sentence.encode([LONG], level="word")
    assert words.end[-1] >= tokens[0].end[-1] > words.start[-1]


def test_overflow_error_names_the_text(sentence: SentenceEncoder) -> None:
    with pytest.raises(OverflowRefused, match=r"All human beings.*tokens where the model reads 62"):
        sentence.encode(["short", LONG], overflow="error")
    assert sentence.encode(["short"], overflow="error").rows == 1


@pytest.mark.parametrize("kind", ["bert", "gpt2", "llama"])
def test_windows_are_stitched_from_what_the_model_gives(contextual: dict[str, ContextualEncoder], kind: str) -> None:
    encoder = contextual[kind]
    found = encoder.encode([LONG], level="token", overflow="windows", window_overlap=20)
    frame = encoder.transformer.tokenizer
    tokens = frame([LONG])[0]
    size = 64 - len(frame.prefix) - len(frame.suffix)
    expected = np.zeros_like(found.vectors)
    for window in overlapping(len(tokens), size, 20):
        ids = [*frame.prefix, *tokens.ids[window.start : window.end], *frame.suffix]
        import torch

        with torch.inference_mode():
            states = encoder.transformer.model(input_ids=torch.tensor([ids])).last_hidden_state[0].numpy()
        states = states[len(frame.prefix) :]
        expected[window.own_start : window.own_end] = states[window.own_start - window.start : window.own_end - window.start]
    np.testing.assert_allclose(found.vectors, expected, atol=1e-4)
    assert found.n_truncated.tolist() == [0]


def test_windows_at_text_level_pool_over_all_tokens(contextual: dict[str, ContextualEncoder]) -> None:
    encoder = contextual["bert"].with_options(overflow="windows")
    tokens = encoder.encode([LONG, TEXTS[0]], level="token", special=True)
    for how in ("mean", "max", "cls", "last_token"):
        found = encoder.encode([LONG, TEXTS[0]], pooling=how)
        for i in range(2):
            states = tokens[i].vectors
            expected = {"mean": states.mean(0), "max": states.max(0), "cls": states[0], "last_token": states[-1]}[how]
            np.testing.assert_allclose(found.vectors[i], expected, atol=1e-4)


def test_a_text_that_fits_is_the_same_under_windows(sentence: SentenceEncoder) -> None:
    fits = [text for text in TEXTS if sentence.count_tokens([text])[1][0] == 0]
    np.testing.assert_allclose(sentence.encode(fits).vectors, sentence.encode(fits, overflow="windows").vectors, atol=1e-6)


@pytest.mark.slow
def test_fifty_thousand_tokens(sentence: SentenceEncoder) -> None:
    text = " ".join(f"word{i % 97} of the bank" for i in range(12_000))
    found = sentence.encode([text], level="token", overflow="windows")
    assert found.rows == found.n_tokens[0] > 50_000
    assert found.n_truncated[0] == 0
    assert (np.abs(found.vectors).max(axis=1) > 0).all()
    assert all(text[a:b] == s for a, b, s in zip(found.start, found.end, found.surface, strict=True))


@pytest.mark.parametrize("late", [False, True])
@pytest.mark.parametrize("by", ["tokens", "sentences"])
@pytest.mark.parametrize("overlap", [0, 7])
def test_chunks_cover_the_text(sentence: SentenceEncoder, late: bool, by: str, overlap: int) -> None:
    found = sentence.encode(
        [LONG, "a", ""], level="chunk", chunk_by=by, chunk_tokens=20, chunk_overlap=overlap, late=late, overflow="windows"
    )
    chunks = found[0]
    assert (found.text_index == 0).sum() > 10
    assert found[1].surface.tolist() == ["a"]
    assert found[2].rows == 0
    assert found.n_truncated.tolist() == [0, 0, 0]
    covered = np.zeros(len(LONG), dtype=bool)
    for start, end, surface in zip(chunks.start, chunks.end, chunks.surface, strict=True):
        assert LONG[start:end] == surface
        covered[start:end] = True
        assert sentence.count_tokens([surface])[0][0] <= 20
    assert all(LONG[i].isspace() for i in np.flatnonzero(~covered))
    assert (chunks.start[1:] < chunks.end[:-1]).any() == bool(overlap)


def test_a_chunk_is_the_vector_of_its_text_alone(sentence: SentenceEncoder) -> None:
    found = sentence.encode([LONG], level="chunk", chunk_by="sentences", chunk_tokens=40)
    alone = sentence.encode(found.surface.tolist())
    np.testing.assert_allclose(found.vectors, alone.vectors, atol=1e-5)


def test_late_chunks_are_pooled_from_the_whole_text(contextual: dict[str, ContextualEncoder]) -> None:
    encoder = contextual["bert"].with_options(overflow="windows")
    found = encoder.encode([LONG], level="chunk", chunk_tokens=25, late=True)
    tokens = encoder.encode([LONG], level="token")
    for row in range(found.rows):
        mine = (tokens.start >= found.start[row]) & (tokens.end <= found.end[row])
        np.testing.assert_allclose(found.vectors[row], tokens.vectors[mine].mean(0), atol=1e-4)
    early = encoder.encode([LONG], level="chunk", chunk_tokens=25)
    assert np.abs(found.vectors - early.vectors).max() > 1e-3


def test_spans_lost_to_truncation_are_flagged(sentence: SentenceEncoder) -> None:
    at = LONG.rindex("leading")
    found = sentence.encode([LONG], spans=[[(0, 3), (at, at + 3)]], level="span")
    assert found.oov.tolist() == [Oov.EXACT, Oov.ZERO]
    assert not found.vectors[1].any()
    whole = sentence.encode([LONG], spans=[[(0, 3), (at, at + 3)]], level="span", overflow="windows")
    assert whole.oov.tolist() == [Oov.EXACT, Oov.EXACT]


def test_sizes_that_do_not_fit(sentence: SentenceEncoder) -> None:
    with pytest.raises(OptionError, match="chunk_tokens .* more than the 62"):
        sentence.encode(["a"], level="chunk", chunk_tokens=63)
    with pytest.raises(OptionError, match="chunk_overlap"):
        sentence.encode(["a"], level="chunk", chunk_tokens=5, chunk_overlap=5)
    with pytest.raises(OptionError, match="window_overlap"):
        sentence.encode([LONG], overflow="windows", window_overlap=62)
    with pytest.raises(OptionError, match="max_tokens 65"):
        sentence.encode(["a"], max_tokens=65)
    with pytest.raises(OptionError, match="leave no room"):
        sentence.encode(["a"], max_tokens=2)


def test_max_tokens_of_a_folder(sentence_folder: Path, sentence: SentenceEncoder) -> None:
    assert sentence.max_tokens == 64
    assert sentence.encode([LONG], max_tokens=32).n_truncated[0] == sentence.encode([LONG]).n_truncated[0] + 32


def test_a_cut_is_warned_of_where_the_user_called(sentence: SentenceEncoder) -> None:
    with pytest.warns(TextsCut, match=r"1 of 2 texts were cut, \d+\.\d % of tokens") as caught:
        sentence.encode([LONG, "short"])
    assert caught[0].filename == __file__
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        sentence.encode([LONG, "short"], overflow="windows")
