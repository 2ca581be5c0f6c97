"""Every noun of the embedded world, each with its function."""

import random
from collections.abc import Callable, Mapping

from dreamlift.toybox import objects_animals as animals
from dreamlift.toybox import objects_folk as folk
from dreamlift.toybox import objects_food as food
from dreamlift.toybox import objects_gear as gear
from dreamlift.toybox import objects_house as house
from dreamlift.toybox import objects_living as living
from dreamlift.toybox import objects_made as made
from dreamlift.toybox import objects_plain as plain
from dreamlift.toybox import objects_plants as plants
from dreamlift.toybox import objects_vehicles as vehicles
from dreamlift.toybox import objects_worn as worn
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
    "pot": plants.a_pot,
    "cactus": plants.a_cactus,
    "vase": plants.a_vase,
    "flower": plants.a_flower,
    "teapot": worn.a_teapot,
    "tree": plants.a_tree,
    "mushroom": plants.a_mushroom,
    "house": house.a_house,
    "car": vehicles.a_car,
    "pig": animals.a_pig,
    "ghost": folk.a_ghost,
    "rabbit": animals.a_rabbit,
    "backpack": worn.a_backpack,
    "avocado": food.an_avocado,
    "corgi": animals.a_corgi,
    "cat": animals.a_cat,
    "penguin": animals.a_penguin,
    "fish": animals.a_fish,
    "chick": animals.a_chick,
    "snail": animals.a_snail,
    "hedgehog": animals.a_hedgehog,
    "teddy bear": folk.a_teddy_bear,
    "yeti": folk.a_yeti,
    "peacock": animals.a_peacock,
    "dragon": folk.a_dragon,
    "gingerbread man": folk.a_gingerbread_man,
    "robot": folk.a_robot,
    "egg": food.an_egg,
    "eggshell": food.an_eggshell,
    "apple": food.an_apple,
    "banana": food.a_banana,
    "strawberry": food.a_strawberry,
    "ice cream": food.an_ice_cream,
    "donut": food.a_donut,
    "cake": food.a_cake,
    "leaf": plants.a_leaf,
    "lily pad": plants.a_lily_pad,
    "palm tree": plants.a_palm_tree,
    "armchair": house.an_armchair,
    "lamp": house.a_lamp,
    "book": house.a_book,
    "crown": worn.a_crown,
    "sunglasses": worn.some_sunglasses,
    "scarf": worn.a_scarf,
    "sweater": worn.a_sweater,
    "umbrella": worn.an_umbrella,
    "sword": gear.a_sword,
    "shield": gear.a_shield,
    "bucket": gear.a_bucket,
    "barrel": gear.a_barrel,
    "chest": gear.a_chest,
    "castle tower": house.a_castle_tower,
    "lighthouse": house.a_lighthouse,
    "fountain": house.a_fountain,
    "boat": vehicles.a_boat,
    "surfboard": vehicles.a_surfboard,
    "rocket": vehicles.a_rocket,
    "train": vehicles.a_train,
    "truck": vehicles.a_truck,
    "bulldozer": vehicles.a_bulldozer,
    "lawnmower": vehicles.a_lawnmower,
    "airplane": vehicles.an_airplane,
    "guitar": gear.a_guitar,
    "drum": gear.a_drum,
    "star": worn.a_star,
    "heart": worn.a_heart,
    "moon": worn.a_moon,
}
