"""A step's views in parts: one part after another, or one on each process of torchrun.

    all processes  draw the step's whole batch of shots from the run's generator, which stays equal
    part p of P    is rendered and scored with a generator that follows from the step's and p alone
    then           phi's gradient is the mean over the parts, summed over the processes

So n processes do what one process does with the same parts, to rounding, and a run may go on with
another number of them. phi, its optimiser and the run's generator are the same everywhere, and
only the process of rank 0 writes. Data parallelism by hand: no wrapper, no hooks.
"""

import os
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor

from dreamlift.errors import BadInput
from dreamlift.fit import Crew, Descended, Score, crew
from dreamlift.scene import Rendering, Shot
from dreamlift.step import Step

_parts: ContextVar[int] = ContextVar("parts", default=1)


def join(device: str) -> int:
    """Meet the other processes of torchrun, once; how many there are, 1 without it.

    On CUDA "cuda" is from now on each process's own GPU.
    """
    world = int(os.environ.get("WORLD_SIZE", "1"))
    if world > 1 and not dist.is_initialized():
        cuda = device.startswith("cuda")
        if cuda:
            torch.cuda.set_device(int(os.environ.get("LOCAL_RANK", "0")))
        dist.init_process_group("nccl" if cuda else "gloo")
    return _where()[1]


def _where() -> tuple[int, int]:
    """This process's rank, and how many there are."""
    if dist.is_available() and dist.is_initialized():
        return dist.get_rank(), dist.get_world_size()
    return 0, 1


def leads() -> bool:
    """Whether this process is the one that writes."""
    return _where()[0] == 0


def meet() -> None:
    """Wait until all processes are here."""
    if _where()[1] > 1:
        dist.barrier()


@contextmanager
def into(parts: int) -> Generator[None]:
    """Steps inside are done in so many parts; 1: as ever. Raises BadInput for fewer than there are
    processes, or for parts that these do not share evenly."""
    world = _where()[1]
    if parts < 1 or parts % world:
        raise BadInput(
            f"{world} processes share the parts of a step evenly; --split {parts} is no multiple "
            "of that."
        )
    done = crew.get() if parts == 1 else Crew(leads, agreed, descend)
    tokens = _parts.set(parts), crew.set(done)
    try:
        yield
    finally:
        _parts.reset(tokens[0])
        crew.reset(tokens[1])


def check(parts: int, batch: int, together: int = 1) -> None:
    """Raise BadInput for a batch that has no such parts, of groups of `together` views."""
    if parts < 1 or batch % (parts * together):
        raise BadInput(
            f"A batch of {batch} views has no {parts} equal parts"
            f"{f' of groups of {together}' if together > 1 else ''}. Say --batch "
            f"{max(parts, 1) * together}, or another --split."
        )


def shares(shot: Shot, step: Step) -> list[tuple[Shot, Step]]:
    """The parts of a step that this process does, each with a generator of its own; in one part
    the step itself."""
    parts, (rank, world) = _parts.get(), _where()
    if parts == 1:
        return [(shot, step)]
    device = step.rng.device
    seed = int(torch.randint(2**62, (), generator=step.rng, device=device))
    size = len(shot) // parts
    found: list[tuple[Shot, Step]] = []
    for part in range(rank, parts, world):
        rng = torch.Generator(device).manual_seed(seed + part)
        own = shot[part * size : (part + 1) * size]
        found.append((own, Step(step.index, step.total, rng)))
    return found


def descend(shot: Shot, step: Step, score: Score, optimizer: torch.optim.Optimizer) -> Descended:
    """Leave in phi's .grad the gradient of the step's loss, the mean over its parts.

    Returns what the first part of this process showed, and the mean losses.
    """
    parts = _parts.get()
    views: list[Rendering[Any]] = []
    total: Tensor | None = None
    names: Sequence[str] = ()
    for own, at in shares(shot, step):
        view, terms = score(own, at)
        scalars = torch.stack(list(terms.values())) / parts
        scalars.sum().backward()
        views.append(view)
        names, total = [*terms], scalars.detach() + (0 if total is None else total)
    if total is None:
        raise ValueError("A step has at least one part.")
    if _where()[1] > 1:
        dist.all_reduce(total)
        _sum_gradients(optimizer)
    return views[0], dict(zip(names, total.tolist(), strict=True))


def _sum_gradients(optimizer: torch.optim.Optimizer) -> None:
    """Add up the processes' gradients, in one message for each type of number."""
    held: list[Any] = [p for group in optimizer.param_groups for p in group["params"]]
    for dtype in dict.fromkeys(p.dtype for p in held):
        some = [p for p in held if p.dtype == dtype and p.requires_grad]
        for p in some:
            p.grad = torch.zeros_like(p) if p.grad is None else p.grad
        flat = torch.cat([p.grad.flatten() for p in some])
        dist.all_reduce(flat)
        for p, grad in zip(some, flat.split([p.numel() for p in some]), strict=True):
            p.grad.copy_(grad.view_as(p))


def agreed(stop: bool) -> bool:
    """Whether any of the processes wants to stop."""
    if _where()[1] == 1:
        return stop
    device = "cuda" if dist.get_backend() == "nccl" else "cpu"  # nccl sends what is on GPUs only
    wants = torch.tensor(float(stop), device=device)
    dist.all_reduce(wants)
    return bool(wants > 0)
