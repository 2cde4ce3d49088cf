"""Workers that die, hang, grow or give up."""

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import crew_targets
import pytest

from export.bulk import crew as crews
from export.bulk.crew import Crew, Limits
from export.bulk.facts import Facts
from export.bulk.worker import Task
from export.errors import InputError

LIMITS = Limits()


def work(target: Callable[..., None], limits: Limits = LIMITS, store: str = "") -> dict[int, Any]:
    """Four slices by two workers."""
    waiting = [3, 2, 1, 0]
    task = Task("a.pt", False, store, "", limits.seconds)
    with Crew(2, task, limits, target) as crew:
        events = crew.work(lambda: waiting.pop() if waiting else None, lambda: bool(waiting))
        found = [event for event in events if event is not None]
    assert sorted(event.number for event in found) == [0, 1, 2, 3]
    return {event.number: event.facts for event in found}


def spoiled(facts: Facts) -> list[str]:
    return list(facts.decisions)


def test_all_slices_are_worked_off() -> None:
    assert all(facts == Facts(5) for facts in work(crew_targets.sound).values())


def test_a_recording_that_kills_its_worker_twice_is_given_up() -> None:
    found = work(crew_targets.crashes)
    assert spoiled(found[1]) == ["given up: the process that read it died, twice (signal 6)"]
    assert not any(spoiled(found[number]) for number in (0, 2, 3))


def test_a_worker_that_died_of_something_else_costs_nothing(tmp_path: Path) -> None:
    found = work(crew_targets.crashes_once, store=str(tmp_path / "mark"))
    assert (tmp_path / "mark").exists()
    assert not any(map(spoiled, found.values()))


def test_nothing_that_a_worker_fetched_stays_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    assert spoiled(work(crew_targets.leaves_a_copy)[1])
    assert list(tmp_path.iterdir()) == []


def test_a_recording_that_hangs_the_whole_process_is_given_up(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(crews, "_GRACE", 0.5)
    found = work(crew_targets.hangs, Limits(seconds=0.5))
    assert "given up: nothing came of it for" in spoiled(found[0])[0]


def test_a_recording_that_takes_too_much_memory_is_given_up() -> None:
    found = work(crew_targets.grows, Limits(megabytes=300))
    assert spoiled(found[1]) == ["given up: needs more than 300 MB of memory"]


@pytest.mark.parametrize(
    ("target", "said"),
    [(crew_targets.cannot, "^disk: full$"), (crew_targets.dies, "workers die when they load it")],
)
def test_what_no_worker_can_do_ends_the_run(target: Callable[..., None], said: str) -> None:
    with pytest.raises(InputError, match=said):
        work(target)
