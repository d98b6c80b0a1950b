"""What stands between the products of bytes: each pass over the rows in one piece of machine code, on one core.

Codes are unsigned bytes with a scale for every row: ``x ≈ (code - 128) · scale``, or after GELU ``code · scale - GELU_LOW``.
Products come without the scales of their rows and without bias; whoever reads them next adds both.
"""

from __future__ import annotations

import math

import numpy as np
from numba import f4, i8, u1

from semvec.embeddings.compiled import compiled, float_of, larger, wide
from semvec.encoders.backends.linear import GELU_LOW, LEAST

F = np.float32

GELU = [F(its) for its in (0.39856365, -0.06536926, 0.0091007948, -0.00087795069, 5.4331475e-05, -1.9134989e-06, 2.888299e-08)]
"""GELU is x (½ + u P(u²)) to 2e-4 with P of these and u = x cut to ±3.9: fitted to the least largest error, exact beyond."""

POWER = [F(its) for its in (0.9999993, 0.6931218, 0.24024744, 0.055917863, 0.0095701)]
"""2^f to 3e-6 for f within ±½, fitted likewise."""

G0, G1, G2, G3, G4, G5, G6 = GELU
P0, P1, P2, P3, P4 = POWER
ONE, HALF, EDGE, LOW, TINY = F(1), F(0.5), F(3.9), F(GELU_LOW), F(LEAST)
SIGNED, UNSIGNED, MIDDLE = F(127), F(255), F(128.5)
LOG2_E, NEVER, BIAS, EXPONENT = F(math.log2(math.e)), F(-1e30), F(127), np.int32(23)


MATRIX, ROW, CODES = f4[:, ::1], f4[::1], u1[:, ::1]


@compiled(MATRIX, ROW, ROW, MATRIX, ROW, ROW, f4, ROW, MATRIX, CODES, ROW)
def norm(product, scale, bias, beside, weight, shift, eps, divide, rows, codes, scales):  # type: ignore[no-untyped-def]
    """Write LayerNorm(product + beside) to ``rows`` (tokens, dim), and times ``divide`` (dim,) to ``codes``."""
    wide()
    count, dim = product.shape
    kept = np.empty(dim, np.float32)
    for i in range(count):
        own, total, squares = scale[i], F(0), F(0)
        for j in range(dim):
            value = product[i, j] * own + bias[j] + beside[i, j]
            kept[j] = value
            total += value
        mean = total / F(dim)
        for j in range(dim):
            squares += (kept[j] - mean) * (kept[j] - mean)
        inverse = ONE / np.sqrt(squares / F(dim) + eps)
        largest = TINY
        for j in range(dim):
            value = (kept[j] - mean) * inverse * weight[j] + shift[j]
            rows[i, j] = value
            value *= divide[j]
            kept[j] = value
            largest = larger(abs(value), largest)
        scales[i] = largest / SIGNED
        steps = SIGNED / largest
        for j in range(dim):
            codes[i, j] = np.int32(kept[j] * steps + MIDDLE)


@compiled(MATRIX, ROW, ROW, CODES, ROW)
def gelu(product, scale, bias, codes, scales):  # type: ignore[no-untyped-def]
    """Write GELU(product) to ``codes`` (tokens, dim), whose least value is known."""
    wide()
    count, dim = product.shape
    kept = np.empty(dim, np.float32)
    for i in range(count):
        own, largest = scale[i], F(0)
        for j in range(dim):
            x = product[i, j] * own + bias[j]
            u = min(max(x, -EDGE), EDGE)
            v = u * u
            value = x * (HALF + u * (G0 + v * (G1 + v * (G2 + v * (G3 + v * (G4 + v * (G5 + v * G6)))))))
            kept[j] = value
            largest = larger(value, largest)
        largest += LOW
        scales[i] = largest / UNSIGNED
        steps = UNSIGNED / largest
        for j in range(dim):
            codes[i, j] = np.int32(kept[j] * steps + (LOW * steps + HALF))


HEADS = f4[:, :, :, ::1]


@compiled(MATRIX, ROW, ROW, HEADS, HEADS, HEADS)
def split(product, scale, bias, query, key, value):  # type: ignore[no-untyped-def]
    """Write a product (tokens, 3 dim) of windows of one length, head by head: each (windows, heads, length, size).

    ``key`` and ``value`` may be longer; what is left of them becomes 0.
    """
    wide()
    windows, heads, length, size = query.shape
    kept = np.empty(3 * heads * size, np.float32)
    for w in range(windows):
        for i in range(length):
            own = scale[w * length + i]
            for j in range(3 * heads * size):
                kept[j] = product[w * length + i, j] * own + bias[j]
            for h in range(heads):
                for d in range(size):
                    query[w, h, i, d] = kept[h * size + d]
                for d in range(size):
                    key[w, h, i, d] = kept[(heads + h) * size + d]
                for d in range(size):
                    value[w, h, i, d] = kept[(heads + heads + h) * size + d]
        for h in range(heads):
            for i in range(length, key.shape[2]):
                for d in range(size):
                    key[w, h, i, d] = value[w, h, i, d] = F(0)


@compiled(f4[:, :, ::1], i8, MATRIX)
def softmax(scores, length, parts):  # type: ignore[no-untyped-def]
    """Make e^(s - the largest) of the first ``length`` of each row of ``scores``, 0 of the others; ``parts`` are 1 / the sums."""
    wide()
    blocks, count, keys = scores.shape
    hidden = np.zeros(keys, np.float32)
    for j in range(length, keys):
        hidden[j] = NEVER
    for b in range(blocks):
        for i in range(count):
            row = scores[b, i]
            largest, total = NEVER, F(0)
            for j in range(keys):
                largest = larger(row[j] + hidden[j], largest)
            for j in range(keys):
                power = larger((row[j] + hidden[j] - largest) * LOG2_E + BIAS, F(0))
                whole = np.int32(power + HALF)
                f = power - F(whole)
                found = float_of(whole << EXPONENT) * (P0 + f * (P1 + f * (P2 + f * (P3 + f * P4))))
                row[j] = found
                total += found
            parts[b, i] = ONE / total


@compiled(HEADS, f4[:, :, ::1], CODES, ROW)
def merge(read, parts, codes, scales):  # type: ignore[no-untyped-def]
    """Write what the heads have ``read`` (windows, heads, length, size), times ``parts``, to ``codes`` (tokens, dim)."""
    wide()
    windows, heads, length, size = read.shape
    kept = np.empty(heads * size, np.float32)
    for w in range(windows):
        for i in range(length):
            for h in range(heads):
                part = parts[w, h, i]
                for d in range(size):
                    kept[h * size + d] = read[w, h, i, d] * part
            largest = TINY
            for j in range(heads * size):
                largest = larger(abs(kept[j]), largest)
            scales[w * length + i] = largest / SIGNED
            steps = SIGNED / largest
            for j in range(heads * size):
                codes[w * length + i, j] = np.int32(kept[j] * steps + MIDDLE)
