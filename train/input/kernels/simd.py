"""Processes several bytes at a time on vector units, with LLVM code that numba cannot generate from Python."""

import platform
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
_HAS_PMADDWD = platform.machine() in ("x86_64", "AMD64")
"""Whether the processor has the instruction PMADDWD (SSE2), which sums pairs of products. LLVM does not use this
instruction automatically."""
Generator = Callable[[Any, Any, Any, Any], ir.Value]


def _vector(bits: int, numbers: int) -> ir.VectorType:
    return ir.VectorType(ir.IntType(bits), numbers)


def _weighted_pixel(
    _context: Any, pixels: Any, _at: Any, weights: Any, _row: Any, _taps: Any, _bits: Any, made: Any, _to: Any
) -> tuple[Any, Generator]:
    """Do the work of `_sum_of_pixels` for weights that are never negative, so that all sums are from 0 to 255."""
    return _sum_of_pixels(pixels, weights, made, clamped=False)


def _clamped_pixel(
    _context: Any, pixels: Any, _at: Any, weights: Any, _row: Any, _taps: Any, _bits: Any, made: Any, _to: Any
) -> tuple[Any, Generator]:
    """Do the work of `_sum_of_pixels` for weights that may be negative; sums are clamped to the range from 0 to 255."""
    return _sum_of_pixels(pixels, weights, made, clamped=True)


def _sum_of_pixels(pixels: Any, weights: Any, made: Any, *, clamped: bool) -> tuple[Any, Generator]:
    """Set made[to : to + 3] to the sum of `taps` neighbouring pixels from byte `at` on, weighted by weights[row].

    The sum is divided by 2^bits and rounded. `pixels` and `made` are uint8 (bytes,), `weights` int32 (rows, columns).
    Red, green, blue and the byte after them are processed together, as a vector of four bytes. One byte after the last
    pixel is therefore read and written too.
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
    """Set made[to : to + 6] to two pixels, each of which is a weighted sum of two neighbouring pixels.

    The neighbours begin at byte `at` for the first pixel, and at byte `next_at` for the second. A pair is a 32-bit
    number with the weights of two neighbours; the first weight is in the low 16 bits. The sums are divided by 2^bits
    and rounded. `pixels` and `made` are uint8 (bytes,). Eight bytes are read and written instead of six.
    """
    at, number = types.intp, types.int32
    signature = types.void(pixels, at, at, number, number, number, made, at)

    def generate(context: Any, builder: Any, signature: Any, values: Any) -> ir.Value:
        def eight(number: int, place: ir.Value) -> ir.Value:
            start = context.make_array(signature.args[number])(context, builder, values[number]).data
            return builder.bitcast(builder.gep(start, [place]), _vector(8, 8).as_pointer())

        _, at, next_at, pair, next_pair, bits, _, to = values
        one, other = (builder.load(eight(0, place), align=1) for place in (at, next_at))
        both = ir.Constant(_vector(32, 2), ir.Undefined)
        for place, value in enumerate((pair, next_pair)):
            both = builder.insert_element(both, value, ir.Constant(_INTEGER, place))
        weights = _picked(builder, both, both, [0] * 4 + [1] * 4)
        colours = _blended(builder, _picked(builder, one, other, _SIDE_BY_SIDE), weights, bits, 8)
        builder.store(_picked(builder, colours, colours, [0, 1, 2, 4, 5, 6, 3, 7]), eight(6, to), align=1)
        return context.get_dummy_value()

    return signature, generate


def _blended_bytes(
    _context: Any, rows: Any, _at: Any, _next_at: Any, _pair: Any, _bits: Any, made: Any, _to: Any
) -> tuple[Any, Generator]:
    """Set made[to : to + 16] to weighted sums of the 16 bytes from byte `at` on and the 16 bytes from `next_at` on.

    The two weights are packed in a pair, as in `_blended_pixels`. `rows` and `made` are uint8 (bytes,).
    """
    at, number = types.intp, types.int32
    signature = types.void(rows, at, at, number, number, made, at)

    def generate(context: Any, builder: Any, signature: Any, values: Any) -> ir.Value:
        def sixteen(number: int, place: ir.Value) -> ir.Value:
            start = context.make_array(signature.args[number])(context, builder, values[number]).data
            return builder.bitcast(builder.gep(start, [place]), _vector(8, 16).as_pointer())

        _, at, next_at, pair, bits, _, to = values
        one, other = (builder.load(sixteen(0, place), align=1) for place in (at, next_at))
        seen = _picked(builder, one, other, [place for first in range(16) for place in (first, first + 16)])
        builder.store(_blended(builder, seen, _spread(builder, pair, 16), bits, 16), sixteen(5, to), align=1)
        return context.get_dummy_value()

    return signature, generate


def _blended(builder: Any, seen: ir.Value, pairs: ir.Value, bits: ir.Value, count: int) -> ir.Value:
    """Return weighted sums of neighbours in `seen`, divided by 2^bits and rounded: bytes (count,).

    `seen` has 2 * count bytes. `pairs` has `count` 32-bit numbers, each with the two 16-bit weights of one sum.
    """
    values, weights = builder.zext(seen, _vector(16, 2 * count)), builder.bitcast(pairs, _vector(16, 2 * count))
    half = builder.shl(ir.Constant(_INTEGER, 1), builder.sub(bits, ir.Constant(_INTEGER, 1)))
    total = builder.add(_sums_of_two(builder, values, weights, count), _spread(builder, half, count))
    return builder.trunc(builder.lshr(total, _spread(builder, bits, count)), _vector(8, count))


def _sums_of_two(builder: Any, values: ir.Value, weights: ir.Value, count: int) -> ir.Value:
    """Multiply `values` by `weights`, 16-bit (2 * count,); return sums of neighbouring products, 32-bit (count,)."""
    if not _HAS_PMADDWD:
        numbers = [
            [
                builder.sext(_picked(builder, of, of, list(range(first, 2 * count, 2))), _vector(32, count))
                for first in (0, 1)
            ]
            for of in (values, weights)
        ]
        return builder.add(*(builder.mul(*pair) for pair in zip(*numbers, strict=True)))
    kind = ir.FunctionType(_FOUR_INTEGERS, [_vector(16, 8), _vector(16, 8)])
    function = cgutils.get_or_insert_function(builder.module, kind, "llvm.x86.sse2.pmadd.wd")  # type: ignore[no-untyped-call]
    sums = []
    for first in range(0, 2 * count, 8):
        places = list(range(first, first + 8))
        sums.append(builder.call(function, [_picked(builder, of, of, places) for of in (values, weights)]))
    while len(sums) > 1:
        places = list(range(2 * sums[0].type.count))
        sums = [_picked(builder, one, other, places) for one, other in zip(sums[::2], sums[1::2], strict=True)]
    return sums[0]


def _picked(builder: Any, one: ir.Value, other: ir.Value, places: list[int]) -> ir.Value:
    """Return the elements at the indices `places` of the vectors `one` and `other`, joined end to end."""
    return builder.shuffle_vector(one, other, ir.Constant(_vector(32, len(places)), places))


def _spread(builder: Any, value: ir.Value, count: int) -> ir.Value:
    """Return a vector (count,) that repeats a 32-bit number."""
    one = ir.Constant(_vector(32, count), ir.Undefined)
    one = builder.insert_element(one, value, ir.Constant(_INTEGER, 0))
    return _picked(builder, one, one, [0] * count)


blended_pixels: Any = intrinsic(_blended_pixels)
blended_bytes: Any = intrinsic(_blended_bytes)
