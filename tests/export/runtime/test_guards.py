"""On what no decision is made: each bound by hand, at its edge, and in pieces of any size."""

import json
import math
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from artefact_helpers import RATE, Artefacts, Command, voice, write_wav
from torch import Tensor

from export.errors import InputError
from export.runtime.guards import Guards, Meter, measured, observed
from export.speech import HINT, speech_files

GUARDS = Guards()


def tone(hertz: float, samples: int = RATE, amplitude: float = 0.3) -> Tensor:
    time = torch.arange(samples, dtype=torch.float64) / RATE
    return (amplitude * torch.sin(2 * torch.pi * hertz * time) * 32767).round().float() / 32768


def stereo(left: Tensor, right: Tensor) -> Meter:
    meter = Meter(RATE)
    meter.hear_channels(torch.stack([left, right], dim=1))
    meter.hear((left + right) / 2)
    return meter


def test_the_measures_by_hand() -> None:
    wave = torch.tensor([0.5, -0.25, 1.0, 0.0, -0.75])
    meter = measured(wave, 10)
    x = wave.double().numpy()
    assert meter.seconds == 0.5
    assert meter.amplitude == 1.0
    assert meter.level_dbfs == pytest.approx(10 * math.log10(x.var()))
    assert meter.clipped == 0.2
    assert meter.cancellation_db == 0.0


def test_tonality_is_the_least_squares_prediction() -> None:
    x = voice(3000).double().numpy()
    rows = np.stack([x[1:-1], x[:-2], np.ones(len(x) - 2)], axis=1)
    left = x[2:] - rows @ np.linalg.lstsq(rows, x[2:], rcond=None)[0]
    expected = 10 * math.log10(x[2:].var() / left.var())
    assert measured(torch.from_numpy(x), RATE).tonality_db == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize("sizes", [(1,), (7, 1, 300), (4000,)])
def test_blocks_of_any_size_measure_the_same(sizes: tuple[int, ...]) -> None:
    wave = voice(RATE)
    meter, at = Meter(RATE), 0
    while at < len(wave):
        for size in sizes:
            block = wave[at : at + size]
            meter.hear(block)
            if len(block):
                meter.hear_channels(block.unsqueeze(1))
            at += size
        if sizes == (1,) and at > 2000:
            wave = wave[:at]
    whole = measured(wave, RATE)
    for name in ("seconds", "amplitude", "level_dbfs", "tonality_db", "clipped"):
        assert getattr(meter, name) == pytest.approx(getattr(whole, name), rel=1e-9), name


GARBAGE = {
    "one sample": (torch.tensor([0.3]), "too short"),
    "10 ms": (voice(160), "too short"),
    "silence": (torch.zeros(RATE), "too quiet: -200.0 dBFS"),
    "a constant": (torch.full((RATE,), 0.4), "too quiet"),
    "a hiss of one step": (voice(RATE).sign() / 32768, "too quiet"),
    "20 Hz": (tone(20), "a tone"),
    "440 Hz": (tone(440), "a tone"),
    "7.9 kHz": (tone(7900), "a tone"),
    "a tone on a constant": (tone(440) + 0.2, "a tone"),
    "integers as floats": (voice(RATE) * 32768, "out of scale"),
    "a square wave": (tone(99).sign(), "clipped: 100.0 %"),
    "hard clipping": ((20 * voice(RATE)).clamp(-1, 1), "clipped"),
}


@pytest.mark.parametrize("kind", GARBAGE)
def test_garbage_is_refused_with_its_reason(kind: str) -> None:
    wave, said = GARBAGE[kind]
    reason = GUARDS.refusal(measured(wave, RATE))
    assert reason is not None and reason.startswith(said)


def test_channels_that_cancel_are_told_from_silence() -> None:
    left = voice(RATE)
    reason = GUARDS.refusal(stereo(left, -left))
    assert reason is not None and reason.startswith("channels cancel")
    reason = GUARDS.refusal(stereo(left, -0.9 * left))
    assert reason is not None and reason.startswith("channels cancel")
    silent = torch.zeros(RATE)
    reason = GUARDS.refusal(stereo(silent, silent))
    assert reason is not None and reason.startswith("too quiet")


def test_one_channel_of_two_loses_no_more_than_averaging_may() -> None:
    meter = stereo(voice(RATE), torch.zeros(RATE))
    assert meter.cancellation_db == pytest.approx(0, abs=1e-6)
    assert GUARDS.refusal(meter) is None
    assert GUARDS.refusal(stereo(voice(RATE), voice(RATE, 190.0, 3))) is None


def test_the_bounds_themselves_are_inside() -> None:
    meter = measured(voice(8000), RATE)
    exact = Guards(
        min_seconds=0.5,
        min_level_dbfs=meter.level_dbfs,
        max_amplitude=meter.amplitude,
        max_tonality_db=meter.tonality_db,
    )
    assert exact.refusal(meter) is None
    for name, closer in (
        ("min_seconds", 0.5 + 1e-9),
        ("min_level_dbfs", meter.level_dbfs + 1e-9),
        ("max_amplitude", meter.amplitude - 1e-9),
        ("max_tonality_db", meter.tonality_db - 1e-9),
    ):
        assert exact.model_copy(update={name: closer}).refusal(meter) is not None, name


def test_real_speech_passes_the_defaults() -> None:
    files = speech_files()
    if not files:
        pytest.skip(HINT)
    for path in files:
        samples, rate = soundfile.read(path, dtype="float32", always_2d=True)
        assert GUARDS.refusal(measured(torch.from_numpy(samples[:, 0]), rate)) is None, path


def test_what_training_saw_becomes_the_bounds_with_room() -> None:
    waves = [voice(2 * RATE), 0.01 * voice(RATE, seed=2)]
    found = observed(waves, RATE)
    quiet = measured(waves[1], RATE).level_dbfs
    assert found.min_seconds == 0.5
    assert found.min_level_dbfs == pytest.approx(max(-70, quiet - 20), abs=0.1)
    assert all(found.refusal(measured(wave, RATE)) is None for wave in waves)
    assert observed([], RATE) == Guards()
    assert observed([voice(10 * RATE)], RATE).min_seconds == 1.0
    assert observed([0.9 * voice(RATE)], RATE).min_level_dbfs == -50.0


# Through the command, with a saved file.


def test_score_says_undecided_and_goes_on(
    artefacts: Artefacts, tmp_path: Path, command: Command
) -> None:
    silent = write_wav(tmp_path / "silent.wav", torch.zeros(RATE))
    good = write_wav(tmp_path / "good.wav", voice(6000))
    ran = command("score", artefacts.path("torchscript"), silent, good, "--json")
    assert ran.code == 0, ran.err
    first, second = json.loads(ran.out)
    assert first == {
        "file": str(silent),
        "score": None,
        "llr": None,
        "posterior": None,
        "threshold": 0.5,
        "decision": "undecided",
        "reason": "too quiet: -200.0 dBFS, at least -60.0 are needed",
        "error": None,
    }
    assert second["decision"] in ("bonafide", "spoof") and second["reason"] is None
    table = command("score", artefacts.path("torchscript"), silent, good).out.splitlines()
    assert table[1].split()[:4] == ["-", "-", "-", "undecided"]
    assert "too quiet" in table[1] and "too quiet" not in table[2]


def test_a_window_that_is_not_finite_is_told(artefacts: Artefacts) -> None:
    wave = voice(5000)
    wave[77] = math.nan
    with pytest.raises(InputError, match="NaN or infinite"):
        artefacts.scorer("torchscript").score_waveform(wave)
