"""Recordings decoded ahead of the model in a thread, and given up when nothing comes of one."""

import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from torch import Tensor

from export.bulk.places import as_file, is_url
from export.errors import InputError, MissingPackageError, first_line
from export.runtime.audio import Recording
from export.runtime.guards import Meter

# A burst, which is what the thread decodes before it wakes the model: some megabytes, and no more
# entries than that where recordings are short. Two threads of one interpreter that wake each other
# at every recording cost a tenth of all time.
_SAMPLES, _ENTRIES = 1 << 20, 64
# The model takes less than a burst where none is complete for so long, as of a slow remote.
_PATIENCE = 0.05
# Recordings that are fetched from a remote at once, as long as they have no more bytes than that.
_FETCHES, _SMALL = 16, 1 << 22


class Wanted(NamedTuple):
    """A recording to be read."""

    name: str
    """For messages."""
    place: str
    """Path or URL; of the archive, where it is in one."""
    part: tuple[int, int] | None = None
    error: str | None = None
    """Why it is not even to be tried."""


class _Copy:
    """A recording as a file of this machine, on its way from now on where it is remote."""

    def __init__(self, wanted: Wanted, came: Callable[[], None], threads: Executor) -> None:
        self.wanted = wanted
        self.size = 0
        """Bytes that were fetched."""
        self._file = as_file(wanted.place, wanted.part, came)
        remote = wanted.error is None and is_url(wanted.place)
        self._coming = threads.submit(self._file.__enter__) if remote else None

    @contextmanager
    def here(self) -> Iterator[Path]:
        """Wait for the file, and take it away afterwards."""
        if self._coming is None:
            with self._file as path:
                yield path
            return
        path = self._coming.result()
        with ExitStack() as closing:
            closing.push(self._file)
            self.size = path.stat().st_size
            yield path


class _Abandoned(Exception):
    """Nobody waits for this thread any more."""


_END = object()


class _Line:
    """From the thread that reads to the model, in bursts.

    An entry is a file's rate with its meter, a block, an error, or the end of a recording. The next
    burst is made while one is used, or in turns: when it is used up.
    """

    def __init__(self, turns: bool) -> None:
        self.beat = time.monotonic()
        """When something last arrived."""
        self._made: deque[Any] = deque()
        self._used: deque[Any] = deque()
        self._samples = 0
        self._turns = turns
        self._asked = self._ended = self._abandoned = False
        self._changed = threading.Condition()

    def came(self) -> None:
        """Something arrived."""
        if self._abandoned:
            raise _Abandoned
        self.beat = time.monotonic()

    def put(self, entry: Any) -> None:
        """Add to the burst; wait for the model when it is complete."""
        self.came()
        with self._changed:
            self._made.append(entry)
            self._samples += len(entry) if isinstance(entry, Tensor) else 0
            if not self._complete():
                return
            self._changed.notify_all()
            self._changed.wait_for(lambda: self._abandoned or self._next_is_due())
        self.came()

    def end(self) -> None:
        """Nothing more will come."""
        with self._changed:
            self._ended = True
            self._changed.notify_all()

    def take(self) -> Any:
        """What waits longest; None if there was nothing for a moment."""
        if not self._used:
            with self._changed:
                self._asked = True
                self._changed.notify_all()
                self._changed.wait_for(lambda: self._complete() or self._ended, _PATIENCE)
                self._used, self._made, self._samples = self._made, deque(), 0
                self._asked = False
                self._changed.notify_all()
        return self._used.popleft() if self._used else None

    def abandon(self) -> None:
        """Let the thread end."""
        with self._changed:
            self._abandoned = True
            self._changed.notify_all()

    def _complete(self) -> bool:
        return self._samples >= _SAMPLES or len(self._made) >= _ENTRIES

    def _next_is_due(self) -> bool:
        return not self._complete() and (self._asked or not self._turns)


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
        turns: decode only while nobody works with what is decoded: where the model's runtime keeps
            the interpreter to itself, the two would get in each other's way.

    Attributes:
        stuck: how many threads were left behind in a decoder that did not come back.
        seconds: what was taken by ``fetch`` (waiting, of the clock) and ``decode`` (of the
            processor).
    """

    def __init__(
        self,
        wanted: Sequence[Wanted],
        rate: int,
        limit: float,
        alive: Callable[[], None] = lambda: None,
        turns: bool = False,
    ) -> None:
        self._wanted = wanted
        self._rate = rate
        self._limit = limit
        self._alive = alive
        self._turns = turns
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
        self._line.abandon()

    def take(self, index: int) -> Any:
        """The next entry of a recording; an error where nothing came for too long."""
        # The thread may have been waiting for the model since its last beat.
        start = time.monotonic()
        while True:
            entry = self._line.take()
            self._alive()
            if entry is not None:
                return entry
            if time.monotonic() - max(start, self._line.beat) < self._limit:
                continue
            self._line.abandon()
            self.stuck += 1
            self._line = self._started(index + 1)
            name = self._wanted[index].name
            return InputError(f"{name}: nothing came of it for {self._limit:g} s; given up")

    def _started(self, first: int) -> _Line:
        line = _Line(self._turns)
        threading.Thread(target=self._run, args=(line, first), daemon=True).start()
        return line

    def _run(self, line: _Line, first: int) -> None:
        try:
            for copy in self._copies(line, first):
                try:
                    self._read(line, copy)
                except InputError as error:
                    line.put(error)
                except _Abandoned:
                    raise
                except Exception as error:  # a decoder's own; the next recording's turn comes
                    text = f"{copy.wanted.name}: {first_line(error)}"
                    line.put(InputError(text))
            line.end()
        except _Abandoned:
            return

    def _copies(self, line: _Line, first: int) -> Iterator[_Copy]:
        """In order, while the next ones are fetched, or there would be a wait for each.

        After a long one only the next is, or their copies would fill the disk.
        """
        threads = ThreadPoolExecutor(_FETCHES)
        coming: deque[_Copy] = deque()
        ahead = 1
        try:
            for wanted in self._wanted[first:]:
                coming.append(_Copy(wanted, line.came, threads))
                while len(coming) > ahead:
                    copy = coming.popleft()
                    yield copy
                    ahead = min(2 * ahead, _FETCHES) if copy.size <= _SMALL else 1
            yield from coming
        finally:
            threads.shutdown(wait=False, cancel_futures=True)

    def _read(self, line: _Line, copy: _Copy) -> None:
        wanted = copy.wanted
        line.came()
        if wanted.error is not None:
            raise InputError(wanted.error)
        start = time.perf_counter()
        with copy.here() as path:
            self.seconds["fetch"] += time.perf_counter() - start
            try:
                with Recording(path, self._rate) as recording:
                    line.put((recording.rate, recording.meter))
                    for block in self._timed(recording.blocks()):
                        line.put(block)
            except InputError as error:
                if isinstance(error, MissingPackageError):
                    raise
                raise InputError(str(error).replace(str(path), wanted.name)) from error
            line.put(_END)

    def _timed(self, blocks: Iterator[Tensor]) -> Iterator[Tensor]:
        while True:
            start = time.thread_time()
            block = next(blocks, None)
            self.seconds["decode"] += time.thread_time() - start
            if block is None:
                return
            yield block
