"""A pruned encoder: the whole one where nothing is left out, and otherwise the layers run on what is kept, one text at a time."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from transformers import AutoModel

from semvec.errors import OptionError
from semvec.finetune.fewer import Pruned
from tests import tiny

IDS = torch.tensor([[2, 40, 41, 42, 43, 44, 45, 3], [2, 50, 51, 3, 0, 0, 0, 0]])
MASK = (IDS != 0).long()


@pytest.fixture(scope="module")
def inner(base: Path) -> Any:
    return AutoModel.from_pretrained(base).eval()


def test_a_schedule_that_keeps_all_changes_nothing(inner: Any) -> None:
    with torch.inference_mode():
        wanted = inner(input_ids=IDS, attention_mask=MASK).last_hidden_state
        found = Pruned(inner, {1: 1.0}).eval()(IDS, MASK)
    assert torch.equal(found.mask, MASK)
    torch.testing.assert_close(found.last_hidden_state[MASK == 1], wanted[MASK == 1], atol=1e-5, rtol=1e-4)


def test_later_layers_read_what_is_kept(inner: Any) -> None:
    its = Pruned(inner, {1: 0.5, 2: 0.25}).eval()
    with torch.inference_mode():
        found = its(IDS, MASK)
        for row, n in enumerate((8, 4)):
            hidden: Tensor = inner.embeddings(input_ids=IDS[row : row + 1, :n])
            for at, layer in enumerate(inner.encoder.layer):
                if at in (1, 2):
                    scores = its.routers[str(at)].scores(hidden)[0].tolist()
                    k = math.ceil({1: 0.5, 2: 0.25}[at] * n)
                    rest = sorted(range(1, len(scores)), key=lambda place: -scores[place])[: k - 1]
                    hidden = hidden[:, sorted([0, *rest])]  # the first token is always read
                hidden = layer(hidden)
            assert int(found.mask[row].sum()) == hidden.shape[1] == math.ceil(0.25 * n)
            torch.testing.assert_close(found.last_hidden_state[row][found.mask[row] == 1], hidden[0], atol=1e-5, rtol=1e-4)


def test_its_routers_learn(inner: Any) -> None:
    its = Pruned(inner, {1: 0.5}).train()
    its(IDS, MASK).last_hidden_state.pow(2).sum().backward()
    weight = its.routers["1"].linear.weight
    assert weight.grad is not None
    assert weight.grad.abs().sum() > 0


@pytest.mark.parametrize("schedule", [{9: 0.5}, {1: 0.0}, {1: 1.5}, {1: 0.25, 2: 0.5}])
def test_schedules_that_cannot_be_are_refused(schedule: dict[int, float], inner: Any) -> None:
    with pytest.raises(OptionError, match="prune: "):
        Pruned(inner, schedule)


def test_models_of_another_build_are_refused(tmp_path: Path) -> None:
    with pytest.raises(OptionError, match="is not built like BERT"):
        Pruned(AutoModel.from_pretrained(tiny.make_model("gpt2", tmp_path)), {1: 0.5})


@pytest.mark.parametrize("kind", ["MPNet", "RobertaPreLayerNorm", "Electra"])
def test_models_that_are_more_than_their_layers_are_refused(kind: str) -> None:
    import transformers

    config = getattr(transformers, f"{kind}Config")(
        vocab_size=99, hidden_size=32, num_hidden_layers=2, num_attention_heads=4, intermediate_size=64, embedding_size=32
    )
    pruned = Pruned(getattr(transformers, f"{kind}Model")(config), {1: 0.5})
    if kind == "Electra":
        pruned.check()  # is built like BERT
        return
    for norm in pruned.inner.modules():
        if isinstance(norm, torch.nn.LayerNorm):
            torch.nn.init.normal_(norm.bias)
    with pytest.raises(OptionError, match="is not built like BERT"):
        pruned.check()
