"""One training by several processes, each with pictures of its own: gradients are averaged.

The first process is the training: it keeps the clock, the log and the checkpoint. The others follow
it, step for step, with the same weights, and write nothing.
"""

import os
import time
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from multiprocessing.process import BaseProcess
from signal import SIG_IGN, SIGINT, signal
from typing import Protocol, runtime_checkable

import torch
import torch.distributed as dist
from torch import Tensor
from torch.multiprocessing import get_context


class Parted(RuntimeError):
    """Another process of the training is no more."""


@dataclass(frozen=True)
class Together:
    """This process's place among those of a training."""

    rank: int = 0
    """0 is the first."""
    count: int = 1

    def mean(self, gradients: Sequence[Tensor]) -> None:
        """Put in place of each tensor the mean of all processes' own.

        All of them get the same bits. Raises Parted where another process has ended.
        """
        if self.count == 1:
            return
        flat = torch.cat([g.flatten() for g in gradients])
        try:
            dist.all_reduce(flat)
        except RuntimeError as error:
            raise Parted(
                "Another process of this training has ended; what it said is above. The training "
                "is saved, and the same command continues it."
            ) from error
        pieces = flat.div_(self.count).split([g.numel() for g in gradients])
        for gradient, piece in zip(gradients, pieces, strict=True):
            gradient.copy_(piece.view_as(gradient))


ALONE = Together()


@runtime_checkable
class Training(Protocol):
    """What a process runs, at its place."""

    def __call__(self, *, together: Together) -> None: ...


@contextmanager
def beside(count: int, follow: Training) -> Generator[Together]:
    """This process as the first of `count`; the others call `follow`, which must pickle.

    The threads are shared out. Where this process leaves, or is killed, the others end.
    """
    if count == 1:
        yield ALONE
        return
    threads = torch.get_num_threads()
    each = max(1, threads // count)
    said = os.environ.get("OMP_NUM_THREADS")
    os.environ["OMP_NUM_THREADS"] = str(each)
    store = dist.TCPStore("127.0.0.1", 0, count, is_master=True, wait_for_workers=False)  # pyright: ignore[reportPrivateImportUsage]
    spawned = get_context("spawn")
    others = [
        spawned.Process(
            target=_follow, args=(Together(rank, count), store.port, each, follow), daemon=True
        )
        for rank in range(1, count)
    ]
    try:
        torch.set_num_threads(each)
        for other in others:
            other.start()
        _gather(store, others)
        dist.init_process_group("gloo", store=store, rank=0, world_size=count, timeout=_PATIENCE)
        yield Together(0, count)
    finally:
        if dist.is_initialized():
            dist.destroy_process_group()
        for other in others:
            if other.pid is not None:
                other.terminate()
                other.join()
        torch.set_num_threads(threads)
        if said is None:
            del os.environ["OMP_NUM_THREADS"]
        else:
            os.environ["OMP_NUM_THREADS"] = said


def _gather(store: dist.TCPStore, others: Sequence[BaseProcess]) -> None:  # pyright: ignore[reportPrivateImportUsage]
    """Wait until all others are here. Raises Parted where one ends before."""
    for rank, other in enumerate(others, 1):
        while not store.check([str(rank)]):
            if not other.is_alive():
                raise Parted(
                    "Another process of this training ended as it began, and nothing was done; "
                    "what it said is above. Fewer --processes need less memory."
                )
            time.sleep(0.05)


_PATIENCE = timedelta(hours=1)
"""For another's step: the first looks at its samples meanwhile, a laptop may sleep."""


def _follow(place: Together, port: int, threads: int, follow: Training) -> None:
    """One of the others."""
    signal(SIGINT, SIG_IGN)  # the first is told, and ends them
    torch.set_num_threads(threads)
    store = dist.TCPStore("127.0.0.1", port, place.count, is_master=False)  # pyright: ignore[reportPrivateImportUsage]
    store.set(str(place.rank), "here")
    dist.init_process_group(
        "gloo", store=store, rank=place.rank, world_size=place.count, timeout=_PATIENCE
    )
    try:
        follow(together=place)
    except Parted:
        return
