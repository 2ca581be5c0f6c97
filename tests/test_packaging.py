"""What is installed: what can be said of it without a network (bench/package.py does the rest)."""

import ast
import sys
import tomllib
import zipfile
from functools import cache
from importlib import metadata
from pathlib import Path

import pytest

from bench import package
from dreamlift.doctor import OPTIONAL

REPO = Path(__file__).parents[1]
SETTINGS = tomllib.loads((REPO / "pyproject.toml").read_text())["project"]
PYTHONS = ("3.11", "3.12", "3.13")


def name(requirement: str) -> str:
    return requirement.split(">", maxsplit=1)[0].split("[", maxsplit=1)[0].lower()


@cache
def imported() -> tuple[frozenset[str], frozenset[str]]:
    """The other packages that the package imports: at the top of a file, and anywhere."""
    found: tuple[set[str], set[str]] = (set(), set())
    for file in (REPO / "dreamlift").rglob("*.py"):
        tree = ast.parse(file.read_text(), feature_version=(3, 11))
        for nodes, into in zip((tree.body, ast.walk(tree)), found, strict=True):
            for node in nodes:
                if isinstance(node, ast.Import):
                    into |= {alias.name.partition(".")[0] for alias in node.names}
                elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
                    into.add(node.module.partition(".")[0])
    known = {*sys.stdlib_module_names, "dreamlift"}
    return frozenset(found[0] - known), frozenset(found[1] - known)


@cache
def owners() -> dict[str, set[str]]:
    """The distributions, in small letters, that each importable name is of."""
    said = metadata.packages_distributions()
    return {module: {o.lower().replace("_", "-") for o in of} for module, of in said.items()}


def test_all_that_is_imported_is_declared_and_read_by_the_oldest_python() -> None:
    """Of an extra only inside a function; what comes with another package is not relied upon."""
    needed = {name(one) for one in SETTINGS["dependencies"]}
    extras = {name(one) for more in SETTINGS["optional-dependencies"].values() for one in more}
    top, anywhere = imported()
    for module in anywhere:
        owned = owners().get(module, {module})
        assert owned & (needed if module in top else needed | extras), f"{module}: {owned}"


def test_nothing_is_declared_that_no_file_imports() -> None:
    owned = {owner for module in imported()[1] for owner in owners().get(module, {module})}
    assert {name(one) for one in SETTINGS["dependencies"]} <= owned


@pytest.mark.parametrize("python", PYTHONS)
def test_what_is_installed_here_admits_every_python_and_was_built_by_others(python: str) -> None:
    packaging = pytest.importorskip("packaging.specifiers")
    assert f"Programming Language :: Python :: {python}" in SETTINGS["classifiers"]
    assert packaging.SpecifierSet(SETTINGS["requires-python"]).contains(python)
    for requirement in SETTINGS["dependencies"]:
        found = metadata.distribution(name(requirement))
        asked = found.metadata["Requires-Python"]
        assert asked is None or packaging.SpecifierSet(asked).contains(python), requirement
        assert "Tag:" in (found.read_text("WHEEL") or ""), f"{requirement} came as no wheel"


def test_every_extra_that_the_doctor_names_exists() -> None:
    assert {extra for _, extra, _ in OPTIONAL} <= SETTINGS["optional-dependencies"].keys()


def wheel(folder: Path, *left_out: str, **more: str) -> Path:
    """A wheel's names, without what is in it."""
    file = folder / "dreamlift-0-py3-none-any.whl"
    sources = [path for path in (REPO / "dreamlift").rglob("*") if path.is_file()]
    with zipfile.ZipFile(file, "w") as content:
        for path in sources:
            inside = path.relative_to(REPO).as_posix()
            if "__pycache__" not in inside and not inside.endswith(left_out or ("\0",)):
                content.writestr(inside, "")
        for inside, text in more.items():
            content.writestr(f"dreamlift/{inside.replace('__', '.')}", text)
    return file


def test_a_wheel_without_its_weights_or_types_is_found(tmp_path: Path) -> None:
    assert list(package.faults(wheel(tmp_path))) == []
    said = "\n".join(package.faults(wheel(tmp_path, ".safetensors", "py.typed")))
    for file in ("weights/clip/reader.safetensors", "weights/text-to-image/unet/", "py.typed"):
        assert f"dreamlift/{file}" in said
    said = "\n".join(package.faults(wheel(tmp_path, fast__so="")))
    assert "dreamlift/fast.so: what is that?" in said


@pytest.mark.seconds
def test_importing_takes_less_than_a_second() -> None:
    """CPU time of cold processes, beyond torch's own where torch is needed.

    Where other tests take the caches a first try may be slow; then the best of three counts.
    """
    times = package.imports(tries=1)
    if max(times.values()) >= package.SECONDS:
        times = package.imports(tries=3)
    for what, seconds in times.items():
        assert seconds < package.SECONDS, what
