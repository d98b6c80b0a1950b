"""The CRF against the sum over all paths, written out."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
import torch

from semvec.finetune.crf import Crf, may_follow

BIO = ["B-A", "B-B", "I-A", "I-B", "O"]


def score(crf: Crf, logits: np.ndarray, path: tuple[int, ...]) -> float:
    steps, first, last = (its.detach().numpy().astype(np.float64) for its in crf._scores())
    total = first[path[0]] + last[path[-1]] + sum(logits[at, tag] for at, tag in enumerate(path))
    return float(total + sum(steps[a, b] for a, b in zip(path, path[1:], strict=False)))


@pytest.fixture
def crf() -> Crf:
    torch.manual_seed(3)
    its = Crf(*may_follow(BIO))
    with torch.no_grad():
        for weight in its.parameters():
            weight.normal_()
    return its


def test_loss_is_that_of_all_paths(crf: Crf) -> None:
    rng = np.random.default_rng(0)
    lengths = [4, 1, 3]
    logits = rng.standard_normal((3, 4, 5)).astype(np.float32)
    tags = np.array([[0, 2, 4, 1], [1, 0, 0, 0], [4, 1, 3, 0]])
    mask = np.arange(4) < np.array(lengths)[:, None]
    wanted = 0.0
    for row, n in enumerate(lengths):
        every = [score(crf, logits[row, :n], path) for path in product(range(5), repeat=n)]
        wanted += np.logaddexp.reduce(every) - score(crf, logits[row, :n], tuple(tags[row, :n]))
    found = crf.loss(torch.from_numpy(logits), torch.from_numpy(tags), torch.from_numpy(mask))
    assert float(found.detach()) == pytest.approx(wanted / sum(lengths), rel=1e-4)


def test_best_path_is_the_best_of_all(crf: Crf) -> None:
    rng = np.random.default_rng(1)
    for n in (1, 2, 4):
        logits = rng.standard_normal((n, 5)).astype(np.float32)
        best = max(product(range(5), repeat=n), key=lambda path: score(crf, logits, path))
        assert tuple(crf.best(logits)) == best


def test_padding_changes_nothing(crf: Crf) -> None:
    logits = torch.randn(1, 3, 5)
    tags = torch.tensor([[0, 2, 4]])
    alone = crf.loss(logits, tags, torch.ones(1, 3, dtype=torch.bool))
    padded = torch.cat([logits, torch.full((1, 2, 5), 7.0)], dim=1)
    beside = crf.loss(padded, torch.tensor([[0, 2, 4, -100, -100]]), torch.tensor([[True, True, True, False, False]]))
    assert alone.item() == pytest.approx(beside.item(), rel=1e-5)


def test_the_scheme_is_kept() -> None:
    allowed, starts, ends = may_follow(BIO)
    step = {(a, b): allowed[i, j] for i, a in enumerate(BIO) for j, b in enumerate(BIO)}
    assert all(step[a, b] for a, b in (("B-A", "I-A"), ("I-A", "I-A"), ("O", "B-B"), ("I-A", "B-A"), ("B-A", "O")))
    assert not any(step[a, b] for a, b in (("O", "I-A"), ("B-B", "I-A"), ("I-B", "I-A")))
    assert starts.tolist() == [True, True, False, False, True]
    assert ends.all()


def test_the_scheme_with_ends_is_kept() -> None:
    tags = ["B-A", "I-A", "E-A", "S-A", "O", "B-B", "E-B"]
    allowed, starts, ends = may_follow(tags)
    step = {(a, b): bool(allowed[i, j]) for i, a in enumerate(tags) for j, b in enumerate(tags)}
    assert all(step[a, b] for a, b in (("B-A", "I-A"), ("B-A", "E-A"), ("E-A", "S-A"), ("S-A", "O"), ("E-A", "B-B")))
    assert not any(step[a, b] for a, b in (("B-A", "O"), ("B-A", "S-A"), ("I-A", "B-A"), ("O", "E-A"), ("B-A", "E-B")))
    assert dict(zip(tags, ends, strict=True))["B-A"] == 0
    assert dict(zip(tags, ends, strict=True))["E-A"] == 1
    assert dict(zip(tags, starts, strict=True))["E-A"] == 0


def test_forbidden_paths_are_never_best(crf: Crf) -> None:
    logits = np.zeros((2, 5), np.float32)
    logits[:, 2] = 50.0  # I-A is by far the likeliest at both places, and may not stand first
    assert [BIO[at] for at in crf.best(logits)] == ["B-A", "I-A"]
