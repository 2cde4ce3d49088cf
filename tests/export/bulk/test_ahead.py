"""Recordings fetched and decoded ahead of the model."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import soundfile
import torch
from artefact_helpers import RATE, voice, write_wav

from export.bulk import ahead

LIMIT = 20.0


@pytest.mark.parametrize(("small", "expected"), [(1 << 22, range(3, 18)), (1000, range(2, 3))])
def test_recordings_are_fetched_at_once_unless_they_are_long(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, small: int, expected: range
) -> None:
    """In their order, and always the next one while one is scored."""
    path, count = write_wav(tmp_path / "a.wav", voice(9000)), 60
    begun = [threading.Event() for _ in range(count + 1)]
    begun[count].set()
    here: set[int] = set()
    counts = []

    @contextmanager
    def fetched(place: str, *_: Any) -> Iterator[Path]:
        number = int(place.rpartition("/")[2])
        here.add(number)
        counts.append(len(here))
        begun[number].set()
        assert begun[number + 1].wait(LIMIT), "the next one waits for this one"
        yield path
        here.remove(number)

    monkeypatch.setattr(ahead, "as_file", fetched)
    monkeypatch.setattr(ahead, "_SMALL", small)
    wanted = [ahead.Wanted(str(number), f"far://{number}") for number in range(count)]
    for heard in ahead.ReadAhead(wanted, RATE, LIMIT):
        heard.open()
        assert sum(len(block) for block in heard.blocks()) == 9000
    assert not here and max(counts) in expected


def leads(path: Path, monkeypatch: pytest.MonkeyPatch, turns: bool) -> tuple[list[int], list[int]]:
    """After every block: samples decoded, and samples seen."""
    decoded, seen = [0], [0]

    class Counting(ahead.Recording):
        def blocks(self) -> Iterator[torch.Tensor]:
            for block in super().blocks():
                decoded[0] += len(block)
                yield block

    monkeypatch.setattr(ahead, "Recording", Counting)
    monkeypatch.setattr(ahead, "_PATIENCE", LIMIT)  # whole bursts, however slow this machine is
    wanted = [ahead.Wanted(str(path), str(path))]
    for heard in ahead.ReadAhead(wanted, RATE, LIMIT, turns=turns):
        heard.open()
        for block in heard.blocks():
            time.sleep(0.005)  # the thread decodes as far ahead as it may
            decoded.append(decoded[0])
            seen.append(seen[-1] + len(block))
    return decoded[1:], seen[1:]


@pytest.mark.parametrize("turns", [False, True])
def test_a_long_recording_is_decoded_a_burst_ahead(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, turns: bool
) -> None:
    """Memory does not grow with it; in turns, nothing is decoded while the model has something."""
    path = tmp_path / "long.flac"
    noise = 0.1 * torch.randn(600 * RATE, generator=torch.Generator().manual_seed(1))
    soundfile.write(path, noise.numpy(), RATE, subtype="PCM_16")
    decoded, seen = leads(path, monkeypatch, turns)
    assert seen[-1] == 600 * RATE
    assert 0 < max(d - s for d, s in zip(decoded, seen, strict=True)) < seen[-1] / 4
    steps = pairwise(zip(decoded, seen, strict=True))
    before_more = [d - s for (d, s), (later, _) in steps if later > d]
    assert (max(before_more) == 0) == turns
