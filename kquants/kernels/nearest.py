"""Which of the codewords listed for a code (``grids``) is nearest to a group of weights, each with a say of its own.

Every lane is one block. That gives the same answer as ggml's scan, for every distance is summed in its order and the
first of equally near ones wins. Lists differ from lane to lane, in length too: those of 4 weights, mostly short, are
tried in all lanes together; those of 8 in one lane after another, with many codewords at once.

Source of the facts: ``iq2_find_best_neighbour`` and ``iq3_find_best_neighbour`` in ggml-quants.c.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ..jit import inlined
from .grids import CODES
from .lanes import (
    LANES,
    as_type,
    bit_mask,
    fill,
    gather,
    indices,
    lane_of,
    load,
    load_blocks,
    lowest_bit,
    mask_bits,
    scratch,
    select,
    smallest_lane,
    store,
    workspace,
)

F32 = np.float32
FAR = np.finfo(np.float32).max


@inlined
def find_nearest_of_8(fit: Any, g: int, scale: Any, settled: Any, alive: Any, codes: Any) -> Any:
    """Replace ``codes[g]`` by the nearest codewords; a bit for each lane of ``alive`` where it was none.

    Lanes with a bit in ``settled`` need only the shorter of their lists.
    """
    mag, _, root, tables, _, _ = fit
    index, steps, start, near, _ = tables
    off = not_codewords(index, codes, g) & alive
    if off != 0:
        todo = off
        terms = scratch(LANES, 24, np.float32)
        distances_of_3_levels(mag, root, 8 * g, scale, terms)
        if len(steps):
            todo &= ~take_single_steps(terms, steps, codes, g, todo)
        put_nearest_of_8(terms, todo, settled, start, near, codes, g)
    return off


@inlined
def put_nearest_of_8(terms: Any, todo: Any, settled: Any, start: Any, near: Any, codes: Any, g: int) -> None:
    """Replace ``codes[g]`` in the lanes with a bit in ``todo``, one after another."""
    while todo != 0:
        k = lowest_bit(todo)
        todo &= todo - np.uint64(1)
        first, last = list_of(codes[g, k], settled, k, start)
        codes[g, k] = nearest_of_8(terms, k, near, first, last)


@inlined
def list_of(code: int, settled: Any, k: int, start: Any) -> Any:
    """Where the list of lane k's code begins and ends."""
    row = 0 if settled >> np.uint64(k) & np.uint64(1) else 1
    return start[row, code], start[row, code + 1]


