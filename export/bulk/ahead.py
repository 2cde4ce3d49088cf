"""Recordings decoded ahead of the model in a thread, and given up when nothing comes of one."""

import queue
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from torch import Tensor

from export.bulk.places import as_file
from export.errors import InputError, MissingPackageError, first_line
from export.runtime.audio import Recording
from export.runtime.guards import Meter

# Blocks that wait for the model, of at most half a megabyte each.
_WAITING = 16
_TICK = 0.5


class Wanted(NamedTuple):
    """A recording to be read."""

    name: str
    """For messages."""
    place: str
    """Path or URL; of the archive, where it is in one."""
    part: tuple[int, int] | None = None
    error: str | None = None
    """Why it is not even to be tried."""


class _Abandoned(Exception):
    """Nobody waits for this thread any more."""


@dataclass
class _Line:
    """From one thread to the model."""

    entries: "queue.Queue[tuple[int, Any]]" = field(default_factory=lambda: queue.Queue(_WAITING))
    abandoned: bool = False
    beat: float = field(default_factory=time.monotonic)

    def put(self, index: int, entry: Any) -> None:
        while not self.abandoned:
            try:
                self.entries.put((index, entry), timeout=_TICK)
                self.beat = time.monotonic()
                return
            except queue.Full:
                continue
        raise _Abandoned

    def came(self) -> None:
        """Something arrived."""
        if self.abandoned:
            raise _Abandoned
        self.beat = time.monotonic()


_END = object()


class Heard:
    """A recording whose blocks come out of the thread."""

    def __init__(self, ahead: "ReadAhead", index: int) -> None:
        self._ahead = ahead
        self._index = index
        self._ended = False
        self.rate: int | None = None
        """The file's own, in Hz; None until it is known."""
        self.meter: Meter | None = None

    def open(self) -> Meter:
        """Wait until the recording is open.

        Raises:
            InputError: if it cannot be read.
        """
        self.rate, self.meter = self._next()
        return self.meter

    def blocks(self) -> Iterator[Tensor]:
        """The waveform ``[*]``, in order.

        Raises:
            InputError: if it cannot be read to its end, or nothing came for too long.
        """
        while (entry := self._next()) is not _END:
            yield entry

    def skip(self) -> None:
        """Leave out what is left of it."""
        while not self._ended:
            try:
                self._next()
            except InputError:
                return

    def _next(self) -> Any:
        entry = self._ahead.take(self._index)
        self._ended = entry is _END or isinstance(entry, Exception)
        if isinstance(entry, Exception):
            raise entry
        return entry


class ReadAhead:
    """Opens and decodes the recordings one after the other, and hands them out in this order.

    Args:
        wanted: the recordings.
        rate: the sample rate wanted, in Hz.
        limit: seconds that a recording may give nothing for.
        alive: called while waiting, and with every block.

    Attributes:
        stuck: how many threads were left behind in a decoder that did not come back.
        seconds: what was taken by ``fetch`` (of the clock) and ``decode`` (of the processor).
    """

    def __init__(
        self,
        wanted: Sequence[Wanted],
        rate: int,
        limit: float,
        alive: Callable[[], None] = lambda: None,
    ) -> None:
        self._wanted = wanted
        self._rate = rate
        self._limit = limit
        self._alive = alive
        self.stuck = 0
        self.seconds = {"fetch": 0.0, "decode": 0.0}
        self._line = self._started(0)

    def __iter__(self) -> Iterator[Heard]:
        for index in range(len(self._wanted)):
            heard = Heard(self, index)
            yield heard
            heard.skip()

    def close(self) -> None:
        """Let the thread end."""
        self._line.abandoned = True

    def take(self, index: int) -> Any:
        """The next entry of a recording; an error where nothing came for too long."""
        while True:
            try:
                found, entry = self._line.entries.get(timeout=_TICK)
            except queue.Empty:
                self._alive()
                if time.monotonic() - self._line.beat < self._limit:
                    continue
                self._line.abandoned = True
                self.stuck += 1
                self._line = self._started(index + 1)
                name = self._wanted[index].name
                return InputError(f"{name}: nothing came of it for {self._limit:g} s; given up")
            self._alive()
            assert found == index
            return entry

    def _started(self, first: int) -> _Line:
        line = _Line()
        threading.Thread(target=self._run, args=(line, first), daemon=True).start()
        return line

    def _run(self, line: _Line, first: int) -> None:
        try:
            for index in range(first, len(self._wanted)):
                try:
                    self._read(line, index, self._wanted[index])
                except InputError as error:
                    line.put(index, error)
                except _Abandoned:
                    raise
                except Exception as error:  # a decoder's own; the next recording's turn comes
                    text = f"{self._wanted[index].name}: {first_line(error)}"
                    line.put(index, InputError(text))
        except _Abandoned:
            return

    def _read(self, line: _Line, index: int, wanted: Wanted) -> None:
        line.came()
        if wanted.error is not None:
            raise InputError(wanted.error)
        start = time.perf_counter()
        with as_file(wanted.place, wanted.part, line.came) as path:
            self.seconds["fetch"] += time.perf_counter() - start
            try:
                with Recording(path, self._rate) as recording:
                    line.put(index, (recording.rate, recording.meter))
                    for block in self._timed(recording.blocks()):
                        line.put(index, block)
            except InputError as error:
                if isinstance(error, MissingPackageError):
                    raise
                raise InputError(str(error).replace(str(path), wanted.name)) from error
            line.put(index, _END)

    def _timed(self, blocks: Iterator[Tensor]) -> Iterator[Tensor]:
        while True:
            start = time.thread_time()
            block = next(blocks, None)
            self.seconds["decode"] += time.thread_time() - start
            if block is None:
                return
            yield block
