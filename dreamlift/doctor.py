"""What this machine can do, how fast, and what to do about what is missing."""

import os
import platform
import shutil
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from tempfile import TemporaryFile

import torch
from rich.console import Console
from rich.table import Table
from rich.text import Text

from dreamlift import memory
from dreamlift.cameras import turntable
from dreamlift.errors import BadInput
from dreamlift.guidance.prompts import Sentence
from dreamlift.guidance.scores import cfg
from dreamlift.prior import Prior
from dreamlift.priors import pipelines
from dreamlift.priors.embedded import WEIGHTS
from dreamlift.priors.homes import KNOWN, Absent, caches, download, located
from dreamlift.priors.pixel import best_dtype, native_bf16
from dreamlift.priors.source import device_named, source_of
from dreamlift.priors.thrift import bytes_of, planned
from dreamlift.scene import Shot
from dreamlift.scenes.field import Field

OPTIONAL = (("pxr", "usd", "USDZ files"),)
"""A package as it is imported, the extra that brings it, and what it is for."""


@dataclass(frozen=True)
class Finding:
    """A row of the table."""

    what: str
    found: str
    advice: str = ""
    good: bool = True  # False: `generate` does not work without it


def examine(
    runs: Path, prior: str = "embedded", memory_size: str = "", device: str = "auto"
) -> bool:
    """Print the table; whether `generate` works here with that prior."""
    table = Table("", "found", "what to do", title="dreamlift doctor", title_justify="left")
    for column in table.columns:
        column.overflow = "fold"
    good = True
    for finding in findings(runs, prior, memory_size, device):
        table.add_row(*map(Text, (finding.what, finding.found, finding.advice)))
        good = good and finding.good
    Console().print(table)
    command = "dreamlift generate" + ("" if prior == "embedded" else f" --prior {prior}")
    print(f"`{command}` works here." if good else f"`{command}` cannot work yet.")
    return good


def findings(
    runs: Path, prior: str = "embedded", memory_size: str = "", device: str = "auto"
) -> Iterator[Finding]:
    """Everything that is looked at, as it is found.

    Raises BadInput, before anything is, for no such device and for no size of memory.
    """
    memory.keep()
    device = device_named(device)
    if memory_size:
        bytes_of(memory_size)
    version = _version("dreamlift")
    yield Finding("dreamlift", "run from its source" if version == "missing" else version)
    system = f"{platform.system()} {platform.machine()}"
    yield Finding("Python", f"{platform.python_version()}, {system}")
    yield from _processor()
    yield from _torch()
    yield from _packages()
    yield from _weights()
    yield _writable(runs)
    yield Finding("a picture, there and back", f"{_render(device):.0f} ms (64x64, {device})")
    if prior == "embedded":
        yield _prior(device)
    else:
        yield from _other(prior, device)
    if memory_size:
        yield _planned(prior, memory_size, device)


def _planned(prior: str, size: str, device: str) -> Finding:
    """How a step is taken in so much memory."""
    what = f"a step in {size}"
    try:
        source = source_of(prior, device)
        if not source.open:
            return Finding(what, "it takes 0.1 GB", "Leave --memory out: it is for other models.")
        plan = planned(source, size, device)
    except BadInput as error:
        return Finding(what, "no way", str(error).partition(". ")[0], good=False)
    return Finding(what, "; ".join(plan.why), f"--memory {size}")


def _processor() -> Iterator[Finding]:
    """The CPU and the memory."""
    model = platform.processor() or platform.machine()
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        lines = [line for line in cpuinfo.read_text().splitlines() if line.startswith("model name")]
        model = lines[0].partition(":")[2].strip() if lines else model
    yield Finding("CPU", f"{model}, {os.cpu_count()} cores")
    if native_bf16():
        yield Finding("bfloat16", "native: the prior runs in it")
    else:
        yield Finding("bfloat16", "not native: the prior runs in float32")
    if "SC_PHYS_PAGES" in os.sysconf_names:
        size = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 2**30
        advice = "" if size > 3 else "Close other programs: a run needs about 2 GiB."
        yield Finding("memory", f"{size:.0f} GiB", advice)


def _torch() -> Iterator[Finding]:
    """torch, its threads, and the GPUs that it sees."""
    yield Finding("torch", f"{torch.__version__}, {torch.get_num_threads()} threads")
    if torch.cuda.is_available():
        for i in range(torch.cuda.device_count()):
            card = torch.cuda.get_device_properties(i)
            yield Finding(f"cuda:{i}", f"{card.name}, {card.total_memory / 2**30:.0f} GiB")
    else:
        yield Finding("CUDA", "none", "Nothing, if you can wait: all of it runs on the CPU.")


def _packages() -> Iterator[Finding]:
    """The compiled kernels, and what is optional."""
    for package in ("warp-lang", "diffusers"):
        version = _version(package)
        advice = "" if version != "missing" else "Install the package again: it needs this."
        yield Finding(package, version, advice, good=not advice)
    for package, extra, purpose in OPTIONAL:
        if _importable(package):
            yield Finding(package, "there")
        else:
            yield Finding(package, "missing", f"Install dreamlift[{extra}] for {purpose}.")


