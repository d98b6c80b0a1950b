"""Functions over arrays compiled to machine code by numba."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from llvmlite import ir
from numba import njit, types, void
from numba.extending import intrinsic


def compiled(*kinds: Any) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Return what compiles a function for arguments of ``kinds``, once for this processor where a cache can be written."""

    def make(function: Callable[..., None]) -> Callable[..., None]:
        settings = {"fastmath": True, "nogil": True, "error_model": "numpy"}
        try:
            return njit(void(*kinds), cache=True, **settings)(function)  # type: ignore[no-any-return]
        except RuntimeError:  # no folder that a cache could be in
            return njit(void(*kinds), **settings)(function)  # type: ignore[no-any-return]

    return make


@intrinsic  # type: ignore[untyped-decorator]
def wide(context: Any) -> Any:
    """Let the function that calls this use vectors of 512 bits; LLVM keeps to 256 where it is not told so."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        set.add(builder.function.attributes, '"prefer-vector-width"="512"')  # a plain `add` knows no attributes with values
        return context.get_dummy_value()

    return types.none(), generate


@intrinsic  # type: ignore[untyped-decorator]
def larger(context: Any, one: Any, other: Any) -> Any:
    """Return the larger of two float32, neither of them NaN: numba's own `max` cares for NaN, and so never becomes vectors."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.select(builder.fcmp_ordered(">", *args, flags=("fast",)), *args, flags=("fast",))

    return types.float32(types.float32, types.float32), generate


@intrinsic  # type: ignore[untyped-decorator]
def float_of(context: Any, bits: Any) -> Any:
    """Return the float32 that ``bits`` are."""
    return types.float32(types.int32), lambda context, builder, signature, args: builder.bitcast(args[0], ir.FloatType())
