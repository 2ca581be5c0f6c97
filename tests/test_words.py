"""The grammar of the embedded world: what captions mean, and what is said of others."""

import random
import re
import zlib

import pytest

from dreamlift.grammar import late, owners, parse
from dreamlift.graph import Graph, Link, Thing
from dreamlift.phrases import colourless, phrase
from dreamlift.priors.seen import plainly
from dreamlift.toybox.captions import picture_graph, text_graph
from dreamlift.toybox.patterns import PATTERNS as INKS
from dreamlift.toybox.wide import wide_coloured, wide_graph
from dreamlift.untextured import untextured
from dreamlift.words import (
    COLOURS,
    CONTEXT,
    FRONTED,
    IDS,
    NOUNS,
    NULL,
    PAD,
    PATTERNS,
    RELATIONS,
    SYNONYMS,
    VOCABULARY,
    WORDS,
    WOVEN,
    UnknownWord,
    held,
    nearest,
    split,
    strange,
    tokens,
)

RED_CUBE = Thing("cube", "red")
MEANINGS = {
    "a red cube": Graph((RED_CUBE,)),
    "A Red CUBE!": Graph((RED_CUBE,)),
    "red cubes": Graph((RED_CUBE,)),
    "some red boxes": Graph((RED_CUBE,)),
    "a big red box": Graph((Thing("cube", "red", "large"),)),
    "a tiny couch": Graph((Thing("armchair", None, "small"),)),
    "two red stilts": Graph((Thing("stilts", "red"),)),
    "a corgi puppy": Graph((Thing("corgi"),)),
    "a ball next to a kitty cat": Graph((Thing("ball"), Thing("cat")), (Link("next to", 0, 1),)),
    "a frog is riding a pig and eating a banana": Graph(
        (Thing("frog"), Thing("pig"), Thing("banana")),
        (Link("riding", 0, 1), Link("eating", 0, 2)),
    ),
    "a frog riding a pig, holding a sword": Graph(
        (Thing("frog"), Thing("pig"), Thing("sword")),
        (Link("riding", 0, 1), Link("holding", 0, 2)),
    ),
    "a red cube to the right of a blue ball and to the left of a green cone": Graph(
        (RED_CUBE, Thing("ball", "blue"), Thing("cone", "green")),
        (Link("right of", 0, 1), Link("left of", 0, 2)),
    ),
    "a small rainbow ball": Graph((Thing("ball", None, "small", "rainbow"),)),
    "a red striped mug": Graph((Thing("mug", "red", None, "striped"),)),
    "a striped red mug": Graph((Thing("mug", "red", None, "striped"),)),
    "a spotted large blue ball on a golden cube": Graph(
        (Thing("ball", "blue", "large", "spotted"), Thing("cube", None, None, "golden")),
        (Link("on top of", 0, 1),),
    ),
    "a small red cube is sitting on top of a large blue cube": Graph(
        (Thing("cube", "red", "small"), Thing("cube", "blue", "large")), (Link("on top of", 0, 1),)
    ),
    "a dog wearing a red hat, blue scarf": Graph(
        (Thing("corgi"), Thing("hat", "red"), Thing("scarf", "blue")),
        (Link("wearing", 0, 1), Link("wearing", 0, 2)),
    ),
    "a dog wearing a red hat and a blue scarf": Graph(
        (Thing("corgi"), Thing("hat", "red"), Thing("scarf", "blue")),
        (Link("wearing", 0, 1), Link("wearing", 0, 2)),
    ),
    "a frog on stilts": Graph((Thing("frog"), Thing("stilts")), (Link("on stilts", 0, 1),)),
    "a frog on blue stilts": Graph(
        (Thing("frog"), Thing("stilts", "blue")), (Link("on stilts", 0, 1),)
    ),
    "a chair in the shape of an avocado": Graph(
        (Thing("chair"), Thing("avocado")), (Link("in the shape of", 0, 1),)
    ),
    "an armchair imitating an avocado": Graph(
        (Thing("armchair"), Thing("avocado")), (Link("in the shape of", 0, 1),)
    ),
    "a frog on a cube on a ball": Graph(
        (Thing("frog"), Thing("cube"), Thing("ball")),
        (Link("on top of", 0, 1), Link("on top of", 1, 2)),
    ),
    "a DSLR photo of a delicious hamburger": Graph((Thing("hamburger"),)),
    "a photo of a traffic cone, highly detailed": Graph((Thing("traffic cone"),)),
    "an untextured mug next to a ball, left side view": Graph(
        (Thing("mug"), Thing("ball")), (Link("next to", 0, 1),), "left side view", True
    ),
    "a snowman, top view": Graph((Thing("snowman"),), (), "overhead view"),
    "a santa hat on a hat": Graph((Thing("santa hat"), Thing("hat")), (Link("on top of", 0, 1),)),
    "a teddy": Graph((Thing("teddy bear"),)),
    "a vase of purple flowers": Graph(
        (Thing("vase"), Thing("flower", "purple")), (Link("with", 0, 1),)
    ),
    "a cat wearing a pair of sunglasses": Graph(
        (Thing("cat"), Thing("sunglasses")), (Link("wearing", 0, 1),)
    ),
    "an avocado chair (a chair imitating an avocado)": Graph(
        (Thing("chair"), Thing("avocado")), (Link("in the shape of", 0, 1),)
    ),
    "a red mug hat next to a ball": Graph(
        (Thing("hat"), Thing("mug", "red"), Thing("ball")),
        (Link("in the shape of", 0, 1), Link("next to", 1, 2)),
    ),
    "a multicolored rainbow pumpkin": Graph((Thing("pumpkin", pattern="rainbow"),)),
    "an elaborate fountain": Graph((Thing("fountain"),)),
    "a small cube is sitting on top of a large ball. red on top, blue on bottom": Graph(
        (Thing("cube", "red", "small"), Thing("ball", "blue", "large")),
        (Link("on top of", 0, 1),),
    ),
    "a pair of 3d glasses, left lens is red right is blue": Graph(
        (Thing("sunglasses", lenses=("red", "blue")),)
    ),
    "a cat wearing yellow glasses, right lens is green, left side view": Graph(
        (Thing("cat"), Thing("sunglasses", "yellow", lenses=(None, "green"))),
        (Link("wearing", 0, 1),),
        "left side view",
    ),
    "a cactus planted in a clay pot": Graph((Thing("cactus"), Thing("pot")), (Link("in", 0, 1),)),
}


