"""A megabyte of text in ten scripts, grown from one sentence in each: the first article of the Universal Declaration.

The words come in shuffled order, with numbers, punctuation, capitals and white space of every kind between them.
"""

from __future__ import annotations

import random

from tests.files import real_files

SEEDS = {
    "latin": "Alle Menschen sind frei und gleich an Würde und Rechten geboren. Tous les êtres humains naissent libres"
    " et égaux en dignité et en droits. Wszyscy ludzie rodzą się wolni i równi. I've told you they're endowed with"
    " reason; it's we'll, he'd and DON'T that matter. Bütün insanlar hür, haysiyet ve haklar bakımından eşit doğarlar.",
    "greek": "Όλοι οι άνθρωποι γεννιούνται ελεύθεροι και ίσοι στην αξιοπρέπεια και τα δικαιώματα. Είναι προικισμένοι"
    " με λογική και συνείδηση.",
    "cyrillic": "Все люди рождаются свободными и равными в своём достоинстве и правах. Они наделены разумом и совестью"
    " и должны поступать в отношении друг друга в духе братства.",
    "hebrew": "כל בני האדם נולדו בני חורין ושווים בערכם ובזכויותיהם. כולם חוננו בתבונה ובמצפון.",
    "arabic": "يولد جميع الناس أحرارًا متساوين في الكرامة والحقوق. وقد وهبوا عقلاً وضميرًا وعليهم أن يعامل بعضهم بعضًا"
    " بروح الإخاء.",
    "devanagari": "सभी मनुष्यों को गौरव और अधिकारों के मामले में जन्मजात स्वतन्त्रता और समानता प्राप्त है। उन्हें"
    " बुद्धि और अन्तरात्मा की देन प्राप्त है।",
    "thai": "มนุษย์ทั้งหลายเกิดมามีอิสระและเสมอภาคกันในเกียรติศักดิ์และสิทธิ ต่างมีเหตุผลและมโนธรรม",
    "han": "人人生而自由，在尊严和权利上一律平等。他们赋有理性和良心，并应以兄弟关系的精神相对待。",
    "japanese": "すべての人間は、生まれながらにして自由であり、かつ、尊厳と権利とについて平等である。カタカナも使う。",
    "hangul": "모든 인간은 태어날 때부터 자유로우며 그 존엄과 권리에 있어 동등하다. 인간은 천부적으로 이성과 양심을"
    " 부여받았으며 서로 형제애의 정신으로 행동하여야 한다.",
}
BETWEEN = (
    " ",
    " ",
    " ",
    " ",
    "  ",
    "\n",
    "\n\n",
    "\t",
    ", ",
    ". ",
    "! ",
    "?\n",
    " — ",
    "...",
    "/",
    "-",
    "_",
    "(",
    ") ",
    "",
)
EXTRAS = (
    "1",
    "23",
    "456",
    "7890",
    "12345",
    "3.14",
    "2024-01-31",
    "²",
    "½",
    "٣٤",
    "१२",
    "€",
    "🦙",
    "👩‍💻",
    "x=y+1;",
    "</b>",
    "\u00a0",
)


def text(script: str, size: int = 100_000) -> str:
    """``size`` bytes of UTF-8, or a few more, in a script."""
    rng = random.Random(f"kquants {script}")
    words = SEEDS[script].split()
    made: list[str] = []
    length = 0
    while length < size:
        word = rng.choice(words) if rng.random() < 0.9 else rng.choice(EXTRAS)
        if rng.random() < 0.05:
            word = word.upper() if rng.random() < 0.5 else word.capitalize()
        if rng.random() < 0.05:
            cut = rng.randrange(len(word) + 1)
            word = word[:cut] + rng.choice(words)[:3] + word[cut:]
        piece = word + rng.choice(BETWEEN)
        made.append(piece)
        length += len(piece.encode())
    return "".join(made)


def texts(script: str, pieces: int = 40) -> list[str]:
    """The text of a script, cut into pieces."""
    whole = text(script)
    step = -(-len(whole) // pieces)
    return [whole[at : at + step] for at in range(0, len(whole), step)]


def strings(name: str) -> list[str]:
    """llama.cpp's test strings for one of its vocabularies; none before they are fetched."""
    return [
        text
        for path in real_files(f"ggml-vocab-{name}.gguf.inp")
        for text in path.read_text("utf-8").split("\n__ggml_vocab_test__\n")
    ]
