"""What compiled functions do that LLVM would not make of loops in Python: sums and peaks that stay in registers, bytes.

Of a product, LLVM makes sums along the row, which then must be added up within a register, one query token at a time; here a
register holds the sums of 16 query tokens.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import llvmlite.binding as llvm
from llvmlite import ir
from numba import config, types
from numba.core import cgutils
from numba.extending import intrinsic

_CAN = {} if config.CPU_NAME or config.CPU_FEATURES or not config.ENABLE_AVX else llvm.get_host_cpu_features()
"""What the processor can, as far as numba may use it."""

OF_BYTES = bool(_CAN.get("avx512f") and _CAN.get("avx512vnni"))
"""Whether there are products of bytes here (VNNI)."""

LANES = 16
ROWS, VECTORS = (8, 2) if _CAN.get("avx512f") else (4, 1)
"""So many rows times so many vectors of sums are what the registers hold, beside what is multiplied."""

TOGETHER = LANES * VECTORS
"""Query tokens whose products are made at once."""

FILL = 2 * LANES
"""Queries are filled up to multiples of so many tokens, wherever they are read."""

_INT = ir.IntType(32)
_Product = Callable[[Any, Any, Any, Any], Any]

COLUMNS = 64
"""Scores of so many query tokens, a byte each, are looked at together: a line of the cache, and a register of 512 bits."""


def _tile(context: Any, builder: Any, signature: Any, args: Any, product: _Product) -> Any:
    """Write the sums of ``product`` over the rows of the query, four bytes taken as one number."""
    rows, query, out = (context.make_array(signature.args[at])(context, builder, args[at]) for at in (0, 1, 3))
    number = query.data.type.pointee
    vector = ir.VectorType(number, LANES)
    first, nothing = ir.Constant(ir.VectorType(_INT, LANES), [0] * LANES), ir.Constant(vector, ir.Undefined)
    length, columns = (builder.extract_value(query.shape, axis) for axis in (0, 1))
    size = length.type

    def place(data: Any, row: Any, width: Any, column: Any) -> Any:
        return builder.bitcast(builder.gep(data, [builder.add(builder.mul(row, width), column)]), vector.as_pointer())

    held = builder.bitcast(rows.data, number.as_pointer())
    sums = [[cgutils.alloca_once_value(builder, ir.Constant(vector, [0] * LANES)) for _ in range(VECTORS)] for _ in range(ROWS)]
    starts = [builder.gep(held, [builder.mul(length, size(row))]) for row in range(ROWS)]
    with cgutils.for_range(builder, length) as loop:
        its = [
            builder.load(place(query.data, loop.index, columns, builder.add(args[2], size(at * LANES))), align=4)
            for at in range(VECTORS)
        ]
        for start, each in zip(starts, sums, strict=True):
            one = builder.insert_element(nothing, builder.load(builder.gep(start, [loop.index]), align=4), _INT(0))
            everywhere = builder.shuffle_vector(one, nothing, first)
            for total, other in zip(each, its, strict=True):
                builder.store(product(builder, builder.load(total), everywhere, other), total)
    for row, each in enumerate(sums):
        for at, total in enumerate(each):
            to = place(out.data, size(row), columns, builder.add(args[2], size(at * LANES)))
            builder.store(builder.load(total), to, align=4)
    return context.get_dummy_value()


def _of_numbers(builder: Any, total: Any, one: Any, other: Any) -> Any:
    return builder.fadd(total, builder.fmul(one, other, flags=("fast",)), flags=("fast",))


def _of_bytes(builder: Any, total: Any, one: Any, other: Any) -> Any:
    kind = ir.FunctionType(total.type, [total.type] * 3)
    instruction = cgutils.get_or_insert_function(builder.module, kind, "llvm.x86.avx512.vpdpbusd.512")
    return builder.call(instruction, [total, one, other])


@intrinsic  # type: ignore[untyped-decorator]
def tile_of_numbers(context: Any, rows: Any, query: Any, at: Any, out: Any) -> Any:
    """Write the products of ``rows`` (`ROWS`, dim) with columns ``at`` to ``at + TOGETHER`` of ``query`` to those of ``out``.

    ``query`` is (dim, columns) and ``out`` (`ROWS`, columns), all of float32.
    """
    return types.none(rows, query, at, out), partial(_tile, product=_of_numbers)


@intrinsic  # type: ignore[untyped-decorator]
def tile_of_bytes(context: Any, rows: Any, query: Any, at: Any, out: Any) -> Any:
    """Do the same for ``rows`` (`ROWS`, 4 · quarters) of unsigned bytes and a ``query`` (quarters, columns) of int32.

    Each of its numbers is four signed bytes; ``out`` (`ROWS`, columns) is int32. Only where there are products `OF_BYTES`.
    """
    return types.none(rows, query, at, out), partial(_tile, product=_of_bytes)


@intrinsic  # type: ignore[untyped-decorator]
def code_of(context: Any, byte: Any, shift: Any, mask: Any) -> Any:
    """Return ``byte >> shift & mask``, of bytes: numba would make them numbers of 64 bits, and a register hold an eighth."""
    kind = types.uint8(types.uint8, types.uint8, types.uint8)
    return kind, lambda context, builder, signature, args: builder.and_(builder.lshr(args[0], args[1]), args[2])


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
