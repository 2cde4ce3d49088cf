"""The Ray engine: the same slices, the same watched worker in each actor, on any machines.

Ray hands out slices, starts actors again and repeats what a lost one held. An actor is a crew of
one: a recording that kills or hangs its process is given up as on one machine. Store and input must
be within reach of all machines.
"""

import json
import logging
import os
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from typing import Any

from export.bulk.crew import Crew, Limits
from export.bulk.facts import Facts
from export.bulk.worker import Task
from export.extras import require


class SliceActor:
    """Turns slices into shards; Ray makes it, and calls it with batches of slices' numbers."""

    def __init__(self, task: Task, limits: Limits) -> None:
        self._crew = Crew(1, task, limits).__enter__()
        self._crew.meet()

    def __call__(self, batch: dict[str, Any]) -> dict[str, list[Any]]:
        """The numbers with what is in their shards, as JSON."""
        waiting = [int(number) for number in batch["slice"]]
        events = self._crew.work(lambda: waiting.pop() if waiting else None, lambda: bool(waiting))
        done = [event for event in events if event is not None]
        return {
            "slice": [event.number for event in done],
            "facts": [json.dumps(asdict(event.facts)) for event in done],
        }


def run_on_ray(
    pending: Sequence[int], task: Task, limits: Limits, jobs: int, address: str | None
) -> Iterator[Facts]:
    """Work off slices on a Ray cluster, or on a Ray of this machine alone.

    Raises:
        MissingPackageError: if Ray is not installed.
    """
    ray, data = require("ray"), require("ray.data")
    if not pending:
        return
    # Its native code warns that arguments of actors could get lost; they live where this runs.
    os.environ.setdefault("RAY_BACKEND_LOG_LEVEL", "fatal")
    ours = not ray.is_initialized()
    if ours:
        here = {"num_cpus": jobs, "include_dashboard": False} if address is None else {}
        ray.init(address, log_to_driver=False, logging_level=logging.ERROR, **here)
    try:
        _be_quiet(data)
        # A block for each slice: a lost actor costs the slices that it held, and no more.
        slices = data.from_items([{"slice": n} for n in pending], override_num_blocks=len(pending))
        done = slices.map_batches(
            SliceActor,
            fn_constructor_args=(task, limits),
            batch_size=1,
            compute=data.ActorPoolStrategy(size=jobs),
            num_cpus=1,
        )
        for row in done.iter_rows():
            yield Facts(**json.loads(row["facts"]))
    finally:
        if ours:
            ray.shutdown()


def _be_quiet(data: Any) -> None:
    """Progress is ours to show."""
    context = data.DataContext.get_current()
    context.enable_progress_bars = False
    context.print_on_execution_start = False
    logging.getLogger("ray.data").setLevel(logging.ERROR)
