"""Workers that do what workers should not; imported by themselves, so without torch."""

import os
import time
from typing import Any

from export.bulk.facts import Facts, Pulse
from export.bulk.worker import Finished, Ready, Stopped, Task

RECORDINGS = 5


def _serve(pipe: Any, cells: Any, task: Task, meet: Any) -> None:
    """Slices of five recordings; ``meet`` is called with slice and recording."""
    pulse = Pulse(cells)
    pipe.send(Ready("digest", "", {}))
    while (order := pipe.recv()) is not None:
        pulse.start()
        for index in range(RECORDINGS):
            pulse.at(index)
            if index not in order.spoiled:
                meet(order.number, index)
        errors = len(order.spoiled)
        reasons = dict.fromkeys(order.spoiled.values(), 1)
        pipe.send(Finished(order.number, Facts(RECORDINGS, errors, decisions=reasons)))


def sound(pipe: Any, cells: Any, task: Task) -> None:
    """Nothing happens."""
    _serve(pipe, cells, task, lambda number, index: None)


def crashes(pipe: Any, cells: Any, task: Task) -> None:
    """Recording 3 of slice 1 kills whoever reads it."""
    _serve(pipe, cells, task, lambda number, index: (number, index) == (1, 3) and os.abort())


def crashes_once(pipe: Any, cells: Any, task: Task) -> None:
    """The first that comes to slice 1 dies of something else."""

    def meet(number: int, index: int) -> None:
        if number == 1 and not os.path.exists(task.store):
            open(task.store, "w").close()
            os.kill(os.getpid(), 9)

    _serve(pipe, cells, task, meet)


def leaves_a_copy(pipe: Any, cells: Any, task: Task) -> None:
    """Slice 1 dies with a recording fetched to where all copies of this worker go."""

    def meet(number: int, index: int) -> None:
        with open(f"{task.scratch}/copy{number}{index}.wav", "w"):
            if number == 1:
                os.abort()

    _serve(pipe, cells, task, meet)


def hangs(pipe: Any, cells: Any, task: Task) -> None:
    """Recording 2 of slice 0 does not come back."""
    _serve(pipe, cells, task, lambda number, index: (number, index) == (0, 2) and time.sleep(600))


def grows(pipe: Any, cells: Any, task: Task) -> None:
    """Recording 4 of slice 1 takes 400 MB, and a while."""
    held = []

    def meet(number: int, index: int) -> None:
        if (number, index) == (1, 4):
            held.append(b"x" * (400 << 20))
            time.sleep(600)

    _serve(pipe, cells, task, meet)


def cannot(pipe: Any, cells: Any, task: Task) -> None:
    """Says so."""
    pipe.send(Stopped("disk: full"))


def dies(pipe: Any, cells: Any, task: Task) -> None:
    """Before it is ready."""
    os._exit(3)
