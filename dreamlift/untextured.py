"""Sentences for pictures that show no texture, and the words that they do without.

The order of these words is in shipped weights (words.py).
"""

import re
from string import punctuation

COLOURS = (
    "red", "orange", "yellow", "green", "blue", "purple", "pink", "brown", "black", "white",
)  # fmt: skip
PATTERNS = ("rainbow", "wooden", "stone", "golden", "striped", "spotted", "checkered")
MULTICOLORED = ("multicolored", "multicoloured")
"""Of many colours: a rainbow's."""
NEUTRAL = (
    "a dslr photo of", "a photo of", "a picture of", "an image of", "a 3d model of",
    "a 3d render of", "a render of", "a zoomed out dslr photo of", "a zoomed out photo of",
    "a wide angle dslr photo of", "a close up photo of", "a high quality photo of", "dslr photo of",
)  # fmt: skip
UNTEXTURED = "untextured"

_NAMED = f"(?:{'|'.join(COLOURS)})"
_LENS = rf"[,.]? *\b(?:left|right) lens (?:is )?{_NAMED}"
_OTHER = rf",? (?:and )?(?:left|right) (?:lens )?(?:is )?{_NAMED}"
_ENDS = rf"[,.]? *\b{_NAMED} on (?:top|bottom)\b(?! of)"
_PAINT = "|".join((*PATTERNS, *MULTICOLORED))
_GOES_ON = r"on|in|inside|next|beside|behind|with|wearing|holding|eating|riding|to|left|right"
_MADE = (  # "made of stone", and not "of striped, red flowers"
    rf",? *\b(?:is )?(?:made (?:out )?)?of (?:{_PAINT})\b"
    rf"(?!(?:,? +(?:{_NAMED}|{_PAINT}|small|large|tall|fat)\b)* +(?!(?:{_GOES_ON})\b)[a-z])"
)
_CLAUSES = re.compile(rf"{_LENS}(?:{_OTHER})?\b|{_ENDS}|{_MADE}", re.IGNORECASE)
"""Clauses that say nothing but a colour, or a material."""


def untextured(text: str) -> str:
    """The sentence for a picture without colours: no colour words, and said to be untextured.

    Any sentence will do, known words or not; phrases such as "a photo of" are dropped.
    """
    said = _CLAUSES.sub("", text.strip())
    for opening in NEUTRAL:
        if said.lower().startswith(opening + " "):
            said = said[len(opening) + 1 :]
    kept = [word for word in map(_bare, said.split()) if word]
    if kept and kept[0].lower() in ("a", "an", "the"):
        kept = kept[1:]
    return " ".join(["an", UNTEXTURED, *kept])


def _bare(word: str) -> str:
    """A word, or what is left of it ("red-haired") without colours and patterns."""
    parts = re.split("([-/])", word)
    of_colours = (*COLOURS, *PATTERNS, *MULTICOLORED)
    kept = [part for part in parts[::2] if part.lower().strip(punctuation) not in of_colours]
    return word if len(kept) == len(parts[::2]) else " ".join(kept)
