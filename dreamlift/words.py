"""The embedded world's vocabulary, and help with spelling; grammar.py reads its sentences.

Its words for what a texture shows are in untextured.py, which takes them out of any sentence.

Words of later versions have their ids from the first day, so models grow without starting over.
"""

import difflib
import re
import zlib
from collections.abc import Sequence

from dreamlift.untextured import COLOURS, MULTICOLORED, NEUTRAL, PATTERNS, UNTEXTURED

WOVEN = PATTERNS[4:]  # can have a colour; what is in another pattern has none beside it
SIZES = ("small", "large", "tall", "fat")
VIEWS = ("front view", "left side view", "right side view", "back view", "overhead view")
NOUNS = (
    "cube", "ball", "cylinder", "cone", "ring", "pyramid", "traffic cone", "mug", "chair", "table",
    "snowman", "frog", "pumpkin", "hamburger", "hat", "santa hat", "stilts",
    "pot", "cactus", "vase", "flower", "teapot", "tree", "mushroom", "house", "car", "pig", "ghost",
    "rabbit", "backpack", "avocado", "corgi", "cat", "penguin", "fish", "chick", "snail",
    "hedgehog", "teddy bear", "yeti", "peacock", "dragon", "gingerbread man", "robot", "egg",
    "eggshell", "apple", "banana", "strawberry", "ice cream", "donut", "cake", "leaf", "lily pad",
    "palm tree", "armchair", "lamp", "book", "crown", "sunglasses", "scarf", "sweater", "umbrella",
    "sword", "shield", "bucket", "barrel", "chest", "castle tower", "lighthouse", "fountain",
    "boat", "surfboard", "rocket", "train", "truck", "bulldozer", "lawnmower", "airplane",
    "guitar", "drum", "star", "heart", "moon",
)  # fmt: skip
SYNONYMS = {
    "box": "cube", "block": "cube", "sphere": "ball", "orb": "ball", "tube": "cylinder",
    "torus": "ring", "cup": "mug", "burger": "hamburger", "cheeseburger": "hamburger",
    "toad": "frog", "christmas hat": "santa hat", "puppy": "corgi", "dog": "corgi",
    "corgi dog": "corgi", "kitten": "cat", "kitty": "cat", "bunny": "rabbit", "piglet": "pig",
    "doughnut": "donut", "teddy": "teddy bear", "stool": "table", "plane": "airplane",
    "baby bunny": "rabbit", "cottage": "house", "sofa": "armchair",
}  # fmt: skip
RELATIONS = {
    "on top of": ("on top of", "is sitting on top of", "sitting on top of", "is on top of",
                  "sitting on", "standing on", "is standing on", "resting on", "on"),
    "next to": ("next to", "is next to", "standing next to", "beside", "is beside"),
    "wearing": ("wearing", "is wearing", "that wears"),
    "on stilts": ("on stilts", "is on stilts", "standing on stilts"),
    "in the shape of": ("in the shape of", "imitating", "shaped like", "in the form of"),
    "holding": ("holding", "is holding", "that holds"),
    "eating": ("eating", "is eating", "that eats"),
    "riding": ("riding", "is riding", "riding on"),
    "in": ("in", "is in", "sitting in", "inside"),
    "with": ("with", "that has"),
    "made of": ("made of", "made out of", "is made of"),
    "left of": ("left of", "to the left of", "is left of"),
    "right of": ("right of", "to the right of", "is right of"),
    "behind": ("behind", "is behind", "standing behind"),
}  # fmt: skip
DECORATION = (
    "highly detailed", "high quality", "high detail", "3d model", "3d asset", "low poly",
    "delicious", "beautiful", "cute", "nice", "shiny", "realistic", "awesome", "detailed", "4k",
    "8k", "hd", "full body", "studio lighting", "on a plain background", "plain background",
)  # fmt: skip
MORE = ("clay", "planted")
"""Words that change nothing either, known later than those before."""
LATER = {"3d glasses": "sunglasses", "glasses": "sunglasses", "couch": "armchair",
         "aeroplane": "airplane", "automobile": "car"}  # fmt: skip
"""Synonyms that were known later than those before."""
SIZED = {"big": "large", "huge": "large", "giant": "large", "tiny": "small", "little": "small"}
"""Words for sizes that were known later."""
ELABORATE = ("elaborate",)
SIDES = {"on the left of": "left of", "on the right of": "right of"}
"""Ways to say relations that are read but never written."""
LENSES = ("left lens", "right lens")
"""Parts of sunglasses whose colour can be said: "sunglasses, left lens is red right is blue"."""
ARTICLES = ("a", "an", "the", "one", "some", "two", "pair", "of")
CONTEXT = 32
"""The longest caption, in tokens."""
VOCABULARY = 512
"""Rows of a text model's table: more than today's words, so that new ones need no new table."""
FRONTED = frozenset({
    "chair", "snowman", "frog", "mug", "pig", "rabbit", "corgi", "cat", "penguin", "fish", "chick",
    "snail", "hedgehog", "teddy bear", "yeti", "peacock", "dragon", "gingerbread man", "robot",
    "ghost", "car", "house", "armchair", "backpack", "teapot", "truck", "train", "bulldozer",
    "airplane", "boat", "guitar", "sunglasses", "sweater", "avocado", "scarf", "chest", "shield",
    "surfboard", "lawnmower",
})  # fmt: skip
"""Nouns whose front differs from their back."""
_STRANGE = {("frog", "stilts"), ("pig", "backpack"), ("ghost", "hamburger"), ("chair", "avocado"),
            ("corgi", "santa hat")}  # fmt: skip


