"""Nearest training examples against scikit-learn and numpy; what they say is kept, shown, and weighed on validation data."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import ArrayLike, NDArray
from scipy.special import softmax
from sklearn.neighbors import KNeighborsClassifier

from semvec.errors import ModelError, OptionError
from semvec.finetune.loading import load_model
from semvec.finetune.model import FineTuned
from semvec.finetune.neighbours import Neighbours
from semvec.finetune.train import finetune
from semvec.finetune.windows import Window
from semvec.measures.basic import mean
from semvec.measures.intervals import Outcome
from semvec.text.tagged import TaggedSentences
from tests.finetune import small
from tests.finetune.small import quick

RNG = np.random.default_rng(0)
ROWS = RNG.standard_normal((60, 5)).astype(np.float32) * [1, 10, 0.1, 3, 1] + 7
LABELS = RNG.integers(0, 3, 60)
ASKED = RNG.standard_normal((9, 5)).astype(np.float32) * [1, 10, 0.1, 3, 1] + 7


def neighbours(labels: NDArray[np.generic] = LABELS) -> Neighbours:
    windows = [Window(at, {"labels": np.asarray(label)}) for at, label in enumerate(labels)]
    return Neighbours.of(windows, [row.astype(np.float32) for row in ROWS], [{"text": str(at)} for at in range(len(ROWS))])


def standardised(rows: NDArray[np.float32]) -> NDArray[np.float64]:
    its = (rows - ROWS.mean(0)) / ROWS.std(0)
    return its / np.linalg.norm(its, axis=1, keepdims=True)


def test_all_nearest_counting_the_same_are_scikit_learns() -> None:
    theirs = KNeighborsClassifier(7, metric="cosine").fit(standardised(ROWS), LABELS)
    its = replace(neighbours(), k=7, temperature=1e6)
    found = its.find(list(ASKED), 7)
    np.testing.assert_allclose(its.shares(found, 3), theirs.predict_proba(standardised(ASKED)), atol=1e-4)


def test_what_is_mixed_is_the_formula() -> None:
    its = replace(neighbours(), k=5, temperature=0.1, weight=0.3)
    logits = [RNG.standard_normal(3).astype(np.float32) for _ in ASKED]
    mixed = its.mixed(logits, its.find(list(ASKED), 5))
    cosines = standardised(ASKED) @ standardised(ROWS).T
    for row, own, said in zip(cosines, logits, mixed, strict=True):
        near = np.argsort(-row)[:5]
        weights = softmax(row[near] / 0.1)
        wanted = 0.3 * np.array([weights[LABELS[near] == label].sum() for label in range(3)]) + 0.7 * softmax(own)
        np.testing.assert_allclose(softmax(said), wanted, atol=2e-3)  # they are kept in half precision
    unmixed = replace(its, weight=0.0).mixed(logits, its.find(list(ASKED), 5))
    assert all(np.array_equal(one, other) for one, other in zip(unmixed, logits, strict=True))


def test_many_labels_are_mixed_one_by_one() -> None:
    many = RNG.integers(0, 2, (60, 4)).astype(np.float32)
    its = replace(neighbours(many), k=6, temperature=1e6, weight=0.5)
    found = its.find([ASKED[0]], 6)
    [mixed] = its.mixed([np.zeros(4, np.float32)], found)
    wanted = 0.5 * many[found[0][0]].mean(0) + 0.25
    np.testing.assert_allclose(1 / (1 + np.exp(-mixed)), wanted, atol=1e-4)


def outcome(rights: ArrayLike) -> Outcome:
    return Outcome.over_all("accuracy", mean, np.array(rights, dtype=float))


def test_what_does_not_help_has_no_say() -> None:
    its = neighbours()
    logits, found = [row[:3].copy() for row in ASKED], its.find(list(ASKED), 64)
    untouched, without, best = its.chosen(logits, found, lambda _: outcome([0, 1] * 4), lambda *_: None)
    assert (untouched.weight, without, best) == (0.0, 0.5, 0.5)
    helped, without, best = its.chosen(
        logits, found, lambda said: outcome([float(not np.array_equal(said[0], logits[0]))] * 8), lambda *_: None
    )
    assert helped.weight > 0
    assert (without, best) == (0.0, 1.0)


def test_luck_has_no_say() -> None:
    its = neighbours()
    logits, found = [row[:3].copy() for row in ASKED], its.find(list(ASKED), 64)
    draws, taken = np.random.default_rng(1), 0
    for _ in range(20):
        lucky, without, best = its.chosen(logits, found, lambda _: outcome(draws.integers(0, 2, 200)), lambda *_: None)
        taken += lucky.weight > 0
        assert lucky.weight > 0 or without == best
    assert taken <= 4  # the best of 180 draws of a coin is always well above a half, and means nothing


def test_a_text_without_a_token_has_no_neighbours(base: Path, tmp_path: Path) -> None:
    finetune("tag", base, small.write("tag", tmp_path), tmp_path / "m", options=quick(strategy="head", knn=True), before=False)
    model = load_model(tmp_path / "m")
    assert isinstance(model, FineTuned)
    assert model.neighbours is not None
    model.neighbours = replace(model.neighbours, weight=0.5)
    [answer] = model.predict(TaggedSentences([["\u200b"]], [["O"]]), explain=2)
    assert answer["tags"] == ["O"]


@pytest.mark.parametrize("task", ["classify", "tag", "relation", "pairs"])
def test_neighbours_are_kept_and_explain(task: str, base: Path, tmp_path: Path) -> None:
    data = small.write(task, tmp_path)
    options = quick(strategy="head", epochs=3, knn=True)
    made = finetune(task, base, data, tmp_path / "m", options=options, before=False)
    again = load_model(tmp_path / "m")
    assert isinstance(made.model, FineTuned)
    assert isinstance(again, FineTuned)
    assert again.neighbours is not None
    assert made.record["history"]["neighbours"]["weight"] == again.neighbours.weight
    heavy = replace(again, neighbours=replace(again.neighbours, weight=0.9, k=4, temperature=0.02))
    examples = again.task.read(data, options)
    before, after = again.predict(examples), heavy.predict(examples, explain=3)
    again.neighbours = None
    alone = again.predict(examples)
    key = "tags" if task == "tag" else "label"
    right = examples.tags if task == "tag" else examples.labels
    share = np.mean([answer[key] == gold for answer, gold in zip(after, right, strict=True)])
    assert share > 0.8  # nine tenths of them were learnt from: each is its own nearest neighbour
    assert len(before) == len(alone) == len(after)
    for answer, gold in zip(after, right, strict=True):
        lists = answer.get("nearest", {}).values() if task == "tag" else [answer["nearest"]]
        for nearest in lists:
            assert len(nearest) == 3
            assert nearest == sorted(nearest, key=lambda its: -its["cosine"])
            if nearest[0]["cosine"] > 0.9999 and task != "tag":
                assert {"label", "cosine", *again.task.shown(examples, 0)} == set(nearest[0])
        assert gold is not None


def test_who_has_no_neighbours_says_so(base: Path, tmp_path: Path) -> None:
    data = small.write("classify", tmp_path)
    finetune("classify", base, data, tmp_path / "m", options=quick(strategy="head"), before=False)
    model = load_model(tmp_path / "m")
    with pytest.raises(OptionError, match="--knn"):
        model.predict(model.task.read_inputs(data, model.options), explain=2)


def test_damaged_neighbours_are_told(base: Path, tmp_path: Path) -> None:
    data = small.write("classify", tmp_path)
    finetune("classify", base, data, tmp_path / "m", options=quick(strategy="head", knn=True), before=False)
    about = json.loads((tmp_path / "m" / "neighbours.json").read_text())
    assert about["shown"][0].keys() == {"text"}
    (tmp_path / "m" / "neighbours.safetensors").write_bytes(b"junk")
    with pytest.raises(ModelError, match=r"neighbours.safetensors is missing or damaged"):
        load_model(tmp_path / "m")
