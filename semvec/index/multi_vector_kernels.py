"""What late interaction does to every token, in machine code, on one core."""

from __future__ import annotations

import numpy as np
from numba import f4, i4, i8, types, u1, u2
from numpy.typing import NDArray

from semvec.embeddings.compiled import compiled, float_of, larger, wide
from semvec.index.intrinsics import COLUMNS, OF_BYTES, ROWS, TOGETHER, code_of, peaks, tile_of_bytes, tile_of_numbers

BYTES, MARKS, NUMBERS, INTEGERS = (types.Array(kind, 2, "C", readonly=True) for kind in (u1, u2, f4, i4))
PLACES = types.Array(i8, 1, "C", readonly=True)
"""Arrays that are read, which may be memory-mapped."""

SCALE = np.float32(2.0**-15)
"""The steps of a vector's scale, which is between 0 and 2."""

ZERO, LEAST, POWER, HIGH = np.float32(0), np.float32(-1e30), np.float32(2.0**112), np.float32(256)


def _unpack_parts(codes, bits, out):  # type: ignore[no-untyped-def]
    """Write ``codes`` of so many ``bits``, those of a byte lying a width apart, to ``out``."""
    wide()
    width, mask = codes.shape[1], np.uint8((1 << bits) - 1)
    for row in range(len(codes)):
        its, numbers = codes[row], out[row]
        for place in range(8 // bits):
            shift, part = np.uint8(place * bits), numbers[place * width : (place + 1) * width]
            for byte in range(width):
                part[byte] = code_of(its[byte], shift, mask)


unpack_bytes, _unpack_numbers = (compiled(BYTES, i8, kind[:, ::1])(_unpack_parts) for kind in (u1, f4))


@compiled(BYTES, i8, f4[:, ::1])
def unpack(codes: NDArray[np.uint8], bits: int, out: NDArray[np.float32]) -> None:
    """Write ``codes`` of so many ``bits`` to ``out`` as numbers; with 16 bits they are halves of float32."""
    if bits != 16:
        _unpack_numbers(codes, bits, out)
        return
    wide()
    for row in range(len(codes)):
        its, numbers = codes[row], out[row]
        for at in range(len(its) // 2):
            half = np.int32(its[2 * at]) | np.int32(its[2 * at + 1]) << 8
            number = float_of((half & 0x7FFF) << 13) * POWER
            numbers[at] = -number if half & 0x8000 else number


@compiled(NUMBERS, NUMBERS, f4[:, ::1])
def products(rows: NDArray[np.float32], query: NDArray[np.float32], out: NDArray[np.float32]) -> None:
    """Write the products of ``rows`` (rows, dim) and ``query`` (dim, columns) to ``out`` (rows, columns).

    BLAS is as quick at that, but its threads then wait for more while spinning, and what comes next takes twice as long.
    """
    wide()
    held, sums = np.zeros((ROWS, rows.shape[1]), np.float32), np.empty((ROWS, query.shape[1]), np.float32)
    for at in range(0, len(rows), ROWS):
        its = min(ROWS, len(rows) - at)
        held[:its] = rows[at : at + its]
        for column in range(0, query.shape[1], TOGETHER):
            tile_of_numbers(held, query, column, sums)
        out[at : at + its] = sums[:its]


@compiled(BYTES, MARKS, i8, PLACES, PLACES, NUMBERS, NUMBERS, i8, f4[::1])
def late_interaction(
    codes: NDArray[np.uint8],
    marks: NDArray[np.uint16],
    bits: int,
    first: NDArray[np.int64],
    count: NDArray[np.int64],
    query: NDArray[np.float32],
    base: NDArray[np.float32],
    asked: int,
    out: NDArray[np.float32],
) -> None:
    """Write the MaxSim of each item to ``out``: of a ``query`` (numbers, columns), whose first ``asked`` columns are tokens.

    A token's cosine is the product with what is unpacked, and its centroid's ``base`` (centroids, columns), times its scale.
    """
    wide()
    held, sums = np.zeros((ROWS, len(query)), np.float32), np.empty((ROWS, query.shape[1]), np.float32)
    best = np.empty(query.shape[1], np.float32)
    for item in range(len(first)):
        best[:] = LEAST
        end = first[item] + count[item]
        for at in range(first[item], end, ROWS):
            its = min(ROWS, end - at)
            unpack(codes[at : at + its], bits, held)
            for column in range(0, query.shape[1], TOGETHER):
                tile_of_numbers(held, query, column, sums)
            for row in range(its):
                sum_, near = sums[row], base[marks[at + row, 0]]
                scale = np.float32(np.int32(marks[at + row, 1])) * SCALE
                for j in range(len(best)):
                    best[j] = larger((sum_[j] + near[j]) * scale, best[j])
        total = ZERO
        for j in range(asked):
            total += best[j]
        out[item] = total


def late_interaction_of_bytes(
    codes: NDArray[np.uint8],
    marks: NDArray[np.uint16],
    bits: int,
    first: NDArray[np.int64],
    count: NDArray[np.int64],
    query: NDArray[np.int32],
    units: NDArray[np.float32],
    base: NDArray[np.float32],
    asked: int,
    out: NDArray[np.float32],
) -> None:
    """Do the same in bytes: ``query`` (quarters, 2 · columns) has two for each number, 256 times the first and the second.

    Both count ``units`` (columns,); they are in two halves of the columns, and each int32 is four bytes of one column.
    """
    wide()
    columns = len(units)
    held, sums = np.zeros((ROWS, 4 * len(query)), np.uint8), np.empty((ROWS, 2 * columns), np.int32)
    best = np.empty(columns, np.float32)
    for item in range(len(first)):
        best[:] = LEAST
        end = first[item] + count[item]
        for at in range(first[item], end, ROWS):
            its = min(ROWS, end - at)
            unpack_bytes(codes[at : at + its], bits, held)
            for column in range(0, 2 * columns, TOGETHER):
                tile_of_bytes(held, query, column, sums)
            for row in range(its):
                high, low, near = sums[row, :columns], sums[row, columns:], base[marks[at + row, 0]]
                scale = np.float32(np.int32(marks[at + row, 1])) * SCALE
                for j in range(columns):
                    sum_ = (np.float32(high[j]) * HIGH + np.float32(low[j])) * units[j]
                    best[j] = larger((sum_ + near[j]) * scale, best[j])
        total = ZERO
        for j in range(asked):
            total += best[j]
        out[item] = total


if OF_BYTES:  # elsewhere there is no such instruction to be had
    late_interaction_of_bytes = compiled(BYTES, MARKS, i8, PLACES, PLACES, INTEGERS, f4[::1], NUMBERS, i8, f4[::1])(
        late_interaction_of_bytes
    )


@compiled(f4[:, ::1], NUMBERS, MARKS, f4[::1])
def add_centroids(
    sims: NDArray[np.float32], near: NDArray[np.float32], marks: NDArray[np.uint16], scales: NDArray[np.float32]
) -> None:
    """Add to ``sims`` (tokens, columns) what ``near`` (centroids, columns) has for a token's centroid; multiply by its scale."""
    wide()
    for row in range(len(sims)):
        one, its, scale = sims[row], near[marks[row, 0]], scales[row]
        for at in range(len(one)):
            one[at] = (one[at] + its[at]) * scale


@compiled(BYTES, MARKS, PLACES, PLACES, i8, i4[::1])
def by_centroids(
    table: NDArray[np.uint8],
    marks: NDArray[np.uint16],
    first: NDArray[np.int64],
    count: NDArray[np.int64],
    columns: int,
    out: NDArray[np.int32],
) -> None:
    """Add the sum over ``columns`` of the greatest row of ``table`` (centroids, 64) among the tokens of each item to ``out``."""
    wide()
    best = np.empty(COLUMNS, np.uint8)
    for item in range(len(first)):
        peaks(table, marks, first[item], first[item] + count[item], best)
        total = np.int32(0)
        for at in range(columns):
            total += np.int32(best[at])
        out[item] += total
