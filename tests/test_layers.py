"""The house keeps its rules (tests/house.py), and each rule catches a violation planted for it."""

import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import house
import pytest

REPO = Path(__file__).parents[1]
ROOT = REPO / "dreamlift"

Rule = Callable[[Path], Iterator[str]]


RULES: tuple[Rule, ...] = (
    house.layers,
    house.circles,
    house.judges,
    house.oracles,
    house.warps,
    house.wrappers,
    house.bare,
    house.long_files,
    house.long_functions,
    house.habits,
    house.families,
    house.distances,
)


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
def test_the_package_keeps_the_rule(rule: Rule) -> None:
    broken = list(rule(ROOT))
    assert not broken, f"{rule.__doc__}\n" + "\n".join(broken)


@pytest.mark.parametrize("folder", ["tests", "bench", "examples"])
def test_other_code_is_in_small_files_too(folder: str) -> None:
    limit = 60 if folder == "examples" else 400
    assert list(house.long_files(REPO / folder, limit=limit)) == []


def plant(root: Path, **sources: str) -> Path:
    """A small package of modules, their dots written as `__`, that keeps every rule."""
    rooms = {
        "step": "",
        "scene": "from dreamlift.step import Step\n",
        "guidance__sds": "from ..scene import Shot\n",
        "render__splat": "import torch\n",
        "render__splat_warp": "import warp as wp\n",
        "priors__oracle": "import dreamlift.scene\n",
        "learn__loop": "import torch\nfrom dreamlift import words\n",
        "words": "from dreamlift.errors import BadInput\n",
        "errors": "",
        "run": "",
        "evaluate__score": "JUDGE = 'judge'\n",
        "recipes__dreamfusion": "from dreamlift.guidance.sds import sds\n",
    }
    for name, text in {**rooms, **sources}.items():
        path = root.joinpath(*name.split("__")).with_suffix(".py")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        if path.parent != root:
            (path.parent / "__init__.py").touch()
    (root / "__init__.py").write_text("__version__ = '0'\n")
    return root


LONG = "def f():\n" + "    x = 1\n" * 60
VIOLATIONS: tuple[tuple[Rule, str, dict[str, str], str], ...] = (
    (house.layers, "upward", {"step": "from dreamlift.scene import Shot"}, "imports scene"),
    (house.layers, "plain", {"step": "import dreamlift.scene"}, "imports scene"),
    (house.layers, "as", {"step": "import dreamlift.recipes.dreamfusion as d"}, "imports recipes"),
    (house.layers, "package", {"step": "from dreamlift import scene"}, "imports scene"),
    (house.layers, "relative", {"step": "from . import scene"}, "imports scene"),
    (house.layers, "relative2", {"guidance__x": "from .. import recipes"}, "imports recipes"),
    (house.layers, "lazy", {"step": "def f():\n    from .scene import Shot"}, "imports scene"),
    (house.layers, "strangers", {"priors__a": "from ..guidance.sds import b"}, "are strangers"),
    (house.layers, "strangers2", {"run": "import dreamlift.guidance.sds"}, "are strangers"),
    (house.layers, "hidden", {"run": "from dreamlift import Scene"}, "the package itself"),
    (house.layers, "bare", {"run": "import dreamlift"}, "the package itself"),
    (house.layers, "string", {"run": "import_module('dreamlift.cli')"}, "no tool can see"),
    (house.layers, "new", {"utils": ""}, "has no layer"),
    (
        house.layers,
        "typing",
        {"step": "if TYPE_CHECKING:\n    from .scene import Shot"},
        "imports scene",
    ),
    (
        house.circles,
        "circle",
        {
            "scenes__a": "from .b import c",
            "scenes__b": "from .d import e",
            "scenes__d": "import dreamlift.scenes.a",
        },
        "scenes.a imports itself",
    ),
    (house.judges, "text", {"run": "weights = 'weights/judge'"}, "names the judge"),
    (house.judges, "call", {"run": "load('judge')"}, "names the judge"),
    (house.judges, "name", {"guidance__x": "judge = 1"}, "names the judge"),
    (house.judges, "import", {"run": "from elsewhere import Judge"}, "names the judge"),
    (house.oracles, "oracle", {"cli": "from .priors.oracle import Oracle"}, "uses the oracle"),
    (house.oracles, "oracle2", {"cli": "from dreamlift.priors import oracle"}, "uses the oracle"),
    (house.warps, "warp", {"render__x": "def f():\n    import warp as wp"}, "outside"),
    (house.warps, "eager", {"render__x": "from .splat_warp import splat"}, "before it is needed"),
    (house.wrappers, "heavy", {"run": "def f():\n    import trimesh"}, "trimesh is not wrapped"),
    (house.wrappers, "heavy2", {"cli": "from diffusers import UNet2DModel"}, "not wrapped"),
    (house.bare, "bare", {"words": "import rich.progress"}, "learn needs rich"),
    (house.long_files, "file", {"run": "\n" * 401}, "401 lines"),
    (house.long_files, "recipe", {"recipes__magic": "\n" * 151}, "151 lines"),
    (house.long_functions, "function", {"run": LONG}, "f, 61 lines"),
    (house.habits, "kwargs", {"run": "def f(**o):\n    return g(**o)"}, "passed through"),
    (house.habits, "hasattr", {"run": "hasattr(1, 'x')"}, "hasattr"),
    (house.habits, "except", {"run": "try:\n    f()\nexcept:\n    pass"}, "bare except"),
    (house.habits, "note", {"run": "x = 1  # TO" "DO: later"}, "a note to self"),
    (house.habits, "pickle", {"run": "import torch\ntorch.load('x')"}, "use safetensors"),
    (
        house.families,
        "grandchild",
        {"scenes__a": "class A(Scene[None]): ...\nclass B(A): ...", "scene": "class Scene: ..."},
        "B is a A is a Scene",
    ),
    (
        house.distances,
        "far",
        {f"geometry__m{i}": f"from .m{i + 1} import x\n" + "#\n" * 390 for i in range(8)}
        | {"recipes__far": "from dreamlift.geometry import m0"},
        "recipes/far.py: 3129 of 3000 lines",
    ),
)  # fmt: skip


