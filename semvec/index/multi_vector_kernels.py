"""What late interaction does to every token, in machine code, on one core."""

from __future__ import annotations

from typing import Any

import numpy as np
from llvmlite import ir
from numba import f4, i4, i8, types, u1, u2
from numba.core import cgutils
from numba.extending import intrinsic
from numpy.typing import NDArray

from semvec.embeddings.compiled import compiled, float_of, larger, wide

BYTES, MARKS, NUMBERS = (types.Array(kind, 2, "C", readonly=True) for kind in (u1, u2, f4))
PLACES = types.Array(i8, 1, "C", readonly=True)
"""Arrays that are read, which may be memory-mapped."""

SCALE = np.float32(2.0**-15)
"""The steps of a vector's scale, which is between 0 and 2."""

ZERO, LEAST, POWER = np.float32(0), np.float32(-1e30), np.float32(2.0**112)
COLUMNS = 64
"""Scores of so many query tokens, a byte each, are looked at together: a line of the cache, and a register of 512 bits."""


@compiled(BYTES, i8, f4[:, ::1])
def unpack(codes: NDArray[np.uint8], bits: int, out: NDArray[np.float32]) -> None:
    """Write ``codes`` of so many ``bits``, those of a byte lying a width apart, to ``out`` as numbers."""
    wide()
    width, mask = codes.shape[1], np.int32((1 << bits) - 1)
    for row in range(len(codes)):
        its = codes[row]
        for place in range(8 // bits):
            shift, part = np.int32(place * bits), out[row, place * width : (place + 1) * width]
            for byte in range(width):
                part[byte] = np.float32(np.int32(its[byte]) >> shift & mask)


@compiled(NUMBERS, NUMBERS, f4[:, ::1])
def products(rows: NDArray[np.float32], query: NDArray[np.float32], out: NDArray[np.float32]) -> None:
    """Write the products of ``rows`` (rows, dim) and ``query`` (query tokens, dim) to ``out`` (rows, query tokens).

    BLAS is quicker at that, but its threads then wait for more while spinning, and what comes next takes twice as long.
    """
    wide()
    last = len(rows) - 1
    for at in range(0, len(rows), 4):
        second, third, fourth = min(at + 1, last), min(at + 2, last), min(at + 3, last)
        one, two, three, four = rows[at], rows[second], rows[third], rows[fourth]
        for j in range(len(query)):
            its = query[j]
            a, b, c, d = ZERO, ZERO, ZERO, ZERO
            for k in range(len(its)):
                a += one[k] * its[k]
                b += two[k] * its[k]
                c += three[k] * its[k]
                d += four[k] * its[k]
            out[at, j], out[second, j], out[third, j], out[fourth, j] = a, b, c, d


@compiled(BYTES, MARKS, i8, PLACES, PLACES, NUMBERS, NUMBERS, f4[::1])
def late_interaction(
    codes: NDArray[np.uint8],
    marks: NDArray[np.uint16],
    bits: int,
    first: NDArray[np.int64],
    count: NDArray[np.int64],
    steps: NDArray[np.float32],
    base: NDArray[np.float32],
    out: NDArray[np.float32],
) -> None:
    """Write the MaxSim of each item to ``out``: of a query of ``steps`` (query tokens, numbers) and ``base`` (centroids, …)."""
    wide()
    asked, width = len(steps), codes.shape[1]
    mask = np.int32((1 << bits) - 1)
    held = np.zeros((4, steps.shape[1]), np.float32)
    best, scales = np.empty(asked, np.float32), np.empty(4, np.float32)
    for item in range(len(first)):
        best[:] = LEAST
        last = first[item] + count[item] - 1
        for at in range(first[item], last + 1, 4):  # four at a time, so that each number of the query is loaded once for all
            for i in range(4):
                token = min(at + i, last)
                scales[i] = np.float32(np.int32(marks[token, 1])) * SCALE
                its = codes[token]
                if bits == 16:
                    for j in range(width // 2):
                        half = np.int32(its[2 * j]) | np.int32(its[2 * j + 1]) << 8
                        number = float_of((half & 0x7FFF) << 13) * POWER
                        held[i, j] = -number if half & 0x8000 else number
                else:
                    for place in range(8 // bits):
                        shift, part = np.int32(place * bits), held[i, place * width : (place + 1) * width]
                        for byte in range(width):
                            part[byte] = np.float32(np.int32(its[byte]) >> shift & mask)
            one, two, three, four = held[0], held[1], held[2], held[3]
            near, next_near = base[marks[at, 0]], base[marks[min(at + 1, last), 0]]
            third_near, fourth_near = base[marks[min(at + 2, last), 0]], base[marks[min(at + 3, last), 0]]
            for j in range(asked):
                step = steps[j]
                a, b, c, d = ZERO, ZERO, ZERO, ZERO
                for k in range(len(step)):
                    a += one[k] * step[k]
                    b += two[k] * step[k]
                    c += three[k] * step[k]
                    d += four[k] * step[k]
                a, b = (a + near[j]) * scales[0], (b + next_near[j]) * scales[1]
                c, d = (c + third_near[j]) * scales[2], (d + fourth_near[j]) * scales[3]
                best[j] = larger(larger(a, b), larger(larger(c, d), best[j]))
        total = ZERO
        for j in range(asked):
            total += best[j]
        out[item] = total


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


@intrinsic  # type: ignore[untyped-decorator]
def peaks(context: Any, table: Any, marks: Any, first: Any, last: Any, best: Any) -> Any:
    """Write the greatest of each column of ``table`` among the centroids of tokens ``first`` up to ``last`` to ``best`` (64,).

    The bytes stay in one register meanwhile; of a loop in Python, LLVM would store and load them for every token.
    """

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        data = [context.make_array(kind)(context, builder, args[at]).data for at, kind in ((0, table), (1, marks), (4, best))]
        row = ir.VectorType(ir.IntType(8), COLUMNS)
        rows, to = (builder.bitcast(data[at], row.as_pointer()) for at in (0, 2))
        greatest = cgutils.alloca_once_value(builder, ir.Constant(row, [0] * COLUMNS))
        with cgutils.for_range_slice(builder, args[2], args[3], args[2].type(1), inc=True) as (token, _):
            mark = builder.load(builder.gep(data[1], [builder.shl(token, token.type(1))]))
            its = builder.load(builder.gep(rows, [builder.zext(mark, token.type)]), align=1)
            held = builder.load(greatest)
            builder.store(builder.select(builder.icmp_unsigned(">", its, held), its, held), greatest)
        builder.store(builder.load(greatest), to, align=1)
        return context.get_dummy_value()

    return types.none(table, marks, first, last, best), generate


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