@inlined
def find_nearest_of_4(fit: Any, g: int, code: Any, scale: Any, settled: Any, alive: Any, codes: Any) -> Any:
    """Put the codewords nearest to ``code`` into ``codes[g]``; a bit for each lane of ``alive`` where it was none.

    The first eight of a list are tried in all lanes together, the rest of the few longer ones in each lane by itself.
    """
    mag, _, root, tables, _, _ = fit
    _, _, start, near, firsts = tables
    listed = scratch(LANES, 4, np.int32)
    load_blocks(firsts, select(settled, code >> 1, (code >> 1) + CODES // 2), listed)
    nearest = listed[0] & 0xFFFF
    off = mask_bits(nearest != code) & alive
    longer = off & mask_bits(((listed[3] >> 16) & 0xFFFF) != nearest)
    best = fill(LANES, FAR)
    for pair in range(4):
        for shift in range(0, 32, 16):
            other = listed[pair] >> shift
            distance = fill(LANES, F32(0))
            for i in range(4):
                apart = scale * as_type((other >> 4 * i) & 15, np.float32) - mag[4 * g + i]
                distance = distance + root[4 * g + i] * apart * apart
            nearer = distance < best
            best = select(nearer, distance, best)
            nearest = select(nearer, other & 0xFFFF, nearest)
    store(codes, g, 0, nearest)
    if longer != 0:
        found = scratch(LANES, 2, np.float32)
        found[0], found[1] = best, scale
        plain = workspace(1, LANES, np.int32)
        store(plain, 0, 0, code)
        short = mask_bits(settled)
        while longer != 0:
            k = lowest_bit(longer)
            longer &= longer - np.uint64(1)
            first, last = list_of(plain[0, k], short, k, start)
            at = nearest_of_4(mag, root, 4 * g, found, k, near, first + 8, last)
            if at >= 0:
                codes[g, k] = near[0, at]
    return off


@inlined
def not_codewords(index: Any, codes: Any, g: int) -> Any:
    """A bit for each lane of ``codes[g]`` that is no codeword."""
    bits = np.uint64(0)
    for k in range(LANES):
        bits |= np.uint64(index[codes[g, k]] < 0) << np.uint64(k)
    return bits


@inlined
def distances_of_3_levels(mag: Any, root: Any, at: int, scale: Any, terms: Any) -> None:
    """``terms[8 * level + i]``: what weight i of the group adds to the squared distance at a level."""
    for number in range(3):
        point = scale * F32(2 * number + 1)
        for i in range(8):
            off = point - mag[at + i]
            terms[8 * number + i] = root[at + i] * off * off


@inlined
def take_single_steps(terms: Any, steps: Any, codes: Any, g: int, lanes: Any) -> Any:
    """Replace ``codes[g]`` in those of ``lanes`` whose near codewords are single steps away; a bit for each such lane.

    This is most of them where one shell is looked at, and the steps can be tried in all lanes together.
    """
    code = load(codes, g, 0, LANES)
    listed = gather(steps, code)
    own, moved = scratch(LANES, 8, np.float32), scratch(LANES, 16, np.float32)
    before = scratch(LANES, 8, np.float32)
    total = fill(LANES, F32(0))
    for i in range(8):
        low, middle, high = terms[i], terms[8 + i], terms[16 + i]
        lowest, highest = (code & np.int32(3 << 2 * i)) == 0, (code & np.int32(2 << 2 * i)) != 0
        own[i] = select(lowest, low, select(highest, high, middle))
        moved[7 - i] = select(highest, middle, low)
        moved[8 + i] = select(lowest, middle, high)
        before[i] = total
        total = total + own[i]
    best, chosen = fill(LANES, FAR), fill(LANES, np.int32(0))
    for step in range(16):
        i = 7 - step if step < 8 else step - 8
        total = before[i] + moved[step]
        for j in range(i + 1, 8):
            total = total + own[j]
        better = ((listed & np.int32(1 << step)) != 0) & (total < best)
        best = select(better, total, best)
        chosen = select(better, np.int32(-(1 << 2 * i) if step < 8 else 1 << 2 * i), chosen)
    done = lanes & mask_bits(best < FAR)
    store(codes, g, 0, select(bit_mask(done, LANES), code + chosen, code))
    return done


@inlined
def nearest_of_8(terms: Any, k: int, near: Any, first: int, last: int) -> Any:
    """Of the listed codes of 8 weights, the first with the least distance in lane k."""
    best, found = FAR, first
    for at in range(first, last, 16):
        code = as_type(load(near, 0, at, 16), np.int32)
        distance = term_of_8(terms, 0, k, code)
        for i in range(1, 8):
            distance = distance + term_of_8(terms, i, k, code)
        best, found = nearer(distance, indices(16) < np.int32(last - at), at, best, found)
    return np.int32(near[0, found])


@inlined
def term_of_8(terms: Any, i: int, k: int, code: Any) -> Any:
    """What weight i adds to the distance of each code."""
    low, high = fill(16, lane_of(terms, i, k)), fill(16, lane_of(terms, 16 + i, k))
    middle = fill(16, lane_of(terms, 8 + i, k))
    return select((code & np.int32(2 << 2 * i)) != 0, high, select((code & np.int32(1 << 2 * i)) != 0, middle, low))


@inlined
def nearest_of_4(mag: Any, root: Any, at: int, found: Any, k: int, near: Any, first: int, last: int) -> int:
    """Where, of the listed codes of 4 weights, the first with the least distance is in lane k.

    -1 where none is nearer than ``found[0]``; ``found[1]`` is the scale.
    """
    best, nearest = lane_of(found, 0, k), -1
    unit = lane_of(found, 1, k)
    for start in range(first, last, 8):
        code = as_type(load(near, 0, start, 8), np.int32)
        distance = fill(8, F32(0))
        for i in range(4):
            off = unit * as_type((code >> 4 * i) & 15, np.float32) - lane_of(mag, at + i, k)
            distance = distance + lane_of(root, at + i, k) * off * off
        best, nearest = nearer(distance, indices(8) < np.int32(last - start), start, best, nearest)
    return nearest


@inlined
def nearer(distance: Any, listed: Any, at: int, best: Any, found: int) -> Any:
    """The least distance in the lanes that are ``listed``, and where it is, from ``at`` on; if it is below ``best``."""
    distance = select(listed & (distance < FAR), distance, FAR)
    least = smallest_lane(distance)
    if least < best:
        return least, at + lowest_bit(mask_bits(distance == least))
    return best, found
