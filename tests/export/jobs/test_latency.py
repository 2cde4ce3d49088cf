"""Latency: the order of the calls, the budget, and the median, on a clock of our own."""

from collections.abc import Callable

import pytest
import torch

from export.jobs import latency


class Clock:
    """Time that passes only when a fake call says so."""

    def __init__(self) -> None:
        self.now, self.order = 0.0, []

    def perf_counter(self) -> float:
        return self.now

    def call(self, name: str, *seconds: float) -> Callable[[], None]:
        """A call that takes these times in turn, the last one for ever."""
        left = list(seconds)

        def run() -> None:
            self.order.append(name)
            self.now += left.pop(0) if len(left) > 1 else left[0]

        return run


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(latency, "time", clock)
    return clock


def test_calls_take_turns_after_one_warm_up_each(clock: Clock) -> None:
    calls = {"a": clock.call("a", 0.01), "b": clock.call("b", 0.02)}
    latency.medians(calls, rounds=3)
    assert clock.order == ["a", "b"] * 4


def test_the_median_is_in_milliseconds_and_leaves_the_warm_up_out(clock: Clock) -> None:
    calls = {
        "steady": clock.call("steady", 9.0, 0.002),
        "jumpy": clock.call("jumpy", 5.0, 0.001, 0.5, 0.003, 0.004, 0.002),
    }
    found = latency.medians(calls, rounds=5)
    assert found["steady"] == pytest.approx(2.0)
    assert found["jumpy"] == pytest.approx(3.0)


def test_a_slow_call_leaves_once_its_budget_is_used_up(clock: Clock) -> None:
    calls = {"slow": clock.call("slow", 1.5), "fast": clock.call("fast", 0.001)}
    found = latency.medians(calls, rounds=10, budget=4.0)
    # Warm-up, then 1.5, 3.0 and 4.5 seconds.
    assert clock.order.count("slow") == 1 + 3
    assert clock.order.count("fast") == 1 + 10
    assert found == {"slow": pytest.approx(1500.0), "fast": pytest.approx(1.0)}


def test_a_call_beyond_the_budget_is_still_measured_once(clock: Clock) -> None:
    assert latency.medians({"x": clock.call("x", 60.0)})["x"] == pytest.approx(60000.0)
    assert clock.order == ["x", "x"]


def test_one_thread_is_one_thread() -> None:
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(2)
        latency.use_one_thread()
        assert torch.get_num_threads() == 1
    finally:
        torch.set_num_threads(before)
