"""The rules of the house, as functions from a source tree to sentences about what breaks them.

Every function takes the folder of a package named `dreamlift` and reads sources without importing
them. tests/test_layers.py holds the package to these rules, and each rule to a planted violation.
"""

import ast
import re
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

LAYERS = tuple(
    set(names.split())
    for names in (
        "errors step memory interrupts diffusion schedules grammar graph words untextured phrases "
        "geometry io weights",
        "cameras lights",
        "scene prior views captures posed photographs render",
        "scenes priors guidance toybox run likeness metrics",
        "fit split observers strips detectors remedies edit generators learn convert films export",
        "distil",
        "recipes",
        "cli flags api request asked offers commands playground showing pilots data doctor embed "
        "within reconstruct reconstructed studio batch evaluate __main__",
    )
)
"""A room imports rooms of layers above it in this list, itself, and its NEIGHBOURS."""

NEIGHBOURS = {
    (who, whom)
    for who, those in {
        "io": "errors geometry",
        "words": "errors untextured",
        "grammar": "graph words",
        "phrases": "graph words",
        "schedules": "diffusion",
        "prior": "scene",
        "render": "scene",
        "views": "scene",
        "captures": "scene views",
        "photographs": "posed",
        "observers": "fit",
        "split": "fit",
        "strips": "fit",
        "remedies": "detectors fit",
        "export": "convert films",
        "cli": "api batch commands offers request embed data doctor flags reconstruct",
        "commands": "api doctor evaluate reconstruct reconstructed request showing playground",
        "reconstruct": "reconstructed evaluate",
        "api": "asked request embed within pilots offers evaluate",
        "batch": "request api cli data embed offers evaluate",
        "request": "asked offers pilots within",
        "asked": "embed offers",
        "showing": "offers pilots playground",
        "flags": "offers",
        "studio": "api",
        "__main__": "cli",
    }.items()
    for whom in those.split()
}
"""(who, whom) within one layer; all others are strangers, above all the rooms of layer 4."""

WRAPPERS = {
    "diffusers": {"priors", "learn"},
    "transformers": {"priors"},
    "peft": {"priors"},
    "accelerate": {"priors"},
    "trimesh": {"export", "geometry", "io", "evaluate"},
    "xatlas": {"geometry"},
    "fast_simplification": {"geometry"},
    "skimage": {"geometry"},
    "gsplat": {"render"},
    "viser": {"studio"},
    "pxr": {"io"},
    "ray": {"batch"},
}
"""Heavy packages, and the rooms that may wrap them."""

BARE = {"torch", "numpy", "safetensors", "diffusers", "jaxtyping", "PIL"}
"""What a bare GPU machine has: torch, numpy, safetensors, and diffusers with what it needs."""


@cache
def parse(path: Path) -> ast.Module:
    return ast.parse(path.read_text(), str(path))


def files(root: Path) -> list[Path]:
    """The package's sources but its own `__init__.py`, which only forwards names."""
    return sorted(path for path in root.rglob("*.py") if path != root / "__init__.py")


def module(path: Path, root: Path) -> str:
    """`scenes.field` for scenes/field.py, `scenes` for scenes/__init__.py."""
    parts = path.relative_to(root).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def room(name: str) -> str:
    return name.split(".", maxsplit=1)[0]


def source(name: str, root: Path) -> Path | None:
    """The file of a module of the package."""
    stem = root.joinpath(*name.split("."))
    for path in (stem.with_suffix(".py"), stem / "__init__.py"):
        if path.exists():
            return path
    return None


def absolute(path: Path, root: Path) -> Iterator[tuple[ast.stmt, str, str | None]]:
    """Every import in a file: the statement, the absolute module, and the name taken from it."""
    here = ["dreamlift", *path.relative_to(root).parent.parts]
    for node in ast.walk(parse(path)):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield node, alias.name, None
        elif isinstance(node, ast.ImportFrom):
            base = here[: len(here) - node.level + 1] if node.level else []
            for alias in node.names:
                yield node, ".".join([*base, *([node.module] if node.module else [])]), alias.name


def ours(path: Path, root: Path) -> Iterator[tuple[ast.stmt, str]]:
    """The package's modules that a file imports, in whichever way ("" for the package itself)."""
    for node, name, taken in absolute(path, root):
        if room(name) == "dreamlift":
            inside = name.removeprefix("dreamlift").removeprefix(".")
            deeper = f"{inside}.{taken}".removeprefix(".")
            yield node, deeper if taken and source(deeper, root) else inside


