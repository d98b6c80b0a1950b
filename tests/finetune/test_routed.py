"""Heads that choose their tokens: stored and loaded, learning, and the same whatever else is in the batch."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from semvec.encoders.catalog import load_encoder
from semvec.errors import FingerprintMismatch, OptionError
from semvec.finetune.loading import load_model
from semvec.finetune.model import FineTuned
from semvec.finetune.options import HeadKind
from semvec.finetune.routed import RoutedHead
from semvec.finetune.router import router_of
from semvec.finetune.task import HeadConfig
from semvec.finetune.train import finetune
from semvec.selection.selector import TokenSelector
from tests.finetune import small
from tests.finetune.small import quick


@pytest.mark.parametrize("head", ["router", "expert-choice"])
@pytest.mark.parametrize(("task", "strategy"), [("classify", "full"), ("classify", "head"), ("pairs", "lora")])
def test_what_is_stored_comes_back(head: str, task: str, strategy: str, base: Path, tmp_path: Path) -> None:
    data, options = small.write(task, tmp_path), quick(strategy=strategy, head=head, expert_dim=8)
    made = finetune(task, base, data, tmp_path / "m", options=options, before=False)
    again = load_model(tmp_path / "m")
    assert isinstance(made.model, FineTuned)
    assert isinstance(again, FineTuned)
    windows = made.model.windows(made.model.task.read(data, options), labelled=False)
    together = made.model.logits(windows)
    for one, other in zip(together, again.logits(windows), strict=True):
        np.testing.assert_allclose(one, other, atol=2e-4)
    for one, window in zip(together, windows, strict=True):
        np.testing.assert_allclose(one, made.model.logits([window])[0], atol=1e-4)  # whatever else is in the batch


@pytest.mark.parametrize("head", ["router", "expert-choice"])
def test_it_learns_frozen(head: str, base: Path, tmp_path: Path) -> None:
    data = small.write("classify", tmp_path)
    options = quick(strategy="head", head=head, epochs=40, patience=40, head_learning_rate=1e-2, expert_dim=16, dropout=0.0)
    made = finetune("classify", base, data, tmp_path / "m", options=options, before=False)
    assert made.record["validation"]["accuracy"]["value"] == 1.0


def test_a_routed_head_is_what_it_is_by_hand() -> None:
    torch.manual_seed(0)
    head = RoutedHead(HeadConfig(head=HeadKind.ROUTER, keep=0.5, dropout=0.0), 6, 3).eval()
    hidden, mask = torch.randn(2, 5, 6), torch.tensor([[1, 1, 1, 1, 0], [1, 1, 0, 0, 0]])
    with torch.inference_mode():
        found = head.logits(head.features(hidden, {"mask": mask}), {"mask": mask}).numpy()
        scores = head.router.scores(hidden).numpy()
    for row, n in enumerate((4, 2)):
        best = np.argsort(-scores[row, :n])[: n // 2]
        weights = np.exp(scores[row, best]) / np.exp(scores[row, best]).sum()
        pooled = weights @ hidden[row, best].numpy()
        wanted = pooled @ head.linear.weight.detach().numpy().T + head.linear.bias.detach().numpy()
        np.testing.assert_allclose(found[row], wanted, atol=1e-5)


def test_heads_that_do_not_fit_are_refused(base: Path, tmp_path: Path) -> None:
    with pytest.raises(OptionError, match="is for labels of texts, not for tag"):
        finetune("tag", base, small.write("tag", tmp_path), tmp_path / "m", options=quick(head="router"), before=False)
    data = small.write("classify", tmp_path)
    with pytest.raises(OptionError, match="knn goes with the head 'linear'"):
        finetune("classify", base, data, tmp_path / "m", options=quick(head="router", knn=True), before=False)


def test_a_router_scores_tokens(base: Path, tmp_path: Path) -> None:
    data = small.write("classify", tmp_path)
    made = finetune("classify", base, data, tmp_path / "m", options=quick(strategy="head", head="router"), before=False).model
    assert isinstance(made, FineTuned)
    texts = [text for _, text in small.texts(4)]
    tokens = made.encoder.encode(texts, level="token", normalize=False)
    found, head = router_of(made).scores(tokens), made.network.head
    rows = (tokens.floats() - head.shift.numpy()) * head.scale.numpy()
    assert isinstance(head, RoutedHead)
    by_hand = rows @ head.router.linear.weight.detach().numpy()[0] + head.router.linear.bias.item()
    np.testing.assert_allclose(found, by_hand, atol=1e-4)
    kept = TokenSelector(router_of(made), k=1).transform(tokens, texts)
    for at in range(len(texts)):
        assert kept[at].surface[0] == tokens[at].surface[found[tokens.text_index == at].argmax()]
    for wrong in ({"truncate_dim": 8}, {"normalize": True}, {"layers": -2}):
        with pytest.raises(FingerprintMismatch):
            router_of(made).scores(made.encoder.encode(texts, level="token", **{"normalize": False, **wrong}))
    linear = finetune("classify", base, data, tmp_path / "n", options=quick(strategy="head"), before=False).model
    with pytest.raises(OptionError, match="has no router: train it with --head router"):
        router_of(linear)


@pytest.mark.parametrize("strategy", ["full", "lora", "bitfit", "adapter"])
def test_the_encoder_of_a_model_is_what_was_learnt(strategy: str, base: Path, tmp_path: Path) -> None:
    data, options = small.write("classify", tmp_path), quick(strategy=strategy, learning_rate=1e-2)
    made = finetune("classify", base, data, tmp_path / "m", options=options, before=False).model
    texts = [text for _, text in small.texts(4)]
    untrained, stored = load_encoder(base, device="cpu"), load_encoder(tmp_path / "m", device="cpu")
    for level in ("text", "token"):
        found, wanted, before = (its.encode(texts, level=level).vectors for its in (made.encoder, stored, untrained))
        np.testing.assert_allclose(found, wanted, atol=1e-4)
        assert np.abs(found - before).max() > 1e-3
    assert made.encoder.fingerprint.weights != untrained.fingerprint.weights


def test_what_it_is_compared_with_is_a_linear_head(base: Path, tmp_path: Path) -> None:
    data = small.write("classify", tmp_path)
    finetune("classify", base, data, tmp_path / "m", options=quick(head="expert-choice", expert_dim=8))
    assert load_model(tmp_path / "m" / "before").config.head == HeadKind.LINEAR
