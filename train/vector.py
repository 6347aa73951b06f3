"""A pixel at a time on the vector units: what numba cannot say in Python, as code for LLVM."""

from collections.abc import Callable
from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

_INTEGER, _INDEX = ir.IntType(32), ir.IntType(64)
_FOUR_INTEGERS, _FOUR_BYTES = ir.VectorType(_INTEGER, 4), ir.VectorType(ir.IntType(8), 4)
Generator = Callable[[Any, Any, Any, Any], ir.Value]


def _weighted_pixel(
    _context: Any, pixels: Any, _at: Any, weights: Any, _row: Any, _taps: Any, _bits: Any, made: Any, _to: Any
) -> tuple[Any, Generator]:
    """made[to : to + 3] becomes the sum of `taps` neighbouring pixels from byte `at` on, weighted by weights[row].

    The sum is rounded by `bits`. pixels and made are uint8 (bytes,), weights int32 (rows, columns). Red, green, blue
    and the byte that follows are computed together, as a vector of four, and written together: after the last pixel a
    byte more is read and written.
    """
    signature = types.void(pixels, types.intp, weights, types.intp, types.intp, types.int32, made, types.intp)

    def generate(context: Any, builder: Any, signature: Any, values: Any) -> ir.Value:
        def array(number: int) -> Any:
            return context.make_array(signature.args[number])(context, builder, values[number])

        def spread(value: ir.Value) -> ir.Value:
            vector = builder.insert_element(ir.Constant(_FOUR_INTEGERS, ir.Undefined), value, ir.Constant(_INTEGER, 0))
            return builder.shuffle_vector(vector, vector, ir.Constant(_FOUR_INTEGERS, [0] * 4))

        def four(start: ir.Value, place: ir.Value) -> ir.Value:
            return builder.bitcast(builder.gep(start, [place]), _FOUR_BYTES.as_pointer())

        _, at, _, row, taps, bits, _, to = values
        columns = builder.extract_value(array(2).shape, 1)
        one = ir.Constant(_INTEGER, 1)
        total = cgutils.alloca_once_value(builder, spread(builder.shl(one, builder.sub(bits, one))))  # type: ignore[no-untyped-call]
        with cgutils.for_range(builder, taps) as loop:
            place = builder.add(at, builder.mul(loop.index, ir.Constant(_INDEX, 3)))
            pixel = builder.zext(builder.load(four(array(0).data, place), align=1), _FOUR_INTEGERS)
            counted = builder.add(builder.mul(row, columns), loop.index)
            weight = spread(builder.load(builder.gep(array(2).data, [counted])))
            builder.store(builder.add(builder.load(total), builder.mul(pixel, weight)), total)
        rounded = builder.trunc(builder.lshr(builder.load(total), spread(bits)), _FOUR_BYTES)
        builder.store(rounded, four(array(6).data, to), align=1)
        return context.get_dummy_value()

    return signature, generate


weighted_pixel: Any = intrinsic(_weighted_pixel)