def held(a: str, b: str) -> bool:
    """Whether canonical nouns (subject, object) are a held-out composition, never trained on."""
    return zlib.crc32(f"{a}|{b}".encode()) % 10 == 0 or (a, b) in _STRANGE


class UnknownWord(ValueError):
    """A word that the embedded world does not know."""


def _words() -> tuple[str, ...]:
    """Every word, in the order of its id; append only, ids are in shipped weights."""
    groups = (
        ("<pad>", "<null>", ","), ARTICLES, ("is", "and"), COLOURS, PATTERNS, SIZES, VIEWS, NOUNS,
        SYNONYMS, [way for ways in RELATIONS.values() for way in ways], NEUTRAL, DECORATION,
        (UNTEXTURED, "view", "side"), MORE, 
        ("glasses",), ELABORATE, MULTICOLORED, ("lens", "bottom"), LATER, SIZED,
    )  # fmt: skip
    return tuple(dict.fromkeys(w for group in groups for entry in group for w in entry.split()))


WORDS = _words()
IDS = {word: index for index, word in enumerate(WORDS)}
PAD, NULL = IDS["<pad>"], IDS["<null>"]


BRACKETS = re.compile(r"\(([^()]*)\)\s*$")
"""What stands in brackets at the end of a sentence."""


def split(text: str) -> list[str]:
    """Lower-case words and commas; hyphens become spaces, other punctuation is dropped, and so is
    what stands in brackets at the end (grammar.py reads it)."""
    text = text.lower().replace("3-d ", "3d ")
    text = re.sub(rf"[-_/]|{BRACKETS.pattern}", " ", text)
    return re.findall(r"[a-z0-9]+|,", text.replace(";", ","))


IRREGULAR = {"men": "man", "cacti": "cactus"}


def singular(word: str) -> str:
    """The known singular of a plural ("cubes", "boxes", "leaves", "men"), or the word itself."""
    if word in IDS or len(word) < 3:  # "as" is not several of "a"
        return word
    endings = (
        (word[:-1], "s"),
        (word[:-2], "es"),
        (word[:-3] + "y", "ies"),
        (word[:-3] + "f", "ves"),
    )
    for candidate, ending in endings:
        if word.endswith(ending) and candidate in IDS:
            return candidate
    return IRREGULAR.get(word, word)


def tokens(text: str) -> list[int]:
    """Word ids of a caption; the empty text is the null token. Raises UnknownWord, ValueError."""
    words = [singular(word) for word in split(text)]
    unknown = [word for word in words if word not in IDS]
    if unknown:
        raise UnknownWord(_help(unknown[0]))
    if len(words) > CONTEXT:
        raise ValueError(
            f"The prompt has {len(words)} words; the embedded prior reads {CONTEXT} at most. "
            "Shorten it, or use a prior with an open vocabulary."
        )
    return [IDS[word] for word in words] or [NULL]


def nearest(word: str, known: Sequence[str]) -> list[str]:
    """The known words most like one, three at most; where none is like it, some that are known."""
    near = difflib.get_close_matches(word, known, n=3, cutoff=0.5)
    return near or [known[0], *known[6:12]]


NUMBERS = (
    "three", "four", "five", "six", "seven", "eight", "nine", "ten", "dozen", "many", "several",
    "few", "both", "group", *map(str, range(2, 10)),
)  # fmt: skip
ABSENT = {
    **dict.fromkeys(("without", "not", "no"), "What is not said is not there"),
    **dict.fromkeys(("grey", "gray"), "Of greys there are black and white"),
    **dict.fromkeys(NUMBERS, "One of each thing is made"),
}
"""Everyday words that have no near one, and what to know of them."""


def _help(word: str) -> str:
    if word in ABSENT:
        return (
            f"The embedded world does not know the word {word!r}. {ABSENT[word]}. Leave it out; "
            "only a prior with an open vocabulary reads it."
        )
    near = nearest(word, [w for w in dict.fromkeys((*NOUNS, *SYNONYMS, *WORDS)) if len(w) > 2])
    return (
        f"The embedded world does not know the word {word!r}. Nearest: {', '.join(near)}. "
        "Use one of these; only a prior with an open vocabulary reads others."
    )


def strange(
    nouns: Sequence[str], relations: Sequence[str], patterns: Sequence[str]
) -> frozenset[str]:
    """The words of all that a model may know, without those of what it does know."""
    synonyms = {**SYNONYMS, **LATER}
    ways = [way for relation in relations for way in RELATIONS[relation]]
    known = [*nouns, *(s for s, n in synonyms.items() if n in nouns), *ways, *patterns]
    known += [*ARTICLES, *VIEWS, *NEUTRAL, *DECORATION]
    if "rainbow" in patterns:
        known += MULTICOLORED
    every = [*NOUNS, *synonyms, *PATTERNS, *MULTICOLORED]
    every += [way for ways in RELATIONS.values() for way in ways]
    return frozenset(" ".join(every).split()) - frozenset(" ".join(known).split())


def a(words: str) -> str:
    """Words with their article."""
    return ("an " if words[0] in "aeiou" else "a ") + words


def hint(word: str) -> str:
    """What to say instead of a word that does not fit."""
    if word == "front":
        return " Say what is behind what: 'a cat behind a dog'."
    holding = [noun for noun in NOUNS if word in noun.split()]
    return f" There is: {', '.join(holding)}." if holding else ""
