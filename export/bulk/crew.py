"""Worker processes, watched: one that dies, hangs or grows is replaced, and what it held redone."""

import multiprocessing
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from multiprocessing.connection import Connection, wait
from pathlib import Path
from tempfile import TemporaryDirectory
from types import TracebackType
from typing import Any

from export.bulk.facts import Pulse
from export.bulk.worker import Finished, Order, Ready, Stopped, Task, serve
from export.errors import InputError

_TICK = 0.25
# The same while a worker has nothing to do, and a slice may come any moment.
_IDLE_TICK = 0.02
# Beyond the time limit, which a worker keeps by itself unless its interpreter hangs.
_GRACE = 15.0
# A recording at which so many workers died is not tried again.
_DEATHS = 2
_STARTS = 3


@dataclass(frozen=True)
class Limits:
    """What a worker may take."""

    seconds: float = 60.0
    """That a recording may give nothing for."""
    megabytes: float | None = None
    """Of memory of its own, beside what processes share."""


class _Worker:
    """A process, and what it is at."""

    def __init__(self, target: Callable[..., None], task: Task) -> None:
        context = multiprocessing.get_context("spawn")
        self.cells = context.RawArray("d", Pulse.SIZE)
        self.cells[0] = time.monotonic()
        self.pipe: Connection[Any, Any]
        self.pipe, theirs = context.Pipe()
        # A worker that is killed leaves the copies behind that it was at.
        self._scratch = TemporaryDirectory(prefix="scriptable-bulk-", ignore_cleanup_errors=True)
        task = replace(task, scratch=self._scratch.name)
        self.process = context.Process(target=target, args=(theirs, self.cells, task), daemon=True)
        self.process.start()
        theirs.close()
        self.ready = False
        self.order: Order | None = None

    def give(self, order: Order) -> None:
        """A slice to work at."""
        self.order = order
        self.cells[:] = [time.monotonic(), 0.0, 0.0, 0.0]
        self.pipe.send(order)

    def end(self) -> None:
        """Kill it; what it has finished is on the disk."""
        self.process.kill()
        self.process.join()
        self.pipe.close()
        self._scratch.cleanup()

    @property
    def megabytes(self) -> float:
        """Memory of its own; 0 where the system does not say."""
        try:
            status = Path(f"/proc/{self.process.pid}/status").read_text()
        except OSError:
            return 0.0
        lines = (line.split() for line in status.splitlines() if line.startswith("RssAnon:"))
        return float(next(lines, ["", "0"])[1]) / 1024


class Crew:
    """Several workers; a context manager.

    Args:
        jobs: how many.
        task: what they are told.
        limits: what each may take.
        target: what they run.

    Attributes:
        peak: the most memory of its own that a worker took, in megabytes.
    """

    def __init__(
        self,
        jobs: int,
        task: Task,
        limits: Limits,
        target: Callable[..., None] = serve,
    ) -> None:
        self._jobs = jobs
        self._task = task
        self._limits = limits
        self._target = target
        self._workers: list[_Worker] = []
        self._again: list[Order] = []
        self._deaths: Counter[tuple[int, int]] = Counter()
        self._failed_starts = 0
        self._met: Ready | None = None
        self.peak = 0.0

    def __enter__(self) -> "Crew":
        self._start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """End all workers."""
        for worker in self._workers:
            worker.end()
        self._workers = []

    def meet(self) -> Ready:
        """What the workers have loaded, once one has.

        Raises:
            InputError: if it cannot be loaded.
        """
        while self._met is None:
            for _ in self._heard():
                pass
            self._start()
        return self._met

    @property
    def under_way(self) -> tuple[int, int]:
        """Recordings that are done in slices that are not, and how many of them are errors."""
        busy = [worker.cells for worker in self._workers if worker.order is not None]
        return int(sum(cells[2] for cells in busy)), int(sum(cells[3] for cells in busy))

    def work(
        self, next_slice: Callable[[], int | None], waits: Callable[[], bool]
    ) -> Iterator[Any]:
        """Have slices worked off.

        Args:
            next_slice: gives the next one, or None where there is none now.
            waits: whether there may be one later.

        Yields:
            :class:`Finished` for each, and None now and then.

        Raises:
            InputError: if no worker can do the work.
        """
        while True:
            more = waits()
            self._hand_out(next_slice)
            busy = any(worker.order is not None for worker in self._workers)
            if not busy and not self._again and not more:
                return
            yield from self._heard()
            self._look_after()
            yield None

    def _hand_out(self, next_slice: Callable[[], int | None]) -> None:
        for worker in [w for w in self._workers if w.ready and w.order is None]:
            order = self._next(next_slice)
            if order is None:
                return
            worker.give(order)
        self._start()

    def _start(self) -> None:
        """As many workers as there should be, without waiting for them."""
        while len(self._workers) < self._jobs:
            self._workers.append(_Worker(self._target, self._task))

    def _next(self, next_slice: Callable[[], int | None]) -> Order | None:
        if self._again:
            return self._again.pop()
        number = next_slice()
        return None if number is None else Order(number, {})

    def _heard(self) -> Iterator[Finished]:
        """What the workers say, for a moment."""
        pipes = {worker.pipe: worker for worker in self._workers}
        idle = any(worker.ready and worker.order is None for worker in self._workers)
        for pipe in wait(list(pipes), _IDLE_TICK if idle else _TICK):
            worker = pipes[pipe]  # type: ignore[index]
            try:
                said = worker.pipe.recv()
            except (EOFError, OSError):
                self._died(worker, "died")
                continue
            if isinstance(said, Stopped):
                raise InputError(said.reason)
            if isinstance(said, Ready):
                worker.ready, self._failed_starts = True, 0
                self._met = self._met or said
                if said.digest != self._met.digest:
                    place = self._task.artefact
                    raise InputError(f"{place}: was replaced by another while it was in use")
                continue
            worker.order = None
            if said.stuck:
                self._replace(worker)
            yield said

    def _look_after(self) -> None:
        now = time.monotonic()
        for worker in list(self._workers):
            taken = worker.megabytes
            self.peak = max(self.peak, taken)
            if worker.order is None:
                continue
            if self._limits.megabytes is not None and taken > self._limits.megabytes:
                self._spoil(worker, f"needs more than {self._limits.megabytes:g} MB of memory")
            elif now - worker.cells[0] > self._limits.seconds + _GRACE:
                self._spoil(worker, f"nothing came of it for {now - worker.cells[0]:.0f} s")

    def _died(self, worker: _Worker, how: str) -> None:
        worker.process.join()
        code = worker.process.exitcode or 0
        if not worker.ready:
            self._failed_starts += 1
            if self._failed_starts == _STARTS:
                raise InputError(f"{self._task.artefact}: workers die when they load it ({code})")
        if worker.order is not None:
            place = (worker.order.number, int(worker.cells[1]))
            self._deaths[place] += 1
            if self._deaths[place] == _DEATHS:
                signal = f"signal {-code}" if code < 0 else f"exit code {code}"
                self._spoil(worker, f"the process that read it {how}, twice ({signal})")
                return
            self._again.append(worker.order)
        self._replace(worker)

    def _spoil(self, worker: _Worker, reason: str) -> None:
        """Leave out the recording that a worker is at, and do the rest of its slice again."""
        assert worker.order is not None
        spoiled = {**worker.order.spoiled, int(worker.cells[1]): f"given up: {reason}"}
        self._again.append(Order(worker.order.number, spoiled))
        self._replace(worker)

    def _replace(self, worker: _Worker) -> None:
        worker.end()
        self._workers.remove(worker)
