"""The embedded world's vocabulary, its grammar, and help with spelling.

A caption names a subject and at most three more things, each bound to an earlier one by a relation:

    a small red cube is sitting on top of a large blue cube, left side view
    a chair in the shape of an avocado
    a dog wearing a red hat, blue scarf

`parse` reads a sentence into a `Graph` (what is meant); `phrases.phrase` writes one.
Words of later versions have their ids from the first day, so models grow without starting over.
"""

import difflib
import re
import zlib
from collections.abc import Sequence
from dataclasses import dataclass

COLOURS = (
    "red", "orange", "yellow", "green", "blue", "purple", "pink", "brown", "black", "white",
)  # fmt: skip
PATTERNS = ("rainbow", "wooden", "stone", "golden", "striped", "spotted", "checkered")
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
NEUTRAL = (
    "a dslr photo of", "a photo of", "a picture of", "an image of", "a 3d model of",
    "a 3d render of", "a render of", "a zoomed out dslr photo of", "a zoomed out photo of",
    "a wide angle dslr photo of", "a close up photo of", "a high quality photo of", "dslr photo of",
)  # fmt: skip
DECORATION = (
    "highly detailed", "high quality", "high detail", "3d model", "3d asset", "low poly",
    "delicious", "beautiful", "cute", "nice", "shiny", "realistic", "awesome", "detailed", "4k",
    "8k", "hd", "full body", "studio lighting", "on a plain background", "plain background",
)  # fmt: skip
MORE = ("clay", "planted")
"""Words that change nothing either, known later than all others."""
ARTICLES = ("a", "an", "the", "one", "some", "two", "pair", "of")
UNTEXTURED = "untextured"
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


@dataclass(frozen=True)
class Thing:
    """A noun and what is said of it; None: nothing is said."""

    noun: str
    colour: str | None = None
    size: str | None = None
    pattern: str | None = None


@dataclass(frozen=True)
class Link:
    """things[subject] `relation` things[object]."""

    relation: str
    subject: int
    object: int


@dataclass(frozen=True)
class Graph:
    """What a caption means; things[0] is its subject. "on stilts" links to a thing "stilts"."""

    things: tuple[Thing, ...]
    links: tuple[Link, ...] = ()
    view: str | None = None
    untextured: bool = False

    @property
    def subject(self) -> Thing:
        return self.things[0]


class UnknownWord(ValueError):
    """A word that the embedded world does not know."""


def _words() -> tuple[str, ...]:
    """Every word, in the order of its id; append only, ids are in shipped weights."""
    groups = (
        ("<pad>", "<null>", ","), ARTICLES, ("is", "and"), COLOURS, PATTERNS, SIZES, VIEWS, NOUNS,
        SYNONYMS, [way for ways in RELATIONS.values() for way in ways], NEUTRAL, DECORATION,
        (UNTEXTURED, "view", "side"), MORE,
    )  # fmt: skip
    return tuple(dict.fromkeys(w for group in groups for entry in group for w in entry.split()))


WORDS = _words()
IDS = {word: index for index, word in enumerate(WORDS)}
PAD, NULL = IDS["<pad>"], IDS["<null>"]


def split(text: str) -> list[str]:
    """Lower-case words and commas; hyphens become spaces, other punctuation is dropped."""
    text = re.sub(r"[-_/]", " ", text.lower())
    return re.findall(r"[a-z0-9]+|,", text.replace(";", ","))


def _singular(word: str) -> str:
    """The known singular of a plural ("cubes", "boxes", "cherries"), or the word itself."""
    if word in IDS:
        return word
    endings = ((word[:-1], "s"), (word[:-2], "es"), (word[:-3] + "y", "ies"))
    for candidate, ending in endings:
        if word.endswith(ending) and candidate in IDS:
            return candidate
    return word


def tokens(text: str) -> list[int]:
    """Word ids of a caption; the empty text is the null token. Raises UnknownWord, ValueError."""
    words = [_singular(word) for word in split(text)]
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


def _help(word: str) -> str:
    near = nearest(word, [w for w in dict.fromkeys((*NOUNS, *SYNONYMS, *WORDS)) if len(w) > 2])
    return (
        f"The embedded prior does not know the word {word!r}. Nearest: {', '.join(near)}. "
        "Use one of these, or a prior with an open vocabulary."
    )


def _matcher(table: dict[str, str]) -> list[tuple[list[str], str]]:
    rows = [(split(surface), meaning) for surface, meaning in table.items()]
    return sorted(rows, key=lambda row: -len(row[0]))