@pytest.mark.parametrize(
    ("rule", "sources", "message"),
    [(rule, sources, message) for rule, _, sources, message in VIOLATIONS],
    ids=[f"{rule.__name__}-{name}" for rule, name, _, _ in VIOLATIONS],
)
def test_a_planted_violation_is_found(
    tmp_path: Path, rule: Rule, sources: dict[str, str], message: str
) -> None:
    root = plant(tmp_path / "dreamlift", **sources)
    broken = list(rule(root))
    assert any(message in sentence for sentence in broken), broken


def test_every_rule_has_a_violation_and_allows_a_good_house(tmp_path: Path) -> None:
    assert {rule for rule, _, _, _ in VIOLATIONS} == set(RULES)
    root = plant(tmp_path / "dreamlift")
    assert {rule.__name__: list(rule(root)) for rule in RULES} == {r.__name__: [] for r in RULES}


def test_a_docstring_may_speak_of_the_judge(tmp_path: Path) -> None:
    root = plant(tmp_path / "dreamlift", run='"""Not for the judge."""\nx: int = 1\n"""judge"""')
    assert list(house.judges(root)) == []


def test_a_reading_distance_counts_files_once_and_follows_every_import(tmp_path: Path) -> None:
    root = plant(
        tmp_path / "dreamlift",
        recipes__a="from .. import scene\nfrom ..guidance import sds\n",
        guidance__sds="def f():\n    from ..render.splat_warp import s\nimport dreamlift.scene\n",
    )
    assert house.closure(root, "recipes.a") == {
        "recipes.a": 2,
        "guidance.sds": 3,
        "scene": 1,
        "step": 0,
    }


@pytest.mark.seconds
def test_importing_the_package_is_cheap() -> None:
    code = (
        "import sys, dreamlift; assert 'torch' not in sys.modules; dreamlift.Cameras;"
        "heavy = {'diffusers', 'transformers', 'warp', 'trimesh', 'PIL'} & set(sys.modules);"
        "assert not heavy, heavy; print(dreamlift.__version__)"
    )
    ran = subprocess.run(
        [sys.executable, "-c", code], cwd=REPO, capture_output=True, text=True, check=False
    )
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout.count(".") == 2


def test_public_names_are_found_and_others_are_told() -> None:
    import dreamlift

    for name in dir(dreamlift):
        assert getattr(dreamlift, name) is not None
    with pytest.raises(AttributeError, match="no public name 'Camera'; it has .*, Cameras, "):
        _ = dreamlift.Camera
