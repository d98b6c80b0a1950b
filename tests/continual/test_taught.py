"""What a task's loss is made of, and which weights matter, held against numpy and plain torch."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.special import log_softmax, softmax
from torch.nn import functional

from semvec.continual.fisher import Importance, information, learning
from semvec.continual.options import ContinualOptions, Fisher
from semvec.continual.taught import Taught, Terms, distillation, masked
from semvec.continual.teaching import noted, widen
from semvec.continual.training import started
from semvec.finetune.heads import LabelHead
from semvec.finetune.options import FinetuneOptions
from semvec.finetune.tuned import Loading
from semvec.finetune.windows import collate
from semvec.types import Pooling
from tests.continual.conftest import texts

GROUPS = torch.tensor([0, 0, 1, 1])
LOGITS = torch.tensor([[1.0, 0.5, -0.5, 2.0], [0.0, 1.0, 0.3, -1.0], [2.0, 0.1, 0.2, 0.4]])
LABELS = torch.tensor([2, 3, 0])
REPLAYED = torch.tensor([False, False, True])


class Fixed(torch.nn.Module):
    """A network that says what it is told."""

    def __init__(self, logits: torch.Tensor) -> None:
        super().__init__()
        self.said = logits
        self.head = LabelHead(4, 4, 0.0, Pooling.MEAN)
        self.head.linear = torch.nn.Identity()  # type: ignore[assignment]

    def read(self, batch: dict[str, torch.Tensor]) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
        return self.said, batch


def loss(terms: Terms, **more: torch.Tensor) -> float:
    taught = Taught(Fixed(LOGITS), terms)  # type: ignore[arg-type]
    return float(taught(labels=LABELS, replayed=REPLAYED.float(), **more)["loss"])


def crossed(row: int, among: list[int]) -> float:
    return -float(log_softmax(LOGITS[row, among].double().numpy())[among.index(int(LABELS[row]))])


def test_labels_are_told_apart_from_those_they_may_be() -> None:
    here, whole = torch.tensor([False, False, True, True]), [0, 1, 2, 3]
    seen, apart, own = Terms(GROUPS, here), Terms(GROUPS, here, apart=True), Terms(GROUPS, here, own=True)
    # the mean over the new examples; what was remembered is added in the same measure
    assert loss(seen) == pytest.approx(sum(crossed(row, whole) for row in range(3)) / 2)
    assert loss(apart) == pytest.approx((crossed(0, [2, 3]) + crossed(1, [2, 3]) + crossed(2, whole)) / 2)
    assert loss(own) == pytest.approx((crossed(0, [2, 3]) + crossed(1, [2, 3]) + crossed(2, [0, 1])) / 2)
    half = Terms(GROUPS, here, beta=0.5)
    assert loss(half) == pytest.approx((crossed(0, whole) + crossed(1, whole) + 0.5 * crossed(2, whole)) / 2)
    assert (masked(LOGITS, LABELS, REPLAYED, apart)[0, :2] < -1e30).all()


def test_what_was_said_of_remembered_examples_stays() -> None:
    nan = float("nan")
    said = torch.tensor([[nan] * 4, [nan] * 4, [1.0, 1.0, nan, nan]])
    plain, kept = Terms(GROUPS, GROUPS >= 0), Terms(GROUPS, GROUPS >= 0, alpha=0.5)
    moved = ((2.0 - 1.0) ** 2 + (0.1 - 1.0) ** 2) / 2
    assert loss(kept, said=said) - loss(plain) == pytest.approx(0.5 * moved)
    assert loss(kept, said=torch.full((3, 4), nan)) == pytest.approx(loss(plain))


def test_what_was_said_of_new_examples_stays() -> None:
    nan, heat = float("nan"), 2.0
    old = np.array([[0.2, -0.4], [1.5, 0.1]])
    said = torch.cat([torch.tensor(old), torch.full((2, 2), nan)], dim=1)
    target, now = softmax(old / heat, axis=1), log_softmax(LOGITS[:2, :2].double().numpy() / heat, axis=1)
    wanted = heat**2 * float((target * (np.log(target) - now)).sum(axis=1).mean())
    assert float(distillation(LOGITS[:2].double(), said, GROUPS, heat, own=False)) == pytest.approx(wanted)
    both = torch.cat([said, torch.full((1, 4), nan)])
    plain, kept = Terms(GROUPS, GROUPS >= 0), Terms(GROUPS, GROUPS >= 0, strength=3.0, temperature=heat)
    assert loss(kept, said=both.float()) - loss(plain) == pytest.approx(3 * wanted, rel=1e-4)


def test_every_task_is_a_distribution_by_itself_where_tasks_are_told() -> None:
    old = torch.tensor([[0.2, -0.4, 1.0, 0.0], [1.5, 0.1, 0.0, 2.0]])
    apart = [
        float(distillation(LOGITS[:2, part], old[:, part], GROUPS[part], 1.0, own=False)) for part in (slice(2), slice(2, 4))
    ]
    assert float(distillation(LOGITS[:2], old, GROUPS, 1.0, own=True)) == pytest.approx(sum(apart))
    assert float(distillation(LOGITS[:2], old, GROUPS, 1.0, own=False)) != pytest.approx(sum(apart))


def test_the_fisher_information_is_the_mean_of_squared_gradients(base: Path) -> None:
    options = ContinualOptions(finetune=FinetuneOptions(dropout=0.0))
    tuned = started(base, ("a", "b"), options, Loading("cpu"))
    windows = tuned.windows(texts("ab", 6, 0), labelled=True)
    zero = torch.zeros(2, dtype=torch.int64)
    terms = Terms(zero, zero == 0)
    call = {"samples": 6, "seed": 3, "pad": tuned.pad, "device": "cpu"}
    found = information(tuned.network, windows, terms, Fisher.EMPIRICAL, **call)  # type: ignore[arg-type]
    wanted = {name: torch.zeros_like(its) for name, its in learning(tuned.network).items()}
    tuned.network.eval()
    for window in windows:
        batch = collate([window], tuned.pad)
        tuned.network.zero_grad()
        labels = batch.pop("labels")
        functional.cross_entropy(tuned.network(**batch)["logits"], labels).backward()
        for name, weight in learning(tuned.network).items():
            if weight.grad is not None:
                wanted[name] += weight.grad**2 / len(windows)
    assert found.keys() == wanted.keys()
    for name, its in found.items():
        torch.testing.assert_close(its, wanted[name], rtol=1e-3, atol=1e-9)
    assert float(found["head.linear.weight"].sum()) > 0
    model = information(tuned.network, windows, terms, Fisher.MODEL, **call)  # type: ignore[arg-type]
    assert any(not torch.allclose(model[name], found[name]) for name in found)  # other labels were drawn


def test_the_penalty_is_that_of_weights_that_matter_and_leaves_new_labels_alone(base: Path) -> None:
    tuned = started(base, ("a", "b"), ContinualOptions(), Loading("cpu"))
    was = {name: its.detach().clone() for name, its in learning(tuned.network).items()}
    matters = {name: torch.full_like(its, 2.0) for name, its in was.items()}
    its = Importance(was, matters)
    assert float(its.penalty(tuned.network)) == 0
    widen(tuned, ("a", "b", "c"), 0)
    linear = tuned.network.head.linear
    torch.testing.assert_close(linear.weight[:2], was["head.linear.weight"])
    assert float(its.penalty(tuned.network)) == 0  # the new row is free
    with torch.no_grad():
        linear.weight[0, 0] += 3
        linear.weight[2] += 100
    assert float(its.penalty(tuned.network)) == pytest.approx(2 * 9, rel=1e-4)
    now = {name: weight.detach().clone() for name, weight in learning(tuned.network).items()}
    later = its.after(now, {name: torch.ones_like(one) for name, one in now.items()}, 0.5)
    assert later.matters["head.linear.weight"][:, 0].tolist() == [2.0, 2.0, 1.0]  # 1 + 0.5 · 2, and 1 of the new row


def test_two_tasks_cost_together_what_each_costs(base: Path) -> None:
    tuned = started(base, ("a", "b"), ContinualOptions(), Loading("cpu"))
    rng = torch.Generator().manual_seed(0)

    def somewhere(scale: float) -> dict[str, torch.Tensor]:
        return {name: scale * torch.rand(its.shape, generator=rng) for name, its in learning(tuned.network).items()}

    first, second = Importance(somewhere(1), somewhere(2)), Importance(somewhere(1), somewhere(2))
    both = first.with_task(second.weights, second.matters)

    def slopes(*some: Importance) -> torch.Tensor:
        tuned.network.zero_grad()
        torch.stack([its.penalty(tuned.network) for its in some]).sum().backward()
        return torch.cat([weight.grad.flatten() for weight in learning(tuned.network).values() if weight.grad is not None])

    torch.testing.assert_close(slopes(both), slopes(first, second), rtol=1e-4, atol=1e-5)


def test_windows_carry_what_was_said(base: Path) -> None:
    tuned = started(base, ("a", "b"), ContinualOptions(), Loading("cpu"))
    windows = tuned.windows(texts("ab", 2, 0), labelled=True)
    batch = collate(noted(windows, [np.array([1, 2], dtype=np.float32), None], 3, replayed=True), tuned.pad)
    assert batch["replayed"].tolist() == [1, 1]
    assert batch["said"][0, :2].tolist() == [1, 2]
    assert batch["said"].isnan().tolist() == [[False, False, True], [True, True, True]]
