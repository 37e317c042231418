"""A vector type for kernels: ``Lanes``, a row of numbers that one instruction treats alike.

A kernel written with lanes reads like the algorithm for one block. There are two ways to use them:

*One block a lane.* The searches of the K-quants add in an order that fixes their result to the last bit, so they
cannot run faster within a block; but ``LANES`` blocks can be searched side by side. ``load_blocks`` turns blocks that
lie one after another into lanes, ``store_blocks`` turns lanes of bytes back into blocks::

    @kernel(ENCODE)
    def encode(x, out):
        rows = x.shape[0]
        xs = scratch(LANES, 32, np.float32)             # 32 weights of LANES blocks, on the stack
        packed = scratch(LANES, 18, np.uint8)           # and LANES blocks to be written
        for first in range(0, rows, LANES):
            load_blocks(x, block_rows(xs, first, rows), xs)
            largest = abs(xs[0])
            for i in range(1, 32):
                largest = maximum(largest, abs(xs[i]))
            ...
            packed[0] = as_type(largest < 1.0, np.uint8)
            store_blocks(packed, out, first)

*One weight a lane.* Where nothing is summed, a whole block is a single value: ``load(x, row, 0, 32)``.

The rules: ``+ - * /``, comparisons, ``& | ^ ~ << >>`` and ``abs`` work lane by lane; the other operand may be a
scalar, which takes the lanes' element type (so ``0.1 * v`` multiplies by the float32 nearest to 0.1). Comparing gives a
mask for ``select``, ``any_lane`` and ``mask_bits``. Nothing is contracted or reordered: a lane's result equals what
scalar float32 code gives, on every processor and for every width. No operation needs more than SSE2 or calls a
library, but those that ask for ``HALF`` and ``ROUND``.
"""

from __future__ import annotations

from .blocks import block_rows, load_blocks, store_blocks
from .folds import (
    any_lane,
    bit_mask,
    join,
    lane,
    largest_lane,
    lower,
    lowest_bit,
    mask_bits,
    smallest_lane,
    sum_lanes,
    upper,
)
from .memory import (
    gather,
    in_rows,
    lane_of,
    load,
    load_as,
    peek,
    scratch,
    scratch_like,
    size_of,
    store,
    width_of,
    workspace,
    zero_of,
)
from .operators import (
    as_bits,
    as_float,
    as_type,
    fill,
    from_half,
    indices,
    maximum,
    minimum,
    rounded,
    select,
    sqrt,
    to_half,
)
from .vectors import HALF, LANES, ROUND, opaque

__all__ = [
    "HALF",
    "LANES",
    "ROUND",
    "any_lane",
    "as_bits",
    "as_float",
    "as_type",
    "bit_mask",
    "block_rows",
    "fill",
    "from_half",
    "gather",
    "in_rows",
    "indices",
    "join",
    "lane",
    "lane_of",
    "largest_lane",
    "load",
    "load_as",
    "load_blocks",
    "lower",
    "lowest_bit",
    "mask_bits",
    "maximum",
    "minimum",
    "opaque",
    "peek",
    "rounded",
    "scratch",
    "scratch_like",
    "select",
    "size_of",
    "smallest_lane",
    "sqrt",
    "store",
    "store_blocks",
    "sum_lanes",
    "to_half",
    "upper",
    "width_of",
    "workspace",
    "zero_of",
]
