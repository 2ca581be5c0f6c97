"""Making the next step's data while the network learns from this one's."""

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Generic, TypeVar

T = TypeVar("T")


class Ahead(Generic[T]):
    """make(step), one step ahead in a thread; steps are made in order, each once."""

    def __init__(self, make: Callable[[int], T]) -> None:
        self.make = make
        self.thread = ThreadPoolExecutor(1)
        self.due: tuple[int, Future[T]] | None = None

    def __call__(self, step: int) -> T:
        if self.due is None or self.due[0] != step:
            self.due = step, self.thread.submit(self.make, step)
        made = self.due[1].result()
        self.due = step + 1, self.thread.submit(self.make, step + 1)
        return made