SAID_OTHERWISE = {
    "a frog, red": "a red frog",
    "hat red": "a red hat",
    "the frog is red": "a red frog",
    "a frog that is red": "a red frog",
    "a pumpkin, multicolored": "a rainbow pumpkin",
    "a red ball, small, striped": "a small red striped ball",
    "a chair made of stone": "a stone chair",
    "a house of stone": "a stone house",
    "a house made of stone on top of a cube": "a stone house on top of a cube",
    "a frog that is on a cube": "a frog on top of a cube",
    "a cat that is holding a fish": "a cat holding a fish",
    "photo of a frog": "a frog",
    "3d render of a frog": "a frog",
    "a dog on the left of a cat": "a dog left of a cat",
    "green leaves": "a green leaf",
    "gingerbread men": "a gingerbread man",
    "a red avocado chair": "a chair in the shape of a red avocado",
    "a golden car made of a pumpkin": "a car made of a golden pumpkin",
    "a red cat in front of a tree": "a tree behind a red cat",
    "a cat wearing a red hat in front of a tree": "a tree behind a cat wearing a red hat",
    "a red cat in front of a tree on a ball": "a tree behind a red cat, on top of a ball",
    "a cat in front of a tree, holding a red mug": "a tree behind a cat holding a red mug",
    "a cube on a red ball in front of a cat holding a mug": (
        "a cat holding a mug, behind a cube on top of a red ball"
    ),
    "an avocado chair in front of a stone house": (
        "a stone house behind a chair in the shape of an avocado"
    ),
}