def strangers(path: Path, root: Path) -> Iterator[tuple[ast.stmt, str]]:
    """The other packages that a file imports, by their first name."""
    for node, name, _ in absolute(path, root):
        if room(name) != "dreamlift" and room(name) not in sys.stdlib_module_names:
            yield node, room(name)


def layers(root: Path) -> Iterator[str]:
    """Imports point down."""
    level = {name: i for i, names in enumerate(LAYERS) for name in names}
    for path in files(root):
        who = room(module(path, root))
        if who not in level:
            yield f"{path.relative_to(root)}: {who} has no layer; give it one in LAYERS"
            continue
        for node, name in ours(path, root):
            whom = room(name)
            at = f"{path.relative_to(root)}:{node.lineno}: {who}"
            if not name:
                yield f"{at} imports the package itself; import the file that has the name"
            elif whom not in level:
                yield f"{at} imports {name}, which has no layer"
            elif level[whom] > level[who]:
                yield f"{at} (layer {level[who] + 1}) imports {name} (layer {level[whom] + 1})"
            elif level[whom] == level[who] and whom != who and (who, whom) not in NEIGHBOURS:
                yield f"{at} and {name} are strangers in layer {level[who] + 1}"
        for node in ast.walk(parse(path)):
            if isinstance(node, ast.Call) and called(node) in ("import_module", "__import__"):
                yield f"{path.relative_to(root)}:{node.lineno}: an import that no tool can see"


def called(node: ast.Call) -> str:
    """The last name of what is called."""
    match node.func:
        case ast.Name(id=name) | ast.Attribute(attr=name):
            return name
        case _:
            return ""


def circles(root: Path) -> Iterator[str]:
    """No file imports, however far round, a file that imports it at its top."""
    tops = {
        module(path, root): {
            name for node, name in ours(path, root) if node in parse(path).body and name
        }
        for path in files(root)
    }
    for start, first in tops.items():
        seen: set[str] = set()
        todo = [*first]
        while todo:
            name = todo.pop()
            if name == start:
                yield f"{start} imports itself through others"
                break
            if name not in seen:
                seen.add(name)
                todo += tops.get(name, ())


def judges(root: Path) -> Iterator[str]:
    """Only evaluate/ and learn/ may name the judge."""
    for path in files(root):
        if room(module(path, root)) in ("evaluate", "learn"):
            continue
        for node in ast.walk(parse(path)):
            docstring = isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
            if not docstring and any("judge" in name.lower() for name in names(node)):
                yield f"{path.relative_to(root)}:{getattr(node, 'lineno', 0)}: names the judge"


def names(node: ast.AST) -> Iterator[str]:
    """What a node, without its children, calls things; texts are looked at where they are used."""
    match node:
        case ast.Name(id=name) | ast.Attribute(attr=name) | ast.arg(arg=name):
            yield name
        case ast.FunctionDef(name=name) | ast.ClassDef(name=name) | ast.alias(name=name):
            yield name
        case ast.ImportFrom(module=str(name)):
            yield name
        case ast.Expr():
            return
        case _:
            for child in ast.iter_child_nodes(node):
                if isinstance(child, ast.Constant) and isinstance(child.value, str):
                    yield child.value


def oracles(root: Path) -> Iterator[str]:
    """Only tests, bench and examples import the closed-form priors."""
    for path in files(root):
        for node, name in ours(path, root):
            if name in ("priors.oracle", "priors.mixture"):
                yield f"{path.relative_to(root)}:{node.lineno}: the package uses the oracle"


def warps(root: Path) -> Iterator[str]:
    """warp is imported in *_warp.py, and those files only inside functions."""
    for path in files(root):
        if path.stem.endswith("_warp"):
            continue
        at = path.relative_to(root)
        for node, name in strangers(path, root):
            if name == "warp":
                yield f"{at}:{node.lineno}: warp outside of a *_warp.py"
        for node, name in ours(path, root):
            if name.endswith("_warp") and node in parse(path).body:
                yield f"{at}:{node.lineno}: {name} is imported before it is needed"


def wrappers(root: Path) -> Iterator[str]:
    """Heavy packages are imported only where they are wrapped."""
    for path in files(root):
        for node, name in strangers(path, root):
            if room(module(path, root)) not in WRAPPERS.get(name, {room(module(path, root))}):
                yield f"{path.relative_to(root)}:{node.lineno}: {name} is not wrapped here"


def bare(root: Path) -> Iterator[str]:
    """learn/ and all it imports at the top run on a bare GPU machine."""
    todo = {module(path, root) for path in files(root) if module(path, root).startswith("learn")}
    seen: set[str] = set()
    while todo:
        name = todo.pop()
        path = source(name, root)
        if name in seen or path is None:
            continue
        seen.add(name)
        top = parse(path).body
        for node, package in strangers(path, root):
            if node in top and package not in BARE:
                yield f"{path.relative_to(root)}:{node.lineno}: learn needs {package}"
        todo |= {other for node, other in ours(path, root) if node in top}