def _weights() -> Iterator[Finding]:
    """The embedded models, and what their cards call themselves."""
    for folder in sorted(path for path in WEIGHTS.parent.iterdir() if path.is_dir()):
        size = sum(file.stat().st_size for file in folder.rglob("*.safetensors")) / 2**20
        if size:
            card = folder / "README.md"
            said = card.read_text().splitlines()[0].lstrip("# ") if card.exists() else "no card"
            yield Finding(f"weights/{folder.name}", f"{size:.0f} MiB, {said}")


def _writable(runs: Path) -> Finding:
    """Whether runs can be written, without making the folder."""
    there = runs.absolute()
    while not there.exists():
        there = there.parent
    try:
        TemporaryFile(dir=there).close()
    except OSError as error:
        advice = "Work in another folder, or give `generate` one with --out."
        return Finding("runs", f"{there}: {error.strerror}", advice, good=False)
    return Finding("runs", f"can be written to {runs.absolute()}")


def _render(device: str) -> float:
    """Milliseconds to render one picture of a field and to bring a gradient back."""
    field = Field().to(device)
    shot = _shot(device)

    def once() -> None:
        field.render(shot).color.sum().backward()

    return _milliseconds(once)


def _prior(device: str) -> Finding:
    """Milliseconds of a guided evaluation of the embedded prior."""
    what = "the embedded prior"
    try:
        prior: Prior = source_of("embedded", device).load(device)
    except BadInput as error:
        return Finding(what, "missing", str(error), good=False)
    score = cfg(prior, Sentence(prior, "a red cube"), Sentence(prior, ""), 7.5)
    shot, t = _shot(device), torch.full((1,), 0.5, device=device)
    z = prior.encode(torch.rand(1, 64, 64, 3, device=device))

    @torch.no_grad()
    def once() -> None:
        score(z, t, shot)

    return Finding(what, f"{_milliseconds(once):.0f} ms for a guided guess")


def _other(name: str, device: str) -> Iterator[Finding]:
    """Other people's model: its licence, whether it is here, and whether it fits.

    It is not loaded. What is said of memory is the weights' own size, which a run needs more than.
    """
    known = KNOWN.get(name)
    if known is not None:
        page = f"https://huggingface.co/{known.homes[0]}"
        advice = f"Sign in and accept it at {page}, then `hf auth login`." if known.gated else ""
        yield Finding("licence", f"{known.licence} ({page})", advice)
    try:
        folder = located(name)
        weights = pipelines.weights(folder) if pipelines.is_pipeline(folder) else None
        source_of(name, device)
    except Absent as absent:
        yield Finding(name, "not on this machine", download(name, absent.folder), good=False)
        if known is not None:
            yield from _room(name, known.download)
            yield _memory(known.millions / 1000, device)
        return
    except ValueError as error:
        yield Finding(name, "not usable", str(error), good=False)
        return
    yield Finding(name, f"in {folder}")
    if weights is not None and (why := pipelines.speechless(folder)) is not None:
        advice = f"{why} Only prompts that `dreamlift embed` has read can be used."
        yield Finding("its text encoder", "not here", advice)
    if weights is not None:
        numbers, size = weights
        yield Finding("its weights", f"{numbers:,} numbers, {size / 1e9:.2f} GB on the disk")
        yield _memory(numbers / 1e9, device)


def _room(name: str, wanted: float) -> Iterator[Finding]:
    """Whether there is room for a download of so many GB, here and in the cache."""
    for place in (Path.cwd(), caches()[0]):
        there = place
        while not there.exists():
            there = there.parent
        free = shutil.disk_usage(there).free / 1e9
        advice = "" if free > wanted else f"{name} needs {wanted:.1f} GB. Use another disk."
        yield Finding(f"disk at {place}", f"{free:.1f} GB free", advice)


def _memory(billions: float, device: str) -> Finding:
    """Whether so many billions of weights fit in what they are loaded into."""
    dtype = best_dtype(device)
    wanted = billions * dtype.itemsize
    have = 0.0
    if device.startswith("cuda"):
        have = torch.cuda.get_device_properties(device).total_memory / 1e9
    elif "SC_PHYS_PAGES" in os.sysconf_names:
        have = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 1e9
    name = str(dtype).removeprefix("torch.")
    said = f"{wanted:.1f} GB of weights in {name}, on {device} with {have:.1f} GB"
    advice = "" if not have or wanted < 0.9 * have else "Too large for it: use a smaller model."
    return Finding("memory for it", said, advice)


def _shot(device: str) -> Shot:
    """One picture of the size that the embedded prior sees."""
    cameras = turntable(1, offset=30.0)
    k = cameras.K.to(device)
    return Shot(type(cameras)(cameras.world_to_camera.to(device), k, cameras.height, cameras.width))


def _milliseconds(once: Callable[[], None], *, tries: int = 5) -> float:
    """The fastest of some tries, after two to warm up."""
    times: list[float] = []
    for _ in range(2 + tries):
        start = time.perf_counter()
        once()
        if torch.cuda.is_available():
            torch.cuda.synchronize()
        times.append(1000 * (time.perf_counter() - start))
    return min(times[2:])


def _version(package: str) -> str:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return "missing"


def _importable(package: str) -> bool:
    from importlib.util import find_spec

    return find_spec(package) is not None
