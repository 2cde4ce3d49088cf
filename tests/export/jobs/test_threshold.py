"""One default prior for one task, wherever a prior can be given."""

import inspect
import warnings

import pytest
import torch

from export.errors import InputError
from export.jobs.threshold import ThresholdChoice, calibrate
from scriptable import (
    SPOOFING_COSTS,
    VERIFICATION_COSTS,
    actual_dcf,
    min_dcf,
    threshold_at,
)


@pytest.mark.parametrize("function", [min_dcf, actual_dcf, threshold_at])
def test_functions_that_know_no_task_take_that_of_verification(function) -> None:
    parameters = inspect.signature(function).parameters
    found = tuple(parameters[name].default for name in VERIFICATION_COSTS._fields)
    assert found == VERIFICATION_COSTS == (0.01, 1.0, 1.0)


def test_a_choice_takes_what_it_is_not_given_from_the_task() -> None:
    assert ThresholdChoice().costs(SPOOFING_COSTS) == SPOOFING_COSTS == (0.95, 1.0, 10.0)
    assert ThresholdChoice().costs(VERIFICATION_COSTS) == VERIFICATION_COSTS
    given = ThresholdChoice("min_dcf", 0.3, cost_false_alarm=2.0)
    assert given.costs(SPOOFING_COSTS) == (0.3, 1.0, 2.0)
    llrs, labels = torch.tensor([-2.0, 0.5, 0.25, 3.0]), torch.tensor([0, 0, 1, 1])
    threshold, words = ThresholdChoice("min_dcf").choose(llrs, labels, "trials", SPOOFING_COSTS)
    assert threshold == threshold_at(llrs, labels, "min_dcf", *SPOOFING_COSTS).threshold
    assert words.startswith("minimum DCF at prior 0.95, costs 1 of a miss and 10 of a false alarm")


def test_inverted_held_out_scores_are_one_error_and_no_warning() -> None:
    scores, labels = torch.tensor([3.0, 1.0, 2.0, 0.0]), torch.tensor([0, 0, 1, 1])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(InputError, match="bona fide does not score higher than the rest"):
            calibrate(scores, labels, 0.95, "bona fide")
