"""What is remembered: every example with the same chance, or as many of every label."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

from semvec.continual.memory import Memory, Remembered
from semvec.continual.options import Selection


def told(memory: Memory, labels: str) -> Memory:
    memory.add(Remembered(f"text {at}", label) for at, label in enumerate(labels))
    return memory


def test_a_reservoir_keeps_every_one_with_the_same_chance() -> None:
    counts, draws = np.zeros(30), 3000
    for seed in range(draws):
        for one in told(Memory(6, Selection.RESERVOIR, seed), "x" * 30).kept:
            counts[int(one.text.split()[1])] += 1
    expected = draws * 6 / 30
    assert counts.sum() == draws * 6
    assert ((counts - expected) ** 2 / expected).sum() < 58.3  # chi-squared, 29 degrees of freedom, p = 0.001


def test_a_balanced_memory_has_as_many_of_every_label_whatever_comes() -> None:
    labels = "a" * 500 + "b" * 30 + "c" * 60 + "d" * 5
    for seed in range(20):
        counts = Counter(one.label for one in told(Memory(20, Selection.BALANCED, seed), labels).kept)
        assert sum(counts.values()) == 20
        assert counts["d"] in (4, 5)
        assert max(counts.values()) - min(counts.values()) <= 2


def test_of_a_label_every_example_has_about_the_same_chance() -> None:
    counts, draws = np.zeros(40), 2000
    for seed in range(draws):
        memory = told(Memory(8, Selection.BALANCED, seed), "ab" * 20)
        for one in memory.kept:
            counts[int(one.text.split()[1])] += 1
    assert counts.min() > 0.7 * counts.mean()
    assert counts.max() < 1.3 * counts.mean()


@pytest.mark.parametrize("selection", Selection)
def test_a_memory_comes_back_and_goes_on_as_it_would_have(selection: Selection) -> None:
    one, other = (told(Memory(5, selection, 7), "aabbcc" * 4) for _ in range(2))
    one.kept[0] = Remembered("said", "a", np.array([0.1, -2.5], dtype=np.float32))
    other.restore(one.to_json())
    assert [its.text for its in one.kept] == [its.text for its in other.kept]
    np.testing.assert_array_equal(other.kept[0].said, one.kept[0].said)  # type: ignore[arg-type]
    assert one.bytes == other.bytes == sum(len(its.text) + 1 for its in one.kept) + 8
    assert [its.text for its in told(one, "cab" * 9).kept] == [its.text for its in told(other, "cab" * 9).kept]
