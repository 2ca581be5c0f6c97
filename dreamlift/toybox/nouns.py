"""The nouns that this version can draw, each with its function."""

import random
from collections.abc import Callable, Mapping

from dreamlift.toybox import objects_living as living
from dreamlift.toybox import objects_made as made
from dreamlift.toybox import objects_plain as plain
from dreamlift.toybox.objects import Toy

TOYS: Mapping[str, Callable[[random.Random], Toy]] = {
    "cube": plain.a_cube,
    "ball": plain.a_ball,
    "cylinder": plain.a_cylinder,
    "cone": plain.a_cone,
    "ring": plain.a_ring,
    "pyramid": plain.a_pyramid,
    "traffic cone": made.a_traffic_cone,
    "mug": made.a_mug,
    "chair": made.a_chair,
    "table": made.a_table,
    "snowman": living.a_snowman,
    "frog": living.a_frog,
    "pumpkin": living.a_pumpkin,
    "hamburger": made.a_hamburger,
    "hat": made.a_hat,
    "santa hat": made.a_santa_hat,
    "stilts": made.some_stilts,
}
