"""Weights of neighbours: mixed as by hand, chosen where they help and silent where they do not."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.special import expit

from semvec.augment.weigh import Weighing, chosen_gate, chosen_weight, clues
from semvec.measures.basic import mean
from semvec.measures.intervals import Outcome
from semvec.results import Hit, Hits

LABELS = {"a": 0, "b": 1}


def hits(label: str, score: float = 0.9) -> Hits:
    return Hits((Hit("1", score, "x", {"label": label}),))


def case(right: float, n: int = 400, seed: int = 0) -> tuple[np.ndarray, list[Hits], np.ndarray]:
    """A model that is right in 6 of 10, and neighbours that are right as often as said, and near where they are."""
    rng = np.random.default_rng(seed)
    gold = rng.integers(0, 2, n)
    own = np.full((n, 2), 0.4)
    own[np.arange(n), np.where(rng.random(n) < 0.6, gold, 1 - gold)] = 0.6
    true = rng.random(n) < right
    said = [hits("ab"[label if ok else 1 - label], 0.9 if ok else 0.4) for label, ok in zip(gold, true, strict=True)]
    return own, said, gold


def worth(gold: np.ndarray) -> object:
    return lambda shares: Outcome.over_all("accuracy", mean, (shares.argmax(1) == gold).astype(float))


def test_shares_are_mixed_by_hand() -> None:
    own = np.array([[0.7, 0.3], [0.2, 0.8], [0.5, 0.5]])
    found = [hits("b"), hits("a"), Hits(())]
    np.testing.assert_allclose(Weighing(4, 0.1, 0.25).mixed(own, found, LABELS), [[0.525, 0.475], [0.4, 0.6], [0.5, 0.5]])
    np.testing.assert_array_equal(Weighing().mixed(own, found, LABELS), own)


def test_a_gate_by_hand() -> None:
    own, gate = np.array([[0.7, 0.3]]), (0.1, 1.0, -2.0, 0.5, 0.3, -0.2)
    [row] = clues(own, np.array([[0.0, 1.0]]), [hits("b", 0.8)])
    entropy = -(0.7 * np.log(0.7) + 0.3 * np.log(0.3))
    np.testing.assert_allclose(row, [1, 0.8, entropy, 0, 0, 0.7], atol=1e-5)
    w = expit(np.dot(row, gate))
    np.testing.assert_allclose(
        Weighing(1, 0.1, gate=gate).mixed(own, [hits("b", 0.8)], LABELS), [[0.7 * (1 - w), 0.3 * (1 - w) + w]]
    )


def test_they_have_a_say_where_they_help() -> None:
    own, found, gold = case(0.95)
    its = chosen_weight(own, found, LABELS, worth(gold))  # type: ignore[arg-type]
    assert its.weight > 0.15
    assert (its.mixed(own, found, LABELS).argmax(1) == gold).mean() > 0.9
    gate = chosen_gate(own, found, LABELS, gold, worth(gold))  # type: ignore[arg-type]
    assert (gate.mixed(own, found, LABELS).argmax(1) == gold).mean() >= 0.95
    fresh = case(0.5, seed=1)  # neighbours that are as often wrong, and far where they are: only a gate can tell
    gate = chosen_gate(*fresh[:2], LABELS, fresh[2], worth(fresh[2]))  # type: ignore[arg-type]
    assert (gate.mixed(fresh[0], fresh[1], LABELS).argmax(1) == fresh[2]).mean() > 0.75


def test_they_are_silent_where_they_do_not_help() -> None:
    rng = np.random.default_rng(3)
    own, _, gold = case(0.5)
    found = [hits("ab"[label], 0.6) for label in rng.integers(0, 2, len(gold))]  # chance, at a distance that says nothing
    assert chosen_weight(own, found, LABELS, worth(gold)).silent  # type: ignore[arg-type]
    assert chosen_gate(own[:2], found[:2], LABELS, gold[:2], worth(gold[:2])).silent  # type: ignore[arg-type]
    spoke = 0
    for seed in range(12):
        rng = np.random.default_rng(seed + 1000)
        own, _, gold = case(0.5, 150, seed)
        found = [hits("ab"[label], float(score)) for label, score in zip(rng.integers(0, 2, 150), rng.random(150), strict=True)]
        spoke += not chosen_gate(own, found, LABELS, gold, worth(gold)).silent  # type: ignore[arg-type]
    assert spoke <= 1


@pytest.mark.parametrize("wrong", [{"k": 0}, {"temperature": 0}, {"weight": 2}, {"gate": [1.0]}, {"gate": ["x"]}, {"k": None}])
def test_it_is_stored(wrong: dict[str, object]) -> None:
    its = Weighing(8, 0.05, 0.3, (0.1,) * 6)
    assert Weighing.from_json(its.to_json()) == its
    with pytest.raises((ValueError, TypeError)):
        Weighing.from_json({**its.to_json(), **wrong})  # type: ignore[dict-item]
