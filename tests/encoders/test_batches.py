"""Batches keep to the budget, and memory that runs out costs time but no result."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from semvec.encoders.batches import Budget, Ceiling, in_batches, out_of_memory
from semvec.encoders.contextual import ContextualEncoder
from semvec.errors import BatchTooLarge
from tests.sample import TEXTS


def test_batches_keep_to_the_budget_with_little_padding() -> None:
    rng = np.random.default_rng(0)
    lengths = rng.integers(1, 200, size=2000).tolist()
    batches = list(in_batches(lengths, lambda n: n, Budget(4096, Ceiling())))
    assert sorted(n for batch in batches for n in batch) == sorted(lengths)
    assert all(len(batch) * max(batch) <= 4096 for batch in batches)
    padded = sum(len(batch) * max(batch) for batch in batches)
    assert sum(lengths) / padded > 0.97
    assert [len(batch) for batch in in_batches([9, 9], lambda n: n, Budget(4, Ceiling()))] == [1, 1]


class Crowded(torch.nn.Module):
    """A model that runs out of memory for batches over a number of tokens, as a small device does."""

    def __init__(self, inner: Any, most: int, error: Exception) -> None:
        super().__init__()
        self.inner, self.most, self.error, self.sizes = inner, most, error, []
        self.config = inner.config

    def forward(self, input_ids: Any, attention_mask: Any, **rest: Any) -> Any:
        if input_ids.numel() > self.most:
            raise self.error
        self.sizes.append(input_ids.numel())
        return self.inner(input_ids=input_ids, attention_mask=attention_mask, **rest)


ERRORS = [
    torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB"),
    RuntimeError(
        "[enforce fail at alloc_cpu.cpp:118] err == 0. DefaultCPUAllocator: can't allocate memory: you tried to allocate 1 bytes."
    ),
    MemoryError(),
]


@pytest.mark.parametrize("error", ERRORS)
@pytest.mark.parametrize("level", ["text", "token"])
def test_memory_that_runs_out(
    contextual: dict[str, ContextualEncoder], monkeypatch: pytest.MonkeyPatch, error: Exception, level: str
) -> None:
    encoder = contextual["bert"].with_options(level=level, batch_tokens=2048, backend="torch")
    monkeypatch.setattr(encoder, "_ceiling", Ceiling())
    expected = encoder.encode(TEXTS)
    crowded = Crowded(encoder.transformer.model, 200, error)
    monkeypatch.setattr(encoder.transformer, "model", crowded)
    found = encoder.encode(TEXTS)
    np.testing.assert_allclose(found.vectors, expected.vectors, atol=1e-4)
    assert found.surface.tolist() == expected.surface.tolist()
    assert max(crowded.sizes) <= 200
    monkeypatch.setattr(crowded, "error", AssertionError("the size found was forgotten"))
    np.testing.assert_allclose(encoder.encode(TEXTS).vectors, expected.vectors, atol=1e-4)


def test_a_window_too_large_for_memory_is_named(
    contextual: dict[str, ContextualEncoder], monkeypatch: pytest.MonkeyPatch
) -> None:
    encoder = contextual["bert"].with_options(batch_tokens=2048, backend="torch")
    monkeypatch.setattr(encoder, "_ceiling", Ceiling())
    monkeypatch.setattr(encoder.transformer, "model", Crowded(encoder.transformer.model, 20, MemoryError()))
    longest = int(encoder.count_tokens(TEXTS)[0].max()) + 2  # CLS and SEP
    assert longest > 20
    with pytest.raises(BatchTooLarge, match=f"a single window of {longest} tokens does not fit"):
        encoder.encode(TEXTS)


def test_other_errors_are_not_taken_for_it(contextual: dict[str, ContextualEncoder], monkeypatch: pytest.MonkeyPatch) -> None:
    error = RuntimeError("mat1 and mat2 shapes cannot be multiplied")
    monkeypatch.setattr(contextual["bert"].transformer, "model", Crowded(contextual["bert"].transformer.model, 1, error))
    with pytest.raises(RuntimeError, match="shapes"):
        contextual["bert"].encode(["a bank"], backend="torch")
    assert not out_of_memory(error)
