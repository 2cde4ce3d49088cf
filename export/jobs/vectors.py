"""Golden vectors: recordings with every number between the file and the decision.

Another implementation reads the WAV files and the contract, and must find the windows, the scores
and the decisions that the artefact gave here.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from math import gcd
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
import torch
from torch import Tensor

from export.corpus import BONA_FIDE, synthetic_corpus
from export.files import listed_files, staged_folder
from export.runtime.audio import Recording
from export.runtime.scorer import Scorer

INDEX_FILE = "vectors.json"

_FULL_SCALE = 32767
_FILES = ("wav", "windows_file", "samples_file", "states_file")
"""What a case of windows or of a stream names its files under."""


@dataclass(frozen=True)
class Case:
    """One recording: how long, and what is in it."""

    name: str
    sample_rate: int
    channels: int
    samples: int
    draw: Callable[["Case"], Tensor]
    """Gives ``[samples, channels]`` in int16."""


def cases(sample_rate: int, num_samples: int, hop: int) -> tuple[Case, ...]:
    """The recordings for a contract; each stands for one way to get the windows wrong."""
    size = num_samples

    def at(rate: int, windows: float) -> int:
        return max(1, round(windows * size * rate / sample_rate))

    return (
        Case("mono", sample_rate, 1, size + hop, speech),
        Case("one_window", sample_rate, 1, size, speech),
        Case("shorter_than_a_window", sample_rate, 1, max(1, size // 3 - 1), speech),
        Case("five_samples", sample_rate, 1, 5, speech),
        Case("no_multiple_of_the_hop", sample_rate, 1, size + hop // 3 + 1, speech),
        Case(
            "stereo_44100", 44100, 2, _barely_one_more(44100, sample_rate, at(44100, 1.2)), speech
        ),
        Case("stereo_48000_shorter", 48000, 2, at(48000, 0.7), speech),
        Case("mono_8000", 8000, 1, at(8000, 0.6), speech),
        Case("full_scale", sample_rate, 1, size, _extremes),
        Case("full_scale_8000", 8000, 1, at(8000, 0.5), _extremes),
        Case("silence", sample_rate, 1, size, _silence),
        Case("constant", sample_rate, 1, size, _constant),
        Case("tone", sample_rate, 1, size, _tone),
        Case("quiet", sample_rate, 1, size, _quiet),
        Case("antiphase", sample_rate, 2, size, _antiphase),
    )


def write_vectors(scorer: Scorer, folder: Path) -> int:
    """Write the vectors of an artefact into ``folder``, whole or not at all.

    Returns:
        How many recordings there are.

    Raises:
        InputError: if ``folder`` holds something, and no vectors; or a file of a name that is
            needed, and that its index does not list. What else is in it stays.
    """
    listed = index_names(folder)
    contract = scorer.contract
    made = cases(contract.audio.sample_rate, contract.windows.num_samples, contract.windows.hop)
    with staged_folder(folder, ours=listed) as temporary:
        index: dict[str, Any] = {
            "contract": contract.document(),
            "cases": [_write_case(scorer, case, temporary) for case in made],
        }
        if contract.precision_guard is not None:
            # How far another implementation may be off; of float32 it is for each to say.
            index["score_tolerance"] = contract.precision_guard.score_tolerance
        text = json.dumps(index, indent=1, allow_nan=False)
        (temporary / INDEX_FILE).write_text(text + "\n", encoding="utf-8")
    return len(made)


def _names(document: Any) -> list[str]:
    """The files that an index lists."""
    return [case[key] for case in document["cases"] for key in _FILES if key in case]


def index_names(folder: Path) -> set[str]:
    """The files of earlier vectors of either kind in ``folder``.

    Raises:
        InputError: if it holds something, and no vectors.
    """
    return listed_files(folder, INDEX_FILE, _names, "vectors")


def _write_case(scorer: Scorer, case: Case, folder: Path) -> dict[str, Any]:
    wav, raw = f"{case.name}.wav", f"{case.name}.f32"
    soundfile.write(folder / wav, case.draw(case).numpy(), case.sample_rate, subtype="PCM_16")
    with Recording(folder / wav, scorer.contract.audio.sample_rate) as recording:
        windows = scorer.cut(torch.cat(list(recording.blocks())))
    (folder / raw).write_bytes(windows.numpy().astype("<f4").tobytes())
    scores = scorer.score_windows(windows)
    found = scorer.judge(wav, scores, recording.meter).as_entry()
    del found["file"], found["error"]
    return {
        "name": case.name,
        "wav": wav,
        "sample_rate": case.sample_rate,
        "channels": case.channels,
        "samples": case.samples,
        "windows_file": raw,
        "n_windows": len(windows),
        "window_scores": scores.tolist(),
        **found,
    }


def _barely_one_more(source_rate: int, sample_rate: int, samples: int) -> int:
    """A length near ``samples`` whose resampled length is just above a whole number.

    There, whoever does not round up in exact integers is one sample short.
    """
    common = gcd(source_rate, sample_rate)
    source, target = source_rate // common, sample_rate // common
    return samples // source * source + pow(target, -1, source) if source > 1 else samples


def speech(case: Case) -> Tensor:
    """Synthetic speech; the channels differ."""
    # Two seconds hold a word: shorter ones may be all pause.
    seconds = max(2.0, case.samples / case.sample_rate)
    corpus = synthetic_corpus(
        7,
        speakers=case.channels,
        utterances_per_speaker=1,
        seconds=(seconds, seconds),
        sample_rate=case.sample_rate,
    )
    voices = [u.waveform for u in corpus.utterances if u.label == BONA_FIDE]
    # Where it is loud, so that a few samples are speech and not a pause.
    start = int(voices[0].abs().argmax().clamp_max(len(voices[0]) - case.samples))
    sound = torch.stack([voice[start : start + case.samples] for voice in voices], dim=1)
    return (sound / sound.abs().max() * 0.7 * _FULL_SCALE).round().to(torch.int16)


def _extremes(case: Case) -> Tensor:
    """Runs of the smallest and the largest sample: after resampling they overshoot full scale."""
    generator = np.random.Generator(np.random.PCG64(11))
    runs = generator.integers(1, 40, size=case.samples)
    signs = np.repeat(np.arange(case.samples) % 2, runs)[: case.samples]
    return torch.from_numpy(np.where(signs == 1, _FULL_SCALE, -_FULL_SCALE - 1).astype(np.int16))


def _silence(case: Case) -> Tensor:
    return torch.zeros(case.samples, dtype=torch.int16)


def _constant(case: Case) -> Tensor:
    return torch.full((case.samples,), _FULL_SCALE // 3, dtype=torch.int16)


def _tone(case: Case) -> Tensor:
    time = torch.arange(case.samples, dtype=torch.float64) / case.sample_rate
    wave = torch.sin(2 * torch.pi * 440 * time)
    return (wave * 0.3 * _FULL_SCALE).round().to(torch.int16)


def _quiet(case: Case) -> Tensor:
    """Of at most one step: the quietest sound that the file can hold."""
    return speech(case).sign()


def _antiphase(case: Case) -> Tensor:
    """Two channels that mix down to nothing."""
    voice = speech(replace(case, channels=1))
    return torch.cat([voice, -voice], dim=1)
