"""Products of bytes, and each pass between them, against numpy and torch."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from semvec.encoders.backends import kernels
from semvec.encoders.backends.bert import Affine
from semvec.encoders.backends.choose import has_byte_products
from semvec.encoders.backends.linear import GELU_LOW, ByteLinear
from semvec.encoders.contextual import ContextualEncoder
from semvec.types import Backend
from tests.sample import TEXTS

vnni = pytest.mark.skipif(not has_byte_products(), reason="the processor has no products of bytes (VNNI)")
Floats = NDArray[np.float32]
ROWS, DIM = 37, 70


def floats(*shape: int, seed: int = 0, size: float = 1.0) -> Floats:
    return (np.random.default_rng([seed, *shape]).standard_normal(shape) * size).astype(np.float32)


def read(codes: NDArray[np.uint8], scales: Floats, *, after_gelu: bool = False) -> Floats:
    """What codes stand for."""
    signed = codes.astype(np.float32)
    return signed * scales[:, None] - GELU_LOW if after_gelu else (signed - 128) * scales[:, None]


def written(dim: int = DIM) -> tuple[NDArray[np.uint8], Floats]:
    return np.zeros((ROWS, dim), dtype=np.uint8), np.zeros(ROWS, dtype=np.float32)


def test_norm() -> None:
    product, beside, scale = floats(ROWS, DIM), floats(ROWS, DIM, seed=1), np.abs(floats(ROWS)) + 0.1
    bias, weight, shift, divide = (floats(DIM, seed=at) for at in range(4))
    product[3], scale[3], beside[3] = 0, 1, -bias
    rows, (codes, scales) = np.empty_like(product), written()
    kernels.norm(product, scale, bias, beside, weight, shift, np.float32(1e-5), divide, rows, codes, scales)
    given = torch.from_numpy(product * scale[:, None] + bias + beside)
    expected = torch.nn.functional.layer_norm(given, (DIM,), torch.from_numpy(weight), torch.from_numpy(shift), 1e-5).numpy()
    np.testing.assert_allclose(rows, expected, atol=2e-5)
    divided = rows * divide
    np.testing.assert_allclose(scales, np.abs(divided).max(1) / 127, rtol=1e-5)
    assert (np.abs(read(codes, scales) - divided) <= scales[:, None] * 0.501).all()


def test_gelu() -> None:
    product, bias, scale = floats(ROWS, DIM, size=3), floats(DIM), np.abs(floats(ROWS)) + 0.1
    product[0], product[1, 0], product[2, 0] = -50, 1000, -1000
    codes, scales = written()
    kernels.gelu(product, scale, bias, codes, scales)
    expected = torch.nn.functional.gelu(torch.from_numpy(product * scale[:, None] + bias)).numpy()
    np.testing.assert_allclose(scales, (expected.max(1).clip(min=0) + GELU_LOW) / 255, rtol=5e-3)
    assert (np.abs(read(codes, scales, after_gelu=True) - expected) <= scales[:, None] * 0.501 + 3e-4).all()


@pytest.mark.parametrize("length", [1, 5, 16, 29, 83])
def test_attention(length: int) -> None:
    """Head by head, scores, weights and back to rows: as torch has attention."""
    windows, heads, size = 3, 2, 35
    tokens, dim, most = windows * length, heads * size, -(-length // 16) * 16
    product, bias, scale = floats(tokens, 3 * dim), floats(3 * dim), np.abs(floats(tokens)) + 0.1
    query, key, value = (np.full((windows, heads, n, size), np.nan, dtype=np.float32) for n in (length, most, most))
    kernels.split(product, scale, bias, query, key, value)
    whole = (product * scale[:, None] + bias).reshape(windows, length, 3, heads, size).transpose(2, 0, 3, 1, 4)
    for found, expected in zip((query, key, value), whole, strict=True):
        np.testing.assert_allclose(found[:, :, :length], expected, atol=1e-5)
        assert not found[:, :, length:].any()
    scores = np.ascontiguousarray(query @ key.transpose(0, 1, 3, 2)).reshape(-1, length, most) * np.float32(size**-0.5)
    scores[0] -= 90  # all far below 0, and far above
    scores[1] += 90
    exact = torch.softmax(torch.from_numpy(scores[:, :, :length].copy()), -1).numpy()
    parts = np.zeros(scores.shape[:2], dtype=np.float32)
    kernels.softmax(scores, length, parts)
    np.testing.assert_allclose((scores * parts[:, :, None])[:, :, :length], exact, atol=1e-5)
    assert not scores[:, :, length:].any()
    heard = np.ascontiguousarray(scores.reshape(windows, heads, length, most) @ value)
    codes, scales = np.zeros((tokens, dim), dtype=np.uint8), np.zeros(tokens, dtype=np.float32)
    kernels.merge(heard, parts.reshape(windows, heads, length), codes, scales)
    expected = (exact.reshape(windows, heads, length, length) @ whole[2]).transpose(0, 2, 1, 3).reshape(tokens, dim)
    assert (np.abs(read(codes, scales) - expected) <= scales[:, None] * 0.501 + 1e-4).all()


@vnni
@pytest.mark.parametrize(("after_gelu", "smoothed"), [(False, False), (False, True), (True, False)])
def test_products(after_gelu: bool, smoothed: bool) -> None:
    """Weights are rounded to 127 steps an output; the product of codes and of those is exact."""
    weight, bias = floats(24, 64), floats(24)
    smooth = np.random.default_rng(1).uniform(0.5, 2, 64).astype(np.float32) if smoothed else np.ones(64, dtype=np.float32)
    linear = ByteLinear(
        Affine(torch.from_numpy(weight), torch.from_numpy(bias)),
        smooth=torch.from_numpy(smooth) if smoothed else None,
        after_gelu=after_gelu,
    )
    np.testing.assert_allclose(linear.divide, 1 / smooth, rtol=1e-6)
    codes = np.random.default_rng(2).integers(0, 256, (ROWS, 64)).astype(np.uint8)
    scales = np.abs(floats(ROWS)) + 0.1
    found = linear(torch.from_numpy(codes)).numpy() * scales[:, None] + linear.bias
    steps = np.abs(weight * smooth).max(1) / 127
    rounded = np.round(weight * smooth / steps[:, None]) * steps[:, None]
    np.testing.assert_allclose(found, read(codes, scales, after_gelu=after_gelu) @ rounded.T + bias, rtol=1e-3, atol=1e-2)


@vnni
def test_hidden_states_of_a_model_in_bytes(contextual: dict[str, ContextualEncoder]) -> None:
    """Each layer that is asked for, windows of several lengths, is near to what it is in float32."""
    runners = contextual["bert"]._runners
    windows = [[2, *range(5, 5 + n), 3] for n in (20, 9, 9, 1)]
    floats, own = (runners.get(name)(windows, [0, 2, 1]) for name in (Backend.PACKED, Backend.INT8))  # type: ignore[misc]
    assert [len(its) for its in own] == [sum(map(len, windows))] * 3
    for one, other in zip(floats, own, strict=True):
        assert torch.nn.functional.cosine_similarity(one, other, dim=1).min() > 0.99
    np.testing.assert_allclose(own[0], floats[0], atol=1e-5)
    assert not torch.equal(own[1], floats[1])


@vnni
def test_a_text_in_bytes_is_the_same_whatever_stands_beside_it(contextual: dict[str, ContextualEncoder]) -> None:
    encoder = contextual["bert"].with_options(backend="int8")
    together = encoder.encode(TEXTS).vectors
    for at, text in enumerate(TEXTS):
        np.testing.assert_allclose(encoder.encode([text]).vectors[0], together[at], atol=1e-5)
