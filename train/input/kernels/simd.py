"""Processes one or two pixels at a time on vector units, with LLVM code that numba cannot generate from Python."""

from collections.abc import Callable
from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

_INTEGER, _INDEX = ir.IntType(32), ir.IntType(64)
_FOUR_INTEGERS, _FOUR_BYTES = ir.VectorType(_INTEGER, 4), ir.VectorType(ir.IntType(8), 4)

# The order that moves each colour next to the same colour of the neighbour, in two runs of (r, g, b, r, g, b, -, -)
_SIDE_BY_SIDE = [0, 3, 1, 4, 2, 5, 6, 7, 8, 11, 9, 12, 10, 13, 14, 15]
Generator = Callable[[Any, Any, Any, Any], ir.Value]


def _vector(bits: int, numbers: int) -> ir.VectorType:
    return ir.VectorType(ir.IntType(bits), numbers)


def _weighted_pixel(
    _context: Any, pixels: Any, _at: Any, weights: Any, _row: Any, _taps: Any, _bits: Any, made: Any, _to: Any
) -> tuple[Any, Generator]:
    """Do the work of `_sum_of_pixels` for weights with which no sum is below 0 or above 255."""
    return _sum_of_pixels(pixels, weights, made, clamped=False)


def _clamped_pixel(
    _context: Any, pixels: Any, _at: Any, weights: Any, _row: Any, _taps: Any, _bits: Any, made: Any, _to: Any
) -> tuple[Any, Generator]:
    """Do the work of `_sum_of_pixels` for weights that may be negative: sums are limited to 0..255."""
    return _sum_of_pixels(pixels, weights, made, clamped=True)


def _sum_of_pixels(pixels: Any, weights: Any, made: Any, *, clamped: bool) -> tuple[Any, Generator]:
    """Set made[to : to + 3] to the sum of `taps` neighbouring pixels from byte `at` on, weighted by weights[row].

    The sum is divided by 2^bits and rounded. `pixels` and `made` are uint8 (bytes,), `weights` int32 (rows, columns).
    Red, green, blue and the byte after them are computed and written together, as a vector of four, so one more byte is
    read and written after the last pixel.
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
        if clamped:
            shifted = builder.ashr(builder.load(total), spread(bits))
            least, largest = (ir.Constant(_FOUR_INTEGERS, [limit] * 4) for limit in (0, 255))
            shifted = builder.select(builder.icmp_signed("<", shifted, least), least, shifted)
            shifted = builder.select(builder.icmp_signed(">", shifted, largest), largest, shifted)
        else:
            shifted = builder.lshr(builder.load(total), spread(bits))
        rounded = builder.trunc(shifted, _FOUR_BYTES)
        builder.store(rounded, four(array(6).data, to), align=1)
        return context.get_dummy_value()

    return signature, generate


weighted_pixel: Any = intrinsic(_weighted_pixel)
clamped_pixel: Any = intrinsic(_clamped_pixel)


def _blended_pixels(
    _context: Any, pixels: Any, _at: Any, _next_at: Any, _pair: Any, _next_pair: Any, _bits: Any, made: Any, _to: Any
) -> tuple[Any, Generator]:
    """Set made[to : to + 6] to two pixels: blends of the two neighbours from byte `at` on, and from `next_at` on.

    A pair holds the weights of two neighbours, the first one in its low 16 bits. The sums are divided by 2^bits and
    rounded. `pixels` and `made` are uint8 (bytes,). Eight bytes are read and written instead of six.
    """
    at, number = types.intp, types.int32
    signature = types.void(pixels, at, at, number, number, number, made, at)

    def generate(context: Any, builder: Any, signature: Any, values: Any) -> ir.Value:
        def eight(number: int, place: ir.Value) -> ir.Value:
            start = context.make_array(signature.args[number])(context, builder, values[number]).data
            return builder.bitcast(builder.gep(start, [place]), _vector(8, 8).as_pointer())

        def picked(one: ir.Value, other: ir.Value, places: list[int]) -> ir.Value:
            return builder.shuffle_vector(one, other, ir.Constant(_vector(32, len(places)), places))

        def spread(value: ir.Value) -> ir.Value:
            one = builder.insert_element(ir.Constant(_vector(32, 8), ir.Undefined), value, ir.Constant(_INTEGER, 0))
            return picked(one, one, [0] * 8)

        def of_each_two(vector: ir.Value, which: int) -> ir.Value:
            return builder.sext(picked(vector, vector, list(range(which, 16, 2))), _vector(32, 8))

        _, at, next_at, pair, next_pair, bits, _, to = values
        seen = picked(builder.load(eight(0, at), align=1), builder.load(eight(0, next_at), align=1), _SIDE_BY_SIDE)
        seen = builder.zext(seen, _vector(16, 16))
        both = ir.Constant(_vector(32, 2), ir.Undefined)
        for place, value in enumerate((pair, next_pair)):
            both = builder.insert_element(both, value, ir.Constant(_INTEGER, place))
        weights = builder.bitcast(picked(both, both, [0] * 4 + [1] * 4), _vector(16, 16))
        products = [builder.mul(of_each_two(seen, one), of_each_two(weights, one)) for one in (0, 1)]
        half = builder.shl(ir.Constant(_INTEGER, 1), builder.sub(bits, ir.Constant(_INTEGER, 1)))
        total = builder.add(builder.add(*products), spread(half))
        colours = builder.trunc(builder.lshr(total, spread(bits)), _vector(8, 8))
        builder.store(picked(colours, colours, [0, 1, 2, 4, 5, 6, 3, 7]), eight(6, to), align=1)
        return context.get_dummy_value()

    return signature, generate


blended_pixels: Any = intrinsic(_blended_pixels)
