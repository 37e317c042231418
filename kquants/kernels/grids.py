"""The codebooks of IQ1, IQ2 and IQ3, and the lists of near codewords that their encoders search.

A codeword is 8 (IQ1, IQ2) or 4 (IQ3) small digits, each 0 to 2 or 0 to 7. Which combinations are codewords was
chosen once by upstream, from the even points of a lattice weighted by use, so the choice itself is data: a bitmap of
the cube of all combinations, here compressed, in base85 (``tests/kquants/kernels/make_grids.py`` reads it out of ggml).
Codewords are numbered in the order of their digits, the last digit the most significant.

A *code* packs the digits of a codeword, or of any other point of the cube, into 16 bits, the first digit lowest: the
eight digits of IQ1 and IQ2 as they are, in two bits each, the four of IQ3 as the odd numbers 1 to 15 that its encoder
works with, in four.

Nothing is computed at import; what is asked for is kept.
"""

from __future__ import annotations

import base64
import zlib
from dataclasses import dataclass
from functools import cache
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..jit import array_in, array_out, inlined, kernel, number

_BITMAPS = {
    "IQ1_S": (
        "c-k#eO>0z16uqyx#k83y_qA0qE*kA7fk#%6iL;cd<W&+S(JE7AEBc6nlGQ*KX*Z#@1057+gows$6w-}Cbfte_m;o2UY|_#*VZa~*x^U%6T=`"
        "Mm&aUdhx#ygF&eKOplgaU0)cQ?aLaWb`!=%}lC@i-gZEZ5CFdhU_><`D{U2pdIZAiiRBZ^Tjpc--1mjt-&r-O_l7bZy)3*%3zRUeyRXfJ~s5"
        "?<5PM<UK4aB<I3L}>n{hnc{+>K$G67mn>zvR$=UOtZPa7LUsmQWQ2bN)ou!Kj_yfb~LQyR=nku)`P+=g=?+GNRyF#AueD^;Yg67k)HG=(os>"
        "Uh!rG~(gRxZza2HhyPsM)=qh9|ehXUldkU;_wA!C+2Fv`rcq!34!0Fqz%0;&7#XeAmBu`}t6ci#>+3WlSwzITy{$0C$RU8lhlWkibbyz6nxO"
        "L=l|4%yAAJ4G^LV^S*V!(*CwdNU%)Qrh$#q9cyW*tq|@QQ}j896#XTv`6q5lhc&*LLPVeEGcad$xT4&D*b^FV9bJ+^}ih*A`2jX2rIue$9q9"
        "{)`S!jt!g=X1D{vGEMnukjj}Wcvs!oqc~_d61@aP1V3Bvcjc9uWpgt6=l#-;vm1GpU-HX*>(|GJ!F2C{R9{8qA7trFiLFJ0VD+S2Ny_0+jia"
        "iUvPbU!Gt<44HyL$nQ%A{iI)xZW(;0iU=zRoe)YSg8LFF!L&Ei&Q)FngSxd==b)ez8IIEAq?gCPR1z1`cE#svx$dBcgrdMr~`+vY{G*{j)Ld"
        "H7J(;|V_S3+rEqj0{aUGZ~5`z3=#nUT2ypkIbf^7Qd%#dKF#22&cWI$B=(k{y*i-P-%7a6aqltG8tC11XWn$8wuQe)#`Rb$ezM@h+=MX6ehv"
        "4>@KW-1MD8)wE"
    ),
    "IQ2_XXS": (
        "c-nPRORj`4470MbdWwiuj~R8vF<3s$DPNNQV8mEdDvh1mfzMz4@MsNM4-kL~Dg?0u3Z<Q}s#5&i%a^YL7=qILyw)W4Cso8iRnlpCLd`c4Du;"
        "C<RlH?aajd+e<FY7)k8>WSTt@47wX1jPqB41q=2e+&9hy;#r#nzQ(d`wV2I-N(E<X_7hks$x7)Do8!;TEvZcdv+$;Bf*s-;99+U-&7)=?Kns"
        "oS&M%ZZjW8ztGaG<oin^)>q~!#84@<5Q?C;cAe-jqH$lW6s<jvF<nQc*Z$~yKl@H%B$)D{-`Y{-_v~Aze0c0{sHUUCpi"
    ),
    "IQ2_XS": (
        "c-mc2ORj`4470L|dWwh@;*?QWh*MOoP)|Aew9xme83;|{*iP^L>UVu^J$f&9<)%0;rYcZH@zkTcz*1-`0#F4vd)cqIa~EY0S(m36us~sl4e+"
        "uqnt+xnD5p1ifdk&k2^cqyDKl&hVwLuN#<u{Y#82-D2r2AS*#~B;6>b%zZ?$An2Qav5OyP;?IjC1*OUa>YNXBOJs!l*N%2M9ag1pZ#qbS<pD"
        "ODX)Ys@FiGwcn?g7z}ZUJ85J?WuXe7)kq!xj_MC=sehbo`f6hw91-EjVApg;SBK(#S-ctqy5bslAAu_xaBeODLPcR%XL4jpOCvsj1dP@iIwg"
        "yVBr<uBI!nKMuUZZ1qQNNP<bV}FGN4KvRv{ky>(2~*Gt;x6q$P={6Cb#@3Dfxx_wWh`vWo0U*P"
    ),
    "IQ2_S": (
        "c-n1JOKt@r42!agI0c#&;*=39#3>LflvCCTO#7-9jpk=;Y=fB%TefG%OIlXuE_Fz<Ougf=%xu>+l3Bq8hyjg~lMrunmZ<Wy`~YGiEi#3On5v"
        "Bd<vmKZSi%aW(psKWGWlAsphF>8rUC+;ZDfa(=s@_F#i0yss$-8fvv#Vf@jNV{kuiVLgA~66J1A2@4RVJKUxH}IH-$JpaZ^g})pmKjjd>lmo"
        "jtPqGOJ!xqXVV(I)s3f1HneH&<4|id_Zsqi~d9|fZw$~1nHWO$bgs-@JBFei6qb36Asxo<#s4;BRhd~d<sfnbhG0<$t^)oE$@gK%zO1xyELV"
        "B%s1k`FAKZeJ@WjCtPZ6s4%XC=!ChZ<C{I5t%jB|RQ$q0^0H^%ZVVCdNfJ9HPfzZdmWSrg_I({bPgptf%^rJMcpz`hTS7u<>s9rVvW-WSa`T"
        "|j+oGk"
    ),
    "IQ3_XXS": (
        "c-l=-K?=h#3{ye}VW$qZd!FLL9+1HvWO^EVh1sdkoaHp#R7#szmgHo6m{j1}>~2z^o7e*jro|>W6f;suxGq5ThwwrH-tdy3S=*8VCKknJ;ww"
        "~xN=C-Lt2kc1f`n?I#<sN&{qc;xi`rsIog^>xCi>0vO72GEj+P?`#G30*;dkafo0(MD70~26E5oy)Fh-PS2J_iYxE!Gh>5A3e2Aw8l#Lz*UZ"
        "2xyz&!sE!Xy7=t?heopubnm$;UMyR4j1Wf!f;*xLWT6+u!rw*Hy!tqyDZ17JdzPtf@!~_J7yrh&WtZi"
    ),
    "IQ3_S": (
        "c-k#dK}rKb5Ud?m7(7iN59ovqtiR~U2pdlmS^v`sIn3TR;sZue5Z@6$Amj-`@D=vV+J}a&>aMEU{rNq)_mDQ1)6rXa`g-zl6)-xV9&D<-%sL"
        "tw(&E+K!8jAZAn=FIh`{BX?s3iZ9eL!0y{saQwa{i<M_rV8i?Gza!ZNf5Tx$=B>&%}&x2aFnb2>I1DZfG3@eJJ?w}Hf9jj>U<u}qaX$V(Q{%"
        "bJZi0qBwX8+P2=0D&xpG^*kpx3aC_+^woo1gDy;frCMb5s>PfCelExhl@Z5=M_J&lZwQK<TIaOt1Nd_t_Z4Nkqr(Irw~QLK*sjOloy2EUU#s"
        "N3YKfvLC9pG+yhGG#kO><KBF1{I~{B$E!8AqIlE}-BNQAl`R33C|JNFjj93D(#a!oZudm_a(c~OHe<Yb)Y4R?AVbTWv01QA~hX"
    ),
}

