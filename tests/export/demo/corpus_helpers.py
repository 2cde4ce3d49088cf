"""What the tests of the corpora share."""

import numpy as np
import pytest
import soundfile
import torch

from export.corpus import BONA_FIDE, SPOOF, VOCODERS


def write_noise(path, seconds=0.5, rate=16000, channels=1, seed=0):
    path.parent.mkdir(parents=True, exist_ok=True)
    noise = np.random.default_rng(seed).normal(0, 0.1, (int(seconds * rate), channels))
    soundfile.write(path, noise, rate)


def rms(waveform):
    return float(waveform.double().square().mean().sqrt())


def pairs(corpus):
    spoofs = {u.name.split("+")[0]: u for u in corpus.utterances if u.label == SPOOF}
    return [(u, spoofs[u.name]) for u in corpus.utterances if u.label == BONA_FIDE]


class Recorder:
    def __init__(self):
        self.calls = []

    def __call__(self, what, done, total):
        self.calls.append((what, done, total))

    def check(self, total):
        assert [done for _, done, _ in self.calls] == list(range(total + 1))
        assert {(what, number) for what, _, number in self.calls} == {(self.calls[0][0], total)}


def check_pairs(corpus):
    assert len(pairs(corpus)) * 2 == len(corpus.utterances)
    for genuine, spoof in pairs(corpus):
        assert spoof.attack in {vocoder.name for vocoder in VOCODERS}
        assert genuine.attack == "-"
        assert spoof.speaker == genuine.speaker
        assert spoof.waveform.shape == genuine.waveform.shape
        assert rms(spoof.waveform) == pytest.approx(rms(genuine.waveform), rel=1e-3)
        assert float(spoof.waveform.mean() - genuine.waveform.mean()) == pytest.approx(0, abs=1e-5)
        assert not torch.equal(spoof.waveform, genuine.waveform)
        for waveform in (genuine.waveform, spoof.waveform):
            assert waveform.dtype == torch.float32
            assert waveform.abs().max() < 1
            assert torch.equal(waveform * 32768, (waveform * 32768).round())


def check_split(utterances, split):
    names = [u.name for u in (*split.train, *split.held_out)]
    assert sorted(names) == sorted(u.name for u in utterances)
    for part in (split.train, split.held_out):
        assert {u.label for u in part} == {BONA_FIDE, SPOOF}
    shared = {u.speaker for u in split.train} & {u.speaker for u in split.held_out}
    assert len(shared) == len(split.notes)
    for speaker, note in zip(sorted(shared), sorted(split.notes), strict=True):
        assert f"of one speaker, {speaker}:" in note
