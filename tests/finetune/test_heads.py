"""Heads against numpy."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from semvec.finetune.heads import NOTHING, AnswerHead, LabelHead, RelationHead, TagHead, pooled
from semvec.types import Pooling

HIDDEN = torch.from_numpy(np.random.default_rng(0).standard_normal((2, 4, 6)).astype(np.float32))
MASK = torch.tensor([[1, 1, 1, 0], [1, 1, 1, 1]])


@pytest.mark.parametrize(
    ("how", "wanted"),
    [
        ("mean", lambda rows: rows.mean(0)),
        ("cls", lambda rows: rows[0]),
        ("max", lambda rows: rows.max(0)),
        ("last_token", lambda rows: rows[-1]),
    ],
)
def test_pooling_minds_the_mask(how: str, wanted: object) -> None:
    found = pooled(HIDDEN, MASK, Pooling(how)).numpy()
    for row, n in enumerate((3, 4)):
        np.testing.assert_allclose(found[row], wanted(HIDDEN[row, :n].numpy()), atol=1e-6)  # type: ignore[operator]


def test_labels_of_a_text() -> None:
    head = LabelHead(6, 3, 0.0, Pooling.MEAN, weights=[1.0, 2.0, 4.0]).eval()
    features = head.features(HIDDEN, {"mask": MASK})
    logits = head.logits(features, {})
    raised = np.exp(logits.detach().numpy())
    nll = -np.log((raised / raised.sum(1, keepdims=True))[[0, 1], [2, 1]])
    wanted = (nll * [4, 2]).sum() / 6
    assert float(head.loss(logits, {"labels": torch.tensor([2, 1])})) == pytest.approx(wanted, rel=1e-5)


def test_many_labels_and_scores() -> None:
    logits = torch.tensor([[0.3, -1.0]])
    many = LabelHead(6, 2, 0.0, Pooling.MEAN, many=True)
    share = 1 / (1 + np.exp(-logits.numpy()))
    wanted = -(np.log(share[0, 0]) + np.log(1 - share[0, 1])) / 2
    assert float(many.loss(logits, {"labels": torch.tensor([[1.0, 0.0]])})) == pytest.approx(wanted, rel=1e-5)
    score = LabelHead(6, 1, 0.0, Pooling.MEAN)
    assert float(score.loss(torch.tensor([[2.0], [1.0]]), {"labels": torch.tensor([0.5, 1.0])})) == pytest.approx(1.125)


def test_tags_leave_out_what_has_no_label() -> None:
    head = TagHead(6, 3, 0.0).eval()
    places = torch.tensor([[1, 2], [0, 0]])
    features = head.features(HIDDEN, {"places": places})
    np.testing.assert_array_equal(features[0].numpy(), HIDDEN[0, [1, 2]].numpy())
    logits = head.logits(features, {})
    both = head.loss(logits, {"labels": torch.tensor([[0, 1], [2, NOTHING]])})
    raised = np.exp(logits.detach().numpy())
    shares = raised / raised.sum(-1, keepdims=True)
    assert float(both) == pytest.approx(-np.log([shares[0, 0, 0], shares[0, 1, 1], shares[1, 0, 2]]).mean(), rel=1e-5)


def test_relations_read_both_pieces() -> None:
    head = RelationHead(6, 2, 0.0, Pooling.MEAN)
    spans = torch.tensor([[[0, 2], [2, 3]], [[1, 2], [0, 4]]])
    found = head.features(HIDDEN, {"mask": MASK, "spans": spans}).numpy()
    rows = HIDDEN.numpy()
    np.testing.assert_allclose(found[0], np.concatenate([rows[0, :3].mean(0), rows[0, :2].mean(0), rows[0, 2]]), atol=1e-6)
    np.testing.assert_allclose(found[1], np.concatenate([rows[1].mean(0), rows[1, 1], rows[1].mean(0)]), atol=1e-6)


def test_answers_stand_where_they_may() -> None:
    head = AnswerHead(6, 0.0).eval()
    may_be = torch.tensor([[1, 0, 1, 0], [1, 1, 1, 1]])
    logits = head.logits(head.features(HIDDEN, {}), {"may_be": may_be})
    shares = torch.softmax(logits, dim=1).detach().numpy()
    assert shares[0, [1, 3]].max() == 0
    wanted = -np.log([shares[0, 2, 0], shares[0, 2, 1], shares[1, 1, 0], shares[1, 3, 1]]).mean()
    assert float(head.loss(logits, {"labels": torch.tensor([[2, 2], [1, 3]])})) == pytest.approx(wanted, rel=1e-5)


def test_features_are_standardised() -> None:
    head = LabelHead(6, 2, 0.0, Pooling.MEAN).eval()
    rows = torch.randn(50, 6) * 3 + 2
    head.standardise(rows.mean(0), rows.std(0))
    scaled = (rows - rows.mean(0)) / rows.std(0)
    np.testing.assert_allclose(head.logits(rows, {}).detach(), head.linear(scaled).detach(), atol=1e-5)