_THIRDS = (8.0, 25.0, 43.0)
_LEVELS = {
    "IQ1_S": (-1.0, 0.0, 1.0),
    "IQ2_XXS": _THIRDS,
    "IQ2_XS": _THIRDS,
    "IQ2_S": _THIRDS,
    "IQ3_XXS": (4.0, 12.0, 20.0, 28.0, 36.0, 44.0, 52.0, 62.0),
    "IQ3_S": (1.0, 3.0, 5.0, 7.0, 9.0, 11.0, 13.0, 15.0),
}
"""What a digit decodes to; the encoders of IQ2 and IQ3 work with the odd numbers 1, 3, 5, ... instead."""

_SHELLS = {"IQ1_S": 3, "IQ2_XXS": 2, "IQ2_XS": 2, "IQ2_S": 1, "IQ3_XXS": 2, "IQ3_S": 3}
"""How many distances the encoder looks at around a point that is no codeword."""

CODES = 1 << 16

SLACK = 32
"""Codes that may be read past the end of a list, so that lists are searched in whole vectors."""


@dataclass(frozen=True)
class Grid:
    """A codebook: ``digits`` uint8[codewords, width], their ``values`` as float32, and ``codes`` int32[codewords]."""

    digits: NDArray[np.uint8]
    values: NDArray[np.float32]
    codes: NDArray[np.int32]
    shells: int