AS_TAUGHT = ("green leaves", "gingerbread men")
"""Plurals are single words to models."""


@pytest.mark.parametrize("text", SAID_OTHERWISE)
def test_what_is_said_otherwise_means_the_same_and_is_told_to_models_plainly(text: str) -> None:
    plain = SAID_OTHERWISE[text]
    assert parse(text) == parse(plain)
    assert plainly(text) == (text if text in AS_TAUGHT else phrase(parse(plain)))
    assert parse(untextured(text)) == colourless(parse(plain)), "for pictures without a texture"
    assert not late(phrase(parse(text)))
    named = {w for w, i in zip(split(text), owners(text), strict=True) if i >= 0}
    assert {"red", "stone", "golden"} & set(split(text)) <= named


def test_a_list_of_adjectives_goes_before_its_noun() -> None:
    flower = parse("a vase of striped, red flowers").things[1]
    assert flower == Thing("flower", "red", pattern="striped")
    assert plainly("red") == "red" and not late("front view"), "no captions: as they are"


def test_a_sentence_that_says_who_says_it_again() -> None:
    for text in ("a frog wearing a hat, on stilts", "a ball in a mug, behind a cube",
                 "a corgi wearing a blue hat, holding an ice cream"):  # fmt: skip
        assert phrase(parse(text)) == text
    with pytest.raises(ValueError, match="'next to' of 'frog' cannot be said"):
        things = (Thing("frog"), Thing("hat"), Thing("brim"), Thing("cube"))
        links = (Link("wearing", 0, 1), Link("with", 1, 2), Link("next to", 0, 3))
        phrase(Graph(things, links))


@pytest.mark.parametrize("text", MEANINGS)
def test_a_caption_means_what_it_says(text: str) -> None:
    assert parse(text) == MEANINGS[text]


MISTAKES = {
    "": "needs a noun",
    "a red": "needs a noun",
    "a red cube on top of": "needs a noun at its end",
    "on top of a cube": "noun is missing before 'on top of'",
    "a red wearing a hat": "noun is missing before 'wearing'",
    "a cube a ball": "How do 'cube' and 'ball' belong together",
    "a frog on a pumpkin hat": "How do 'pumpkin' and 'hat' belong together",
    "a frog next to an avocado chair": "How do 'avocado' and 'chair' belong together",
    "a frog on a cube as a ball": "does not know the word 'as'",
    "a cube side": "'side' does not fit here",
    "a castle": "'castle' does not fit here: 'a castle'. There is: castle tower.",
    "a front of a cat": "Say what is behind what: 'a cat behind a dog'",
    "in front of a cat": "noun is missing before 'in front of'",
    "a cat in front of": "needs a noun at its end",
    "a cat in front of a tree, house": "What is in front of what.*tree behind ... cat",
    "a cat in front of a pig in front of a tree": "What is in front of what",
    "a cat with a hat in front of a pig on a ball on a cube": "5 things",
    "a cat on a mug in front of a ball, a cone": "What is in front of what",
    "a frog on a mug, orange": "Say it before its noun, as in 'an orange mug'",
    "a red frog, blue": "One thing is said to be red and blue",
    "two apples": "Say 'an apple', or name each one: 'an apple next to an apple'",
    "two pairs of sunglasses": "'two pairs': one of each thing is made",
    "2 cats": "One of each thing is made",
    "a cube on top of a ball and a cone on top of a ring": "How do 'cube' and 'cone' belong",
    "a frog wearing a hat and a pig wearing a scarf": "How do 'frog' and 'pig' belong together",
    "a red cube on a ball, blue on top": "cube at the top is red, and then it is blue",
    "a red cube, blue on top": "noun is missing before 'on'",
    "a cat, left lens is red": "'left' does not fit here",
    "a hat on a cube on a ball on a ring on a mug": "5 things; 4 is the most",
}


