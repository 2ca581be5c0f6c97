"""`dreamlift batch`: many prompts, one process for each device, each taking the next prompt.

A process is a `dreamlift generate` of its own, so that nothing is shared but the disk: one prompt
that fails leaves the others alone, and a device is never idle while prompts are left.
"""

import hashlib
import io
import logging
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Generator, Sequence
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass, field, replace
from pathlib import Path
from queue import Empty, Queue
from tempfile import TemporaryFile
from threading import Lock, Thread
from types import FrameType
from typing import Annotated, Any

import tyro

from dreamlift.data import lines
from dreamlift.errors import BadInput

OURS = ("--out", "--device")
"""Flags of `generate` that this command gives itself."""
log = logging.getLogger("dreamlift")


def command(prompt: str, device: str, folder: Path, flags: Sequence[str]) -> list[str]:
    """What makes one object."""
    asked = ["generate", prompt, *flags, "--device", device, "--out", str(folder)]
    return [sys.executable, "-m", "dreamlift", *asked]


def place(out: Path, prompt: str) -> Path:
    """A prompt's own folder."""
    from dreamlift.run import slug

    return out / f"{slug(prompt)}-{hashlib.sha256(prompt.encode()).hexdigest()[:6]}"


def made(folder: Path) -> bool:
    """Whether a folder is a finished run."""
    from dreamlift.api import finished
    from dreamlift.run import Run

    try:
        return finished(Run.open(folder)) is not None
    except (BadInput, OSError):
        return False


def asked(prompt: str, device: str, folder: Path, flags: Sequence[str]) -> Any:
    """What `generate` understands of a command, with nothing done. Raises BadInput."""
    from dreamlift.cli import _parse  # pyright: ignore[reportPrivateUsage]
    from dreamlift.priors.homes import Absent

    said = io.StringIO()
    try:
        with redirect_stdout(io.StringIO()), redirect_stderr(said):
            run: Any = _parse(command(prompt, device, folder, flags)[3:])
    except Absent as error:  # the command that it would go on with is not this one
        raise BadInput(f"{error}.") from error
    except SystemExit as stop:
        if not stop.code:
            raise BadInput(f"{shlex.join(flags)} makes nothing. Leave --help out.") from None
        raise BadInput(
            f"`generate` does not take the --flags {shlex.join(flags)!r}: {_plain(said.getvalue())}"
        ) from None
    if run.__self__.explain:
        raise BadInput("--explain makes nothing. Leave it out of --flags.")
    return run.__self__


def _plain(box: str) -> str:
    """The first part of a box that tyro draws, in whichever characters, as a sentence."""
    found: list[str] = []
    for line in box.splitlines()[1:]:
        text = line.strip("│ ")
        if text.strip("─-╰╯"):
            found.append(text)
        elif found:  # the rule under it
            break
    return " ".join(found).rstrip(".") + "."


def refuse(prompts: Sequence[str], device: str, out: Path, flags: Sequence[str]) -> None:
    """Raise BadInput for what `generate` would refuse of any of the prompts; makes nothing."""
    from dreamlift.api import watching
    from dreamlift.embed import bring
    from dreamlift.offers import kind
    from dreamlift.request import request
    from dreamlift.run import Run

    said = asked(prompts[0], device, place(out, prompts[0]), flags)
    if said.embeddings is not None:
        bring(said.embeddings, said.prior)
    for prompt in prompts:
        numbers: dict[str, Any] = {**vars(said.numbers), "prompt": prompt}
        recipe = kind(said.choice.recipe)(**numbers)
        watching(recipe, said.previews)
        folder = place(out, prompt)
        try:
            settings = request(
                recipe,
                prior=said.prior,
                device=said.device,
                finish=said.finish,
                remedies=said.remedies,
                pilot=said.pilot,
                memory=said.memory if prompt == prompts[0] else "",  # planned once: it takes long
                parts=said.split,
            )
            if folder.is_file() or any(folder.glob("[!.]*")):
                # Only compares: the folder is a run already, or is refused.
                Run.create(folder, replace(settings, memory=said.memory).config())
        except BadInput as error:
            raise BadInput(f"{prompt!r} cannot be made. {error}") from error


