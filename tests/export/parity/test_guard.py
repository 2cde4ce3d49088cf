"""The guard of files with fewer bits: what each bound refuses, and in which words."""

from dataclasses import replace

import pytest

from export.parity.decisions import Rung
from export.parity.guard import BOUNDS, judge, refusals
from export.runtime.precision import PrecisionGuard

GOOD = Rung("x.pte", "executorch_xnnpack", 60, 0.004, 0.999, 0, (), 0.01, (-0.02, 0.03))


def judged(precision: str = "int8", largest: float = 0.5, speech: float = 0.0, **changes: object):
    return judge(precision, replace(GOOD, **changes), largest, speech, 12)  # type: ignore[arg-type]


def test_what_is_within_all_bounds_passes_with_its_figures() -> None:
    guard = judged()
    assert refusals(guard) == []
    assert guard == PrecisionGuard(
        verdict="passed",
        trials=60,
        flips=0,
        most_flips=1,
        max_score_error=0.004,
        score_tolerance=0.03,
        delta_eer=(0.01, -0.02, 0.03),
        calibration_windows=12,
    )


@pytest.mark.parametrize(
    ("precision", "trials", "flips", "passes"),
    [
        ("int8", 60, 1, True),
        ("int8", 60, 2, False),
        ("int8", 59, 1, False),
        ("int8", 120, 2, True),
        ("mixed16", 600, 1, False),
        ("mixed16", 600, 0, True),
    ],
)
def test_decisions(precision: str, trials: int, flips: int, passes: bool) -> None:
    guard = judged(precision, trials=trials, flips=flips)
    assert (guard.verdict == "passed") is passes
    said = (
        [] if passes else [f"{flips} of {trials} decisions change, at most {guard.most_flips} may"]
    )
    assert refusals(guard) == said


def test_the_score_error_counts_real_speech_and_grows_with_the_scores() -> None:
    assert judged(max_score_error=0.0301).verdict == "forced"
    assert judged(speech=0.0301).max_score_error == 0.0301
    assert refusals(judged(speech=0.0301)) == ["a score is off by 0.03, at most 0.03 is borne"]
    assert judged(max_score_error=0.0301, largest=2.0).verdict == "passed"
    assert judged("mixed16", max_score_error=0.0101).verdict == "forced"
    assert BOUNDS["mixed16"].score_error < BOUNDS["int8"].score_error


def test_the_error_rate_may_not_rise_beyond_chance() -> None:
    worse = judged(delta_eer=0.04, delta_eer_ci=(0.01, 0.07))
    assert refusals(worse) == ["the equal error rate rises by 4.00% [1.00%, 7.00%]"]
    assert judged(delta_eer=-0.04, delta_eer_ci=(-0.07, -0.01)).verdict == "passed"
    one_class = judged(delta_eer=None, delta_eer_ci=None)
    assert one_class.delta_eer == () and one_class.verdict == "passed"