@pytest.mark.parametrize("text", MISTAKES)
def test_what_cannot_be_read_is_explained(text: str) -> None:
    with pytest.raises(ValueError, match=MISTAKES[text]):
        parse(text)


def test_an_unknown_word_is_answered_with_the_nearest_known_ones() -> None:
    with pytest.raises(UnknownWord, match=r"'hamburgre'.*Nearest: hamburger"):
        parse("a hamburgre")
    with pytest.raises(UnknownWord, match=r"'unicorn'.*open vocabulary"):
        tokens("a unicorn on a cube")
    assert nearest("pyramyd", NOUNS)[0] == "pyramid"
    assert nearest("xyzzy", NOUNS)


def test_only_who_stands_on_stilts_is_on_them() -> None:
    for said in ("on", "with", "on top of", "wearing red"):
        assert parse(f"a frog {said} stilts").links == (Link("on stilts", 0, 1),)
    for relation in ("next to", "behind", "holding"):
        assert parse(f"a frog {relation} stilts").links == (Link(relation, 0, 1),)


def test_an_over_long_prompt_is_refused_with_its_length() -> None:
    with pytest.raises(ValueError, match=f"{CONTEXT + 1} words.*{CONTEXT} at most"):
        tokens("red " * (CONTEXT + 1))
    assert len(tokens("red " * CONTEXT)) == CONTEXT


def test_the_empty_text_is_the_null_token_and_padding_is_none() -> None:
    assert tokens("") == [NULL] and NULL != PAD == 0


def test_word_ids_are_what_shipped_weights_were_trained_on() -> None:
    """Append only: an id that moves makes every shipped model read other words."""
    assert (IDS["<pad>"], IDS["<null>"], IDS[","], IDS["a"]) == (0, 1, 2, 3)
    assert [IDS[c] for c in COLOURS] == list(range(13, 23))
    assert (IDS["cube"], IDS["stilts"], IDS["moon"]) == (41, 57, 129)
    assert zlib.crc32(" ".join(WORDS[:218]).encode()) == 20181786
    assert WORDS[218:220] == ("clay", "planted")
    assert WORDS[220:] == (
        "glasses", "elaborate", "multicolored", "multicoloured", "lens", "bottom",
        "couch", "aeroplane", "automobile", "big", "huge", "giant", "tiny", "little",
    )  # fmt: skip
    assert len(WORDS) == len(set(WORDS)) <= VOCABULARY


def test_plurals_hyphens_and_punctuation_are_read() -> None:
    assert split("Red-Cube; (blue)!") == ["red", "cube", ",", "blue"]
    assert tokens("red cubes") == tokens("red cube")
    assert parse("red-striped balls") == Graph((Thing("ball", "red", pattern="striped"),))


def test_synonyms_name_known_nouns() -> None:
    assert set(SYNONYMS.values()) <= set(NOUNS) and not set(SYNONYMS) & set(NOUNS)
    assert set(NOUNS) >= FRONTED


def test_each_word_belongs_to_the_thing_it_describes() -> None:
    text = "a small red cube is on top of a large blue ball, front view"
    assert owners(text) == [-1, 0, 0, 0, -1, -1, -1, -1, -1, 1, 1, 1, -1, -1, -1]
    assert owners("a frog on blue stilts") == [-1, 0, -1, 1, 1]
    assert owners("a traffic cone") == [-1, 0, 0]


def test_held_out_compositions_are_those_of_the_design() -> None:
    for pair in (("frog", "stilts"), ("pig", "backpack"), ("ghost", "hamburger")):
        assert held(*pair)
    assert held("chair", "avocado") and held("corgi", "santa hat")
    assert held("ball", "mug") and not held("mug", "ball")
    share = sum(held(a, b) for a in NOUNS for b in NOUNS) / len(NOUNS) ** 2
    assert 0.08 < share < 0.12


def whole_graph(rng: random.Random) -> Graph:
    return wide_coloured(wide_graph(rng), rng)


