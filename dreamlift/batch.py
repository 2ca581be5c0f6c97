"""`dreamlift batch`: many prompts, one process for each device, each taking the next prompt.

A process is a `dreamlift generate` of its own, so that nothing is shared but the disk: one prompt
that fails leaves the others alone, and a device is never idle while prompts are left.
"""

import hashlib
import logging
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from queue import Empty, Queue
from threading import Thread
from typing import Annotated

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

    def on(self, devices: Sequence[str]) -> None:
        """Make them, one process for each of `devices` at a time. Ctrl-C stops all of them."""
        waiting: Queue[str] = Queue()
        for prompt in self.prompts:
            waiting.put(prompt)
        threads = [Thread(target=self._serve, args=(each, waiting)) for each in devices]
        for thread in threads:
            thread.start()
        try:
            _wait(threads)
        except KeyboardInterrupt:
            self.stopped = True
            for process in [*self.running.values()]:
                process.send_signal(signal.SIGINT)
            _wait(threads)
            raise

    def _serve(self, device: str, waiting: "Queue[str]") -> None:
        """A device's thread."""
        while not self.stopped:
            try:
                prompt = waiting.get_nowait()
            except Empty:
                return
            folder = place(self.out, prompt)
            with folder.with_suffix(".log").open("wb") as said:
                words = command(prompt, device, folder, self.flags)
                # Out of the terminal's group: Ctrl-C reaches it once, from here.
                process = subprocess.Popen(
                    words, stdout=said, stderr=subprocess.STDOUT, start_new_session=True
                )
                self.running[prompt] = process
                code = process.wait()
                del self.running[prompt]
            self.ended[prompt] = code
            log.info("%s: %s (%s)", prompt, "done" if code == 0 else f"exit code {code}", device)


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
    """What else to say to `generate`, in quotes: --flags "--recipe sjc --prior sd21"."""

    def run(self) -> int:
        from dreamlift.priors.source import device_named

        prompts = list(dict.fromkeys(lines(self.prompts, "prompt")))
        flags = shlex.split(self.flags)
        if taken := [word for word in flags if word.partition("=")[0] in OURS]:
            raise BadInput(f"{taken[0]} is not for --flags: say --devices and --out of batch.")
        if not self.devices:
            raise BadInput("No device was named. Say --devices cuda:0 cuda:1, or leave it out.")
        devices = [device_named(name) for name in self.devices]
        out = self.out or Path("runs/batch") / self.prompts.stem
        out.mkdir(parents=True, exist_ok=True)
        work = Work(prompts, out, flags)
        try:
            work.on(devices)
        except KeyboardInterrupt:
            said = "Interrupted; nothing is lost, and the same command goes on."
            raise KeyboardInterrupt(said) from None
        failed = [prompt for prompt in prompts if work.ended.get(prompt) != 0]
        for prompt in prompts:
            if prompt not in failed:
                print(place(out, prompt))
        for prompt in failed:
            log.warning("%r was not made: see %s.", prompt, place(out, prompt).with_suffix(".log"))
        return 1 if failed else 0