@dataclass
class Work:
    """Prompts that are to be made, and what became of those that were: their exit codes."""

    prompts: Sequence[str]
    out: Path
    flags: Sequence[str]
    ended: dict[str, int] = field(default_factory=dict[str, int])
    running: dict[str, subprocess.Popen[bytes]] = field(
        default_factory=dict[str, "subprocess.Popen[bytes]"]
    )
    stopped: bool = False
    guard: Lock = field(default_factory=Lock)
    """Held while a process is begun, and while all are stopped."""

    def on(self, devices: Sequence[str]) -> None:
        """Make them, one process for each of `devices` at a time.

        Ctrl-C and, within `terminable`, SIGTERM stop all of them.
        """
        waiting: Queue[str] = Queue()
        for prompt in self.prompts:
            waiting.put(prompt)
        threads = [Thread(target=self._serve, args=(each, waiting)) for each in devices]
        try:
            for thread in threads:
                thread.start()
            _wait(threads)
        except KeyboardInterrupt as stop:
            self.stopped = True
            number = signal.SIGTERM if isinstance(stop, Terminated) else signal.SIGINT
            with self.guard:
                for process in [*self.running.values()]:
                    process.send_signal(number)
            _wait([thread for thread in threads if thread.ident is not None])
            raise

    def _serve(self, device: str, waiting: "Queue[str]") -> None:
        """A device's thread."""
        while not self.stopped:
            try:
                prompt = waiting.get_nowait()
            except Empty:
                return
            try:
                code = self._one(prompt, device)
            except (OSError, ValueError) as error:
                log.warning("%s: not begun: %s (%s)", prompt, error, device)
                continue
            if code is None:
                return
            if code == 0 and not made(place(self.out, prompt)):
                log.info("%s: ended, but its run is not finished (%s)", prompt, device)
                continue
            self.ended[prompt] = code
            log.info("%s: %s (%s)", prompt, "done" if code == 0 else f"exit code {code}", device)

    def _one(self, prompt: str, device: str) -> int | None:
        """A prompt's process, to its end: its exit code; None where all were stopped before."""
        folder = place(self.out, prompt)
        words = command(prompt, device, folder, self.flags)
        # Appended to: a process of a batch that was killed may still write there.
        with folder.with_suffix(".log").open("ab") as said:
            with self.guard:
                if self.stopped:
                    return None
                # Out of the terminal's group: Ctrl-C reaches it once, from here.
                process = subprocess.Popen(
                    words, stdout=said, stderr=subprocess.STDOUT, start_new_session=True
                )
                self.running[prompt] = process
            code = process.wait()
            del self.running[prompt]
        return code


class Terminated(KeyboardInterrupt):
    """SIGTERM came."""


@contextmanager
def terminable() -> Generator[None]:
    """Within, SIGTERM raises Terminated, so that whoever is stopped can stop what it began."""

    def stop(number: int, frame: FrameType | None) -> None:
        raise Terminated

    before = signal.signal(signal.SIGTERM, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _wait(threads: Sequence[Thread]) -> None:
    """Until all have ended; `Thread.join` cannot be trusted once Ctrl-C interrupted one."""
    while any(thread.is_alive() for thread in threads):
        time.sleep(0.05)


@dataclass(frozen=True)
class Batch:
    """Make an object of each line of a text file, on as many devices as there are.

    Leaves a run of `dreamlift generate` and what it said for each prompt, and prints the folders
    of those that are finished. The same command again goes on with what is not."""

    prompts: Annotated[Path, tyro.conf.arg(metavar="FILE")]
    """A text file, a prompt on each line."""
    devices: Annotated[tuple[str, ...], tyro.conf.arg(metavar="DEVICE...")] = ("auto",)
    """Where to compute, one process each: cuda:0 cuda:1, or cpu cpu for two on the CPU."""
    out: Annotated[Path | None, tyro.conf.arg(metavar="FOLDER")] = None
    """The folder of the runs; by default runs/batch/FILE."""
    flags: Annotated[str, tyro.conf.arg(metavar="FLAGS")] = ""
    """What else to say to `generate`, in quotes after =: --flags="--recipe sjc --prior sd21"."""

    def run(self) -> int:
        from dreamlift.priors.source import device_named

        prompts = list(dict.fromkeys(lines(self.prompts, "prompt")))
        if dashed := [prompt for prompt in prompts if prompt.startswith("-")]:
            raise BadInput(
                f"{self.prompts} holds {dashed[0]!r}, which begins with - as a flag does. Take the "
                "dash away; flags are said with --flags."
            )
        flags = _words(self.flags)
        if not self.devices:
            raise BadInput("No device was named. Say --devices cuda:0 cuda:1, or leave it out.")
        devices = [device_named(name) for name in self.devices]
        out = self.out or Path("runs/batch") / self.prompts.stem
        refuse(prompts, devices[0], out, flags)
        _writable(out)
        work = Work(prompts, out, flags)
        try:
            with terminable():
                work.on(devices)
        except KeyboardInterrupt as stop:
            lost = "Stopped" if isinstance(stop, Terminated) else "Interrupted; nothing is lost"
            said = f"{lost}, and the same command goes on."
            raise KeyboardInterrupt(said) from None
        failed = [prompt for prompt in prompts if work.ended.get(prompt) != 0]
        for prompt in prompts:
            if prompt not in failed:
                print(place(out, prompt))
        for prompt in failed:
            log.warning("%r was not made: see %s.", prompt, place(out, prompt).with_suffix(".log"))
        return 1 if failed else 0


def _words(said: str) -> list[str]:
    """The flags, one by one. Raises BadInput for an open quote, and for those of batch itself."""
    try:
        flags = shlex.split(said)
    except ValueError as error:
        raise BadInput(
            f"--flags {said!r} cannot be read: {str(error).lower()}. Close what was opened."
        ) from error
    if taken := [word for word in flags if word.partition("=")[0] in OURS]:
        raise BadInput(f"{taken[0]} is not for --flags: say --devices and --out of batch.")
    return flags


def _writable(out: Path) -> None:
    """Make the folder of the runs. Raises BadInput where nothing can be written there."""
    try:
        out.mkdir(parents=True, exist_ok=True)
        TemporaryFile(dir=out).close()
    except OSError as error:
        reason = error.strerror or str(error)
        raise BadInput(
            f"Cannot write to {out}: {reason}. Choose another folder with --out."
        ) from error