@pytest.mark.seconds
def test_saying_and_reading_a_graph_gives_it_back() -> None:
    rng = random.Random(5)
    for i in range(1000):
        graph = (picture_graph, text_graph, whole_graph)[i % 3](rng)
        assert parse(phrase(graph)) == graph
        worded = phrase(graph, rng)
        if len(split(worded)) <= CONTEXT:
            assert parse(worded) == graph, worded


def test_every_way_to_say_a_relation_means_it() -> None:
    for relation, ways in RELATIONS.items():
        for way in ways:
            text = f"a cube {way}" + ("" if relation == "on stilts" else " a ball")
            assert parse(text).links == (Link(relation, 0, 1),), text


def test_an_untextured_caption_says_no_colour() -> None:
    graph = colourless(parse("a small red cube on top of a rainbow ball"))
    assert phrase(graph) == "an untextured small cube on top of a ball"
    assert parse(phrase(graph)) == graph
    said = untextured("a photo of a red dragon with a striped tail")
    assert said == "an untextured dragon with a tail"
    lenses = untextured("a pair of 3d glasses, left lens is red right is blue")
    assert lenses == "an untextured pair of 3d glasses"
    stacked = "a small red cube on a large blue cube. red on top, blue on bottom"
    assert untextured(stacked) == "an untextured small cube on a large cube"
    for said in ("a red-striped mug", "a (red) mug", "a red/blue mug", "a multicolored, mug"):
        assert untextured(said) == "an untextured mug"
    assert untextured("a red-eyed x-ray machine") == "an untextured eyed x-ray machine"
    assert untextured("a red cone on top of a blue ball") == "an untextured cone on top of a ball"


def test_woven_patterns_are_those_that_have_no_paint_of_their_own() -> None:
    """A rainbow has all of them."""
    own = {name for name, pattern in INKS.items() if pattern.own(random.Random(0)) is not None}
    assert set(WOVEN) == {*PATTERNS} - own - {"rainbow"}


def test_words_of_what_a_model_never_saw_are_strange() -> None:
    words = strange(("cube", "corgi", "santa hat"), ("on top of", "in the shape of"), ("rainbow",))
    assert {"wooden", "holding", "moon", "traffic", "kitten"} <= words
    known = "a cute puppy in the shape of red multicoloured santa hat left side view".split()
    assert not words & set(known)
    assert not strange(NOUNS, tuple(RELATIONS), PATTERNS)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a black and white cat", "black and white; it can have one colour"),
        ("a red blue ball", "red and blue; it can have one colour"),
        ("a tall, fat snowman", "tall and fat; it can have one size"),
        ("a big tiny cube", "large and small; it can have one size"),
        ("a striped spotted ball", "striped and spotted; it can have one pattern"),
        ("two cats", "'two': one of each thing is made. Say 'a cat', or name each one"),
        ("a pair of cats", "'pair': one of each"),
        ("a mug on two red balls", "'two': one of each thing is made. Say 'a ball'"),
        ("a frog's hat", '"frog\'s": whose a thing is cannot be read'),
        ("a red cube (on top of a blue ball)", "'on top of a blue ball', would not be read"),
        ("a red cube (not blue)", "'not blue', would not be read"),
        ("a red cube (a blue cube)", "'a blue cube', would not be read"),
    ],
)
def test_what_would_be_read_wrong_is_refused(text: str, said: str):
    with pytest.raises(ValueError, match=re.escape(said)):
        parse(text)


def test_brackets_may_say_it_again():
    assert parse("an avocado chair (a chair imitating an avocado)") == parse("an avocado chair")


def test_words_that_came_late_are_said_plainly():
    assert plainly("a big red couch") == "a large red armchair"
    assert plainly("A red cube on a ball") == "A red cube on a ball"


def test_words_without_a_near_one_are_explained():
    for text, said in (
        ("a frog without a hat", "What is not said is not there. Leave it out"),
        ("a grey cube", "Of greys there are black and white"),
        ("three cubes", "One of each thing is made"),
    ):
        with pytest.raises(UnknownWord, match=said):
            parse(text)