class Neighbours(NamedTuple):
    """What an encoder looks up for each code: its codeword, or else the codewords near it.

    ``number`` int32[65536] is that of the codeword with that code, or -1. The near ones of code ``c`` are
    ``near[0, start[0, c] : start[0, c + 1]]``, uint16 codes, nearest first and equally near ones by number; a codeword
    has itself alone. That list leaves out codewords that lie beyond another one: where every term of a distance grows
    with every step away from the code, a codeword that repeats all the steps of an earlier one and adds some of its
    own is never strictly nearer. Row 1 of ``start`` points at the lists that leave out none.

    Where an encoder looks at one shell alone, ``steps`` int32[65536] says which codewords near a code are one step of
    one weight away, and then all are: bits 0 to 7 a step down of weight 7 to 0, bits 8 to 15 a step up of weight 0 to
    7, which is their order in the list. Elsewhere it is empty.

    For codewords of four weights ``firsts`` int32[65536, 4] has the first eight codes of every list again, two in each
    number, the earlier one in its low half; a shorter list is filled up with its first code. All digits are odd, so
    the list of row r for code c is at ``firsts[32768 * r + c // 2]``. Elsewhere it is empty.
    """

    number: NDArray[np.int32]
    steps: NDArray[np.int32]
    start: NDArray[np.int32]
    near: NDArray[np.uint16]
    firsts: NDArray[np.int32]


