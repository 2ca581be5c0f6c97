"""What a user installs: the wheel and what is in it, whether all it needs resolves, its import.

    pip install uv
    python -m bench.package [--out runs/package] [--pythons 3.11 3.12 3.13] [--offline]

Builds the wheel as pip would, looks into it, and has uv resolve `dreamlift` and `dreamlift[usd]`
with wheels alone (--only-binary :all:), so that nothing is compiled, for each Python on Linux,
macOS and Windows. Nothing of that is downloaded or installed but metadata, and no other
interpreter is needed. Then it times cold imports in processes of their own. --offline leaves out
building and resolving. OUT/package.json has it all; the exit code is 1 where anything falls short.
"""

import argparse
import json
import subprocess
import sys
import zipfile
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

REPO = Path(__file__).parents[1]
PLATFORMS = ("linux", "macos", "windows")
EXTRAS = ("", "[usd]")
SUFFIXES = (".py", ".json", ".safetensors", ".md", ".png", ".typed")
"""All that the package is made of: nothing that was compiled."""
LARGEST = 100e6
"""Bytes that PyPI takes of one file."""
SECONDS = 1.0
"""CPU time that an import of ours may take."""
HELP = "sys.argv = ['dreamlift', '--help']; from dreamlift.cli import main; main()"
IMPORTS = {
    "import dreamlift": ("import sys", "import dreamlift"),
    "dreamlift --help": ("import sys", HELP),
    "dreamlift.generate, beyond torch": (
        "import sys, torch, torch.utils.checkpoint",
        "import dreamlift; dreamlift.generate",
    ),
}
"""What a fresh process has, and what is timed in it."""


@dataclass(frozen=True)
class Resolved:
    """What a resolver made of it, for one Python on one system."""

    wanted: str
    python: str
    platform: str
    packages: int
    torch: str
    complaint: str


def faults(wheel: Path) -> Iterator[str]:
    """What is wrong with a wheel: weights that are missing, or anything that was compiled."""
    with zipfile.ZipFile(wheel) as content:
        names = {name for name in content.namelist() if name.startswith("dreamlift/")}
    shipped = {
        f"dreamlift/{file.relative_to(REPO / 'dreamlift').as_posix()}"
        for file in (REPO / "dreamlift").rglob("*")
        if file.is_file() and "__pycache__" not in file.parts
    }
    for name in sorted(shipped - names):
        yield f"{name} is left out"
    for name in sorted(names - shipped):
        yield f"{name} is not in the source"
    for name in sorted(names):
        if not name.endswith(SUFFIXES):
            yield f"{name}: what is that?"
    if not wheel.name.endswith("-py3-none-any.whl"):
        yield f"{wheel.name} is for some machines only"
    if wheel.stat().st_size > LARGEST:
        yield f"{wheel.name} has {wheel.stat().st_size / 1e6:.0f} MB"


def uv(*words: str) -> str:
    """Run uv; what it printed. Raises RuntimeError with its complaint."""
    ran = subprocess.run(["uv", *words], cwd=REPO, capture_output=True, text=True, check=False)
    if ran.returncode:
        raise RuntimeError(" ".join(ran.stderr.split()))
    return ran.stdout


def resolve(wheel: Path, extra: str, python: str, platform: str) -> Resolved:
    """Versions of everything that a wheel needs, from metadata alone."""
    wanted = wheel.parent / "wanted.in"
    wanted.write_text(f"dreamlift{extra} @ {wheel.resolve().as_uri()}\n")
    where = ("--python-version", python, "--python-platform", platform)
    try:
        said = uv("pip", "compile", "--quiet", "--no-annotate", "--no-header", "--only-binary",
                  ":all:", *where, str(wanted))  # fmt: skip
    except RuntimeError as error:
        return Resolved(f"dreamlift{extra}", python, platform, 0, "", str(error))
    versions = dict(line.split("==") for line in said.split() if "==" in line)
    torch = versions.get("torch", "")
    return Resolved(f"dreamlift{extra}", python, platform, len(versions), torch, "")


def imports(tries: int = 3) -> dict[str, float]:
    """CPU seconds of each of IMPORTS in a fresh interpreter: the best of some tries."""
    times: dict[str, float] = {}
    for name, (before, code) in IMPORTS.items():
        timed = f"""
import contextlib, io, time
{before}
start = time.process_time()
with contextlib.suppress(SystemExit), contextlib.redirect_stdout(io.StringIO()):
    {code}
print(time.process_time() - start)
"""
        ran = [
            subprocess.run([sys.executable, "-c", timed], cwd=REPO, capture_output=True, check=True)
            for _ in range(tries)
        ]
        times[name] = min(float(one.stdout.split()[-1]) for one in ran)
    return times


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=Path("runs/package"))
    parser.add_argument("--pythons", nargs="+", default=["3.11", "3.12", "3.13"])
    parser.add_argument("--offline", action="store_true")
    asked = parser.parse_args(arguments)
    asked.out.mkdir(parents=True, exist_ok=True)
    wrong: list[str] = []
    resolved: list[Resolved] = []
    if not asked.offline:
        uv("build", "--wheel", "--quiet", "--out-dir", str(asked.out.resolve()))
        wheel = max(asked.out.glob("*.whl"), key=lambda file: file.stat().st_mtime)
        print(f"{wheel.name}: {wheel.stat().st_size / 1e6:.1f} MB")
        wrong += faults(wheel)
        for extra in EXTRAS:
            for python in asked.pythons:
                for platform in PLATFORMS:
                    one = resolve(wheel, extra, python, platform)
                    resolved.append(one)
                    said = one.complaint or f"{one.packages} packages, torch {one.torch}"
                    print(f"{one.wanted} on Python {python}, {platform}: {said}")
                    wrong += [one.complaint] * bool(one.complaint)
    times = imports()
    for name, seconds in times.items():
        print(f"{name}: {seconds:.2f} s of CPU")
        wrong += [f"{name} takes {seconds:.2f} s"] * (seconds >= SECONDS)
    said = {"wrong": wrong, "imports": times, "resolved": [asdict(one) for one in resolved]}
    (asked.out / "package.json").write_text(json.dumps(said, indent=2) + "\n")
    print("\n".join(wrong) or "nothing is wrong")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