_NOUNS = _matcher({**{n: n for n in NOUNS}, **SYNONYMS})
_RELATIONS = _matcher({way: name for name, ways in RELATIONS.items() for way in ways})
_VIEWS = _matcher({v: v for v in VIEWS} | {"top view": "overhead view"})
_SKIP = _matcher({n: "" for n in NEUTRAL + DECORATION + MORE} | {"highly detailed 3d model": ""})


def _take(words: list[str], at: int, table: list[tuple[list[str], str]]) -> tuple[str, int] | None:
    """The longest entry of a table that starts at `at`: (meaning, its length)."""
    for surface, meaning in table:
        if words[at : at + len(surface)] == surface:
            return meaning, len(surface)
    return None


@dataclass
class _Reader:
    """The state of reading one caption from left to right."""

    words: list[str]
    owner: list[int]  # which thing each word describes; -1: none
    things: list[Thing]
    links: list[Link]
    said: dict[str, str]  # adjectives that wait for their noun
    waiting: list[int]  # where they stand
    relation: str | None = None
    subject: int = 0
    view: str | None = None
    untextured: bool = False

    def relate(self, relation: str, at: int, length: int) -> None:
        if not self.things or self.said or self.relation:
            before = " ".join(self.words[at : at + length])
            raise ValueError(f"A noun is missing before {before!r}.")
        self.relation, self.subject = relation, len(self.things) - 1
        if relation == "on stilts":
            self.add("stilts", at + length - 1, 1)

    def add(self, noun: str, at: int, length: int) -> None:
        if self.things and self.relation is None:
            if not self.links:
                raise ValueError(
                    f"How do {self.things[0].noun!r} and {noun!r} belong together? Say it with a "
                    "relation: on top of, next to, wearing, in the shape of."
                )
            self.relation, self.subject = self.links[-1].relation, self.links[-1].subject
        if self.relation is not None:
            relation = "on stilts" if noun == "stilts" else self.relation
            self.links.append(Link(relation, self.subject, len(self.things)))
        for place in [*self.waiting, *range(at, at + length)]:
            self.owner[place] = len(self.things)
        self.things.append(Thing(noun, **self.said))
        self.said, self.waiting, self.relation = {}, [], None

    def describe(self, word: str, at: int) -> None:
        slot = "colour" if word in COLOURS else "size" if word in SIZES else "pattern"
        self.said[slot] = word
        self.waiting.append(at)

    def take(self, at: int) -> int:
        """Read what starts at word `at`; how many words it was."""
        word = self.words[at]
        if found := _take(self.words, at, _RELATIONS):
            self.relate(found[0], at, found[1])
        elif word == "of" and self.owner[at - 1] >= 0:  # a vase of flowers
            self.relate("with", at, 1)
        elif found := _take(self.words, at, _VIEWS):
            self.view = found[0]
        elif found := _take(self.words, at, _NOUNS):
            self.add(found[0], at, found[1])
        elif found := _take(self.words, at, _SKIP):
            pass
        elif word in COLOURS + SIZES + PATTERNS:
            self.describe(word, at)
        elif word == UNTEXTURED:
            self.untextured = True
        elif word not in (*ARTICLES, "is", "and", ","):
            raise ValueError(f"{word!r} does not fit here: {' '.join(self.words)!r}.")
        return found[1] if found else 1


def _read(text: str) -> _Reader:
    tokens(text)
    words = [_singular(word) for word in split(text)]
    reader = _Reader(words, [-1] * len(words), [], [], {}, [])
    at = 0
    while at < len(words):
        at += reader.take(at)
    if not reader.things or reader.said or reader.relation:
        raise ValueError(
            f"The caption {text!r} needs a noun{' at its end' if reader.things else ''}, for "
            "example 'a red cube on top of a blue ball'."
        )
    if len(reader.things) > 4:
        raise ValueError(f"The caption names {len(reader.things)} things; 4 is the most.")
    return reader


def parse(text: str) -> Graph:
    """What a caption means. Raises UnknownWord or ValueError for what it cannot read."""
    reader = _read(text)
    return Graph(tuple(reader.things), tuple(reader.links), reader.view, reader.untextured)


def owners(text: str) -> list[int]:
    """For each token of a caption, the index of the thing it names or describes; -1: neither."""
    return _read(text).owner


def untextured(text: str) -> str:
    """The sentence for a picture without colours: no colour words, and said to be untextured.

    Any sentence will do, known words or not; phrases such as "a photo of" are dropped.
    """
    said = text.strip()
    for opening in NEUTRAL:
        if said.lower().startswith(opening + " "):
            said = said[len(opening) + 1 :]
    kept = [w for w in said.split() if w.lower().strip(",") not in (*COLOURS, *PATTERNS)]
    if kept and kept[0].lower() in ("a", "an", "the"):
        kept = kept[1:]
    return " ".join(["an", UNTEXTURED, *kept])