@cache
def grid(name: str) -> Grid:
    """The codebook of a tensor type, by upper-case name; IQ1_M shares that of IQ1_S."""
    levels = np.array(_LEVELS[name], np.float32)
    width = 8 if len(levels) == 3 else 4
    bitmap = np.frombuffer(zlib.decompress(base64.b85decode(_BITMAPS[name])), np.uint8)
    points = np.flatnonzero(np.unpackbits(bitmap))
    digits = points[:, None] // len(levels) ** np.arange(width) % len(levels)
    packed = digits if width == 8 else 2 * digits + 1
    codes = (packed << 16 // width * np.arange(width)).sum(1)
    return Grid(digits.astype(np.uint8), levels[digits], codes.astype(np.int32), _SHELLS[name])


@cache
def neighbours(name: str) -> Neighbours:
    """The codewords near every code, for the encoder of a tensor type."""
    book = grid(name)
    index = np.full(CODES, -1, np.int32)
    index[book.codes] = np.arange(len(book.codes))
    steps = np.zeros(CODES if book.shells == 1 else 0, np.int32)
    start = np.zeros((2, CODES + 1), np.int32)
    near = np.zeros((1, 1 << 20), np.uint16)
    room = np.empty((2, len(book.codes)), np.int64), np.empty((2, len(book.codes)), np.int32)
    _list_near(book.digits.T.astype(np.int32, order="C"), book.codes, index, book.shells, *room, steps, start, near)
    firsts = _first_eight(start, near[0]) if len(book.digits[0]) == 4 else np.zeros((0, 4), np.int32)
    return Neighbours(index, steps, start, near[:, : start[1, -1] + SLACK].copy(), firsts)


def _first_eight(start: NDArray[np.int32], near: NDArray[np.uint16]) -> NDArray[np.int32]:
    begin, end = start[:, 1:-1:2, None], start[:, 2::2, None]
    at = begin + np.arange(8)
    eight = near[np.where(at < end, at, begin)].reshape(CODES, 8)
    return eight.astype("<u2").view("<i4").astype(np.int32)


_INTS = array_in("int32", 1)


_LISTS = (array_out("int32", 1), array_out("int32"), array_out("uint16"))
_ROOM = (array_out("int64"), array_out("int32"))


@kernel((array_in("int32"), _INTS, _INTS, number("int64"), *_ROOM, *_LISTS))
def _list_near(
    digits: Any, codes: Any, index: Any, shells: int, longs: Any, ints: Any, single: Any, start: Any, near: Any
) -> None:
    """Fill steps, start and near of ``Neighbours`` for the codebook ``digits``, int32[width, codewords].

    ``longs`` and ``ints`` are room to work in, two rows of a number for each codeword.
    """
    width, count = digits.shape
    bits = 16 // width
    top = 2 if width == 8 else 7
    steps, kept = longs[0], longs[1]
    distance, here = ints[0], ints[1, :width]
    for j in range(count):
        steps[j] = _steps(digits[:, j], top)
    used = 0
    for row in range(2):
        for code in range(CODES):
            start[row, code] = used
            possible = True
            for i in range(width):
                digit = code >> bits * i & (1 << bits) - 1
                here[i] = digit if width == 8 else digit >> 1
                possible = possible and here[i] <= top and (width == 8 or digit & 1 == 1)
            if index[code] >= 0:
                near[0, used] = code
                used += 1
            elif possible:
                distance[:] = 0
                for i in range(width):
                    for j in range(count):
                        distance[j] += (digits[i, j] - here[i]) ** 2
                found = _shells(distance, steps, _steps(here, top), codes, shells, row == 0, kept, near[0, used:])
                if len(single):
                    single[code] = _single_steps(code, near[0, used : used + found])
                used += found
        start[row, CODES] = used


@inlined
def _steps(digits: Any, top: int) -> int:
    """The steps from zero to each digit, a bit each, so that the XOR of two points is what lies between them."""
    steps = 0
    for i in range(len(digits)):
        steps |= ((1 << digits[i]) - 1) << top * i
    return steps


@inlined
def _single_steps(code: int, near: Any) -> int:
    """The bits of ``Neighbours.steps`` for a code and its list."""
    bits = 0
    for other in near:
        for i in range(8):
            if np.int64(other) == code - (1 << 2 * i):
                bits |= 1 << 7 - i
            elif np.int64(other) == code + (1 << 2 * i):
                bits |= 1 << 8 + i
    return bits


@inlined
def _shells(distance: Any, steps: Any, origin: int, codes: Any, shells: int, prune: bool, kept: Any, out: Any) -> int:
    """Write the codes in the nearest shells, shell by shell; how many they are. ``origin``: the steps to the point."""
    used = 0
    radius = np.int32(-1)
    for _ in range(shells):
        following = np.int32(1 << 30)
        for j in range(len(codes)):
            if distance[j] > radius:
                following = min(following, distance[j])
        radius = following
        for j in range(len(codes)):
            if distance[j] == radius:
                beyond = False
                if prune:
                    for k in range(used):
                        beyond = beyond or kept[k] & ~(steps[j] ^ origin) == 0
                if not beyond:
                    out[used] = codes[j]
                    kept[used] = steps[j] ^ origin
                    used += 1
    return used
