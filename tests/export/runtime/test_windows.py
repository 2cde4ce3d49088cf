"""Windows of a stream are the windows of the whole, whatever the blocks."""

import pytest
import torch

from export.runtime.windows import windows_of
from scriptable import cut_windows


@pytest.mark.parametrize("length", [1, 2, 3, 4, 5, 9, 10, 11, 25, 26])
@pytest.mark.parametrize("size", [1, 3, 4, 100])
@pytest.mark.parametrize("hop", [1, 3, 4, 7])
def test_equal_to_cutting_the_whole(length: int, size: int, hop: int) -> None:
    wave = torch.arange(float(length))
    found = torch.stack(list(windows_of(wave.split(size), 4, hop)))
    assert torch.equal(found, cut_windows(wave, 4, hop))


def test_no_samples_are_no_window() -> None:
    assert list(windows_of([torch.zeros(0)], 4, 2)) == []
