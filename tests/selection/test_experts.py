"""Experts that choose, tokens that choose, routers: against numpy, token by token, and what must not change anything."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor

from semvec.errors import OptionError
from semvec.selection.depths import MixtureOfDepths
from semvec.selection.experts import ExpertChoiceLayer, Experts, Grouping, TokenChoiceLayer
from semvec.selection.report import TextRouting, routing_report
from semvec.selection.router import RouterMode, TokenRouter, sparsemax
from semvec.selection.routing import count_of, kept, top_k

DIM, EXPERTS, LENGTHS = 6, 3, (7, 4, 1, 5)
torch.manual_seed(0)
HIDDEN = torch.randn(len(LENGTHS), max(LENGTHS), DIM)
MASK = torch.tensor([[int(at < n) for at in range(max(LENGTHS))] for n in LENGTHS])


def layer(capacity: float = 1.0, **more: object) -> ExpertChoiceLayer:
    torch.manual_seed(1)
    its = ExpertChoiceLayer(DIM, EXPERTS, capacity, 5, **more)  # type: ignore[arg-type]
    torch.nn.init.normal_(its.router.weight)
    return its


def softmax(rows: NDArray[np.float64]) -> NDArray[np.float64]:
    shares = np.exp(rows - rows.max(-1, keepdims=True))
    return np.asarray(shares / shares.sum(-1, keepdims=True))


def by_hand(its: ExpertChoiceLayer, rows: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """What the layer makes of the real tokens of one text, an expert and a token at a time; and who took what."""
    gates = softmax(rows @ its.router.weight.detach().numpy().T.astype(np.float64))
    k = math.ceil(round(its.capacity_factor * len(rows) / EXPERTS, 9))
    made, taken = rows.copy(), np.zeros((EXPERTS, len(rows)), dtype=bool)
    weights = {name: value.detach().numpy().astype(np.float64) for name, value in its.experts.named_parameters()}
    for expert in range(EXPERTS):
        best = sorted(range(len(rows)), key=lambda at: (-gates[at, expert], at))[: min(max(k, 1), len(rows))]
        for at in best:
            inner = rows[at] @ weights["down"][expert] + weights["down_bias"][expert, 0]
            inner = inner * 0.5 * (1 + np.array([math.erf(x / math.sqrt(2)) for x in inner]))
            made[at] += gates[at, expert] * (inner @ weights["up"][expert] + weights["up_bias"][expert, 0])
            taken[expert, at] = True
    return made, taken


@pytest.mark.parametrize("capacity", [0.5, 1.0, 2.0, 3.0])
def test_a_layer_is_what_it_is_by_hand(capacity: float) -> None:
    its = layer(capacity)
    with torch.inference_mode():
        found, routed = its(HIDDEN, MASK)
    for row, n in enumerate(LENGTHS):
        wanted, taken = by_hand(its, HIDDEN[row, :n].numpy().astype(np.float64))
        np.testing.assert_allclose(found[row, :n], wanted, atol=1e-5)
        assert np.array_equal(routed.taken[:, row, :n], taken)
        assert torch.equal(found[row, n:], HIDDEN[row, n:])
        assert not routed.taken[:, row, n:].any()  # padding is never chosen
        assert (routed.taken[:, row].sum(1) == min(max(math.ceil(capacity * n / EXPERTS - 1e-9), 1), n)).all()


def test_a_batch_may_be_one_group() -> None:
    its = layer(1.0, grouping=Grouping.BATCH)
    with torch.inference_mode():
        found, routed = its(HIDDEN, MASK)
    wanted, taken = by_hand(its, HIDDEN[MASK == 1].numpy().astype(np.float64))
    np.testing.assert_allclose(found[MASK == 1], wanted, atol=1e-5)
    assert np.array_equal(routed.taken[:, MASK == 1], taken)


@pytest.mark.parametrize("make", [layer, lambda: TokenChoiceLayer(DIM, EXPERTS, 5)])
def test_padding_and_the_order_of_a_batch_change_nothing(make: object) -> None:
    assert callable(make)
    its = make()
    more = torch.cat([HIDDEN, 9 * torch.randn(len(LENGTHS), 3, DIM)], dim=1)
    wider = torch.cat([MASK, torch.zeros(len(LENGTHS), 3, dtype=MASK.dtype)], dim=1)
    order = torch.tensor([2, 0, 3, 1])
    with torch.inference_mode():
        plain, _ = its(HIDDEN, MASK)
        padded, _ = its(more, wider)
        shuffled, _ = its(HIDDEN[order], MASK[order])
    torch.testing.assert_close(padded[:, : HIDDEN.shape[1]][MASK == 1], plain[MASK == 1])
    torch.testing.assert_close(shuffled, plain[order])


def test_of_equal_tokens_the_earlier_are_taken_and_exactly_k() -> None:
    scores, mask = torch.zeros(2, 6), torch.tensor([[1, 1, 1, 1, 1, 0], [1, 1, 0, 0, 0, 0]])
    stays = kept(top_k(scores, mask, count_of(mask.sum(1), share=0.5)), 6)
    assert stays.tolist() == [[True, True, True, False, False, False], [True, False, False, False, False, False]]
    assert count_of(torch.tensor([30, 1, 0]), share=0.1).tolist() == [3, 1, 0]
    assert count_of(torch.tensor([30, 2]), k=4).tolist() == [4, 2]


def test_the_router_and_the_experts_learn() -> None:
    for its in (layer(z_loss=0.1, jitter=0.1), TokenChoiceLayer(DIM, EXPERTS, 5)):
        found, routed = its.train()(HIDDEN, MASK)
        (found[MASK == 1].pow(2).sum() + routed.loss).backward()
        for name, weight in its.named_parameters():
            assert weight.grad is not None, name
            assert weight.grad.abs().sum() > 0, name


def test_the_losses_are_the_formulas() -> None:
    its = layer(z_loss=0.5)
    _, routed = its.eval()(HIDDEN, MASK)
    logits = (HIDDEN @ its.router.weight.T)[MASK == 1].detach().numpy().astype(np.float64)
    assert routed.loss.item() == pytest.approx(0.5 * np.mean(np.log(np.exp(logits).sum(1)) ** 2), rel=1e-5)
    other = TokenChoiceLayer(DIM, EXPERTS, 5, balance=0.3)
    _, routed = other.eval()(HIDDEN, MASK)
    gates = softmax((HIDDEN @ other.router.weight.T)[MASK == 1].detach().numpy().astype(np.float64))
    busy = np.bincount(gates.argmax(1), minlength=EXPERTS) / len(gates)
    assert routed.loss.item() == pytest.approx(0.3 * EXPERTS * (busy * gates.mean(0)).sum(), rel=1e-5)


def test_a_token_goes_to_the_expert_it_is_surest_of() -> None:
    torch.manual_seed(2)
    its = TokenChoiceLayer(DIM, EXPERTS, 5)
    with torch.inference_mode():
        found, routed = its(HIDDEN, MASK)
        gates = torch.softmax(HIDDEN @ its.router.weight.T, -1)
        for row, n in enumerate(LENGTHS):
            for at in range(n):
                expert = int(gates[row, at].argmax())
                one = Experts.forward(its.experts, HIDDEN[row, at].expand(EXPERTS, 1, DIM))[expert, 0]
                torch.testing.assert_close(found[row, at], HIDDEN[row, at] + gates[row, at, expert] * one)
                assert routed.taken[:, row, at].tolist() == [its_ == expert for its_ in range(EXPERTS)]


def test_a_causal_mask_is_refused() -> None:
    causal = torch.tril(torch.ones(7, 7)).expand(4, 7, 7)
    for its in (layer(), TokenChoiceLayer(DIM, EXPERTS), TokenRouter(DIM, k=2)):
        with pytest.raises(OptionError, match="tokens that come later"):
            its(HIDDEN, causal)


def test_a_router_keeps_the_best_and_learns_of_all() -> None:
    router = TokenRouter(DIM, share=0.5)
    weights = router(HIDDEN, MASK)
    scores = router.scores(HIDDEN).detach().numpy().astype(np.float64)
    for row, n in enumerate(LENGTHS):
        k = math.ceil(n / 2)
        best = sorted(range(n), key=lambda at: -scores[row, at])[:k]
        wanted = np.zeros(max(LENGTHS))
        wanted[best] = softmax(scores[row, best])
        np.testing.assert_allclose(weights[row].detach(), wanted, atol=1e-6)
    (weights * torch.randn_like(weights)).sum().backward()
    assert router.linear.weight.grad is not None
    assert router.linear.weight.grad.abs().sum() > 0
    soft = TokenRouter(DIM, mode=RouterMode.SOFT)(HIDDEN, MASK)
    torch.testing.assert_close(soft.sum(1), torch.ones(len(LENGTHS)))
    assert (soft[MASK == 0] == 0).all()


def test_sparsemax_is_the_nearest_point_of_the_simplex() -> None:
    rng = np.random.default_rng(0)
    for _ in range(20):
        scores = rng.standard_normal(6) * 2
        low, high = scores.min() - 1, scores.max()
        for _ in range(200):  # the threshold at which what is above it sums to 1, by halving
            middle = (low + high) / 2
            low, high = (middle, high) if np.maximum(scores - middle, 0).sum() > 1 else (low, middle)
        found = sparsemax(torch.tensor(scores))
        np.testing.assert_allclose(found, np.maximum(scores - low, 0), atol=1e-9)
    padded: Tensor = TokenRouter(DIM, mode=RouterMode.SPARSEMAX)(HIDDEN, MASK)
    torch.testing.assert_close(padded.sum(1), torch.ones(len(LENGTHS)))
    assert (padded[MASK == 0] == 0).all()


@pytest.mark.parametrize(
    "make",
    [
        lambda: TokenRouter(DIM),
        lambda: TokenRouter(DIM, k=2, share=0.5),
        lambda: TokenRouter(DIM, share=1.5),
        lambda: TokenRouter(DIM, k=0),
        lambda: ExpertChoiceLayer(DIM, 0),
        lambda: ExpertChoiceLayer(DIM, 2, 3.0),
        lambda: ExpertChoiceLayer(DIM, 2, jitter=1.0),
    ],
)
def test_what_cannot_be_is_refused(make: object) -> None:
    assert callable(make)
    with pytest.raises(OptionError):
        make()


def test_a_mixture_of_depths_runs_the_layer_on_what_it_keeps() -> None:
    torch.manual_seed(3)
    inner = torch.nn.Linear(DIM, DIM)
    seen: list[Tensor] = []

    def through(hidden: Tensor, mask: Tensor) -> Tensor:
        seen.append(mask)
        return hidden + inner(hidden) * mask[..., None]

    its = MixtureOfDepths(through, DIM, 0.5)
    found = its(HIDDEN, MASK)
    scores = its.router.scores(HIDDEN)
    for row, n in enumerate(LENGTHS):
        k = math.ceil(n / 2)
        best = sorted(range(n), key=lambda at: -scores[row, at].item())[:k]
        for at in range(max(LENGTHS)):
            wanted = HIDDEN[row, at]
            if at in best:
                wanted = wanted + torch.sigmoid(scores[row, at]) * inner(wanted)
            torch.testing.assert_close(found[row, at], wanted)
    assert seen[0].shape == (len(LENGTHS), 4)  # half of the longest
    found.sum().backward()
    assert its.router.linear.weight.grad is not None


def test_a_report_counts_what_became_of_the_tokens() -> None:
    took = np.array([[1, 0, 0, 1], [1, 0, 1, 0]], dtype=bool)
    gates = np.array([[0.5, 0.5], [1.0, 0.0], [0.5, 0.5], [1.0, 0.0]], dtype=np.float32)
    text = TextRouting(["Law", "of", "all", "law"], took, gates)
    its = routing_report([text, text, text])
    assert (its.texts, its.tokens, its.per_expert) == (3, 12, (6, 6))
    assert (its.left_behind, its.by_several) == (0.25, 0.25)
    assert its.entropy == pytest.approx(0.5, abs=1e-6)
    assert [one.token for one in its.typical[0]] == ["law"]
    assert (its.typical[0][0].taken, its.typical[0][0].seen) == (6, 6)
    assert [one.token for one in its.typical[1]] == ["all"]
    assert its.words == ("law", "all")
    assert its.shares == ((1.0, 0.0), (0.5, 1.0))