FURTHER = {"convert.finish": 1080}
"""Lines that a second scene adds to a reading distance: its renderer, and the way to it."""


def closure(root: Path, *start: str) -> dict[str, int]:
    """The files one must open to account for every name in `start`, with their lines, blank ones
    apart.

    A fast twin (*_warp.py) is not opened: what it computes is written in its reference.
    """
    lines: dict[str, int] = {}
    todo = [*start]
    while todo:
        name = todo.pop()
        path = source(name, root)
        if name in lines or path is None or name.endswith("_warp"):
            continue
        lines[name] = sum(bool(line.strip()) for line in path.read_text().splitlines())
        todo += [other for _, other in ours(path, root)]
    return lines


def distances(root: Path, *, limit: int = 3000) -> Iterator[str]:
    """A recipe and all it imports are at most 3,000 lines, and FURTHER ones."""
    for path in sorted((root / "recipes").glob("[!_]*.py")):
        lines = closure(root, module(path, root))
        most = limit + sum(more for name, more in FURTHER.items() if name in lines)
        if sum(lines.values()) > most:
            longest = sorted(lines.items(), key=lambda item: -item[1])[:6]
            yield f"recipes/{path.name}: {sum(lines.values())} of {most} lines, most in {longest}"


def long_files(root: Path, *, limit: int = 400) -> Iterator[str]:
    """No file is long."""
    for path in sorted(root.rglob("*.py")):
        count = len(path.read_text().splitlines())
        if count > (150 if path.parent == root / "recipes" else limit):
            yield f"{path.relative_to(root)}: {count} lines"


def long_functions(root: Path, *, limit: int = 60) -> Iterator[str]:
    """No function is long."""
    for path in sorted(root.rglob("*.py")):
        for node in ast.walk(parse(path)):
            if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
                count = (node.end_lineno or node.lineno) - node.lineno + 1
                if count > limit:
                    yield f"{path.relative_to(root)}:{node.lineno}: {node.name}, {count} lines"


def habits(root: Path) -> Iterator[str]:
    """No pickles, no **kwargs passed through, no hasattr, no bare except, no notes to self."""
    for path in sorted(root.rglob("*.py")):
        at = path.relative_to(root)
        for number, line in enumerate(path.read_text().splitlines(), 1):
            if re.search(r"\b(TODO|FIXME|XXX)\b", line):
                yield f"{at}:{number}: a note to self"
        for node in ast.walk(parse(path)):
            match node:
                case ast.FunctionDef(args=ast.arguments(kwarg=ast.arg(arg=name))):
                    if passes_on(node, name):
                        yield f"{at}:{node.lineno}: **{name} is passed through"
                case ast.Call(func=ast.Name(id="hasattr")):
                    yield f"{at}:{node.lineno}: hasattr"
                case ast.ExceptHandler(type=None):
                    yield f"{at}:{node.lineno}: a bare except"
                case ast.Attribute(value=ast.Name(id="torch"), attr="save" | "load"):
                    yield f"{at}:{node.lineno}: torch.{node.attr} pickles; use safetensors"
                case ast.Import(names=[ast.alias(name="pickle"), *_]):
                    yield f"{at}:{node.lineno}: pickle"
                case _:
                    pass


def passes_on(function: ast.FunctionDef, name: str) -> bool:
    """Whether a function calls something with its own **name."""
    return any(
        keyword.arg is None and isinstance(keyword.value, ast.Name) and keyword.value.id == name
        for call in ast.walk(function)
        if isinstance(call, ast.Call)
        for keyword in call.keywords
    )


def families(root: Path) -> Iterator[str]:
    """Classes are abstract or final: ours inherit from ours one level deep."""
    bases: dict[str, set[str]] = {}
    where: dict[str, str] = {}
    for path in files(root):
        for node in ast.walk(parse(path)):
            if isinstance(node, ast.ClassDef):
                heads = [b.value if isinstance(b, ast.Subscript) else b for b in node.bases]
                bases[node.name] = {ast.unparse(head).split(".")[-1] for head in heads}
                where[node.name] = f"{path.relative_to(root)}:{node.lineno}"
    for name, parents in bases.items():
        for parent in parents & bases.keys():
            grand = bases[parent] & bases.keys()
            if grand and "Protocol" not in parents:
                yield f"{where[name]}: {name} is a {parent} is a {grand.pop()}"
