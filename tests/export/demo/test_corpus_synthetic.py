"""The synthetic corpus and the vocoder: speech-like, repeatable, and alike in all but vocoding."""

import random
from collections import Counter

import numpy as np
import pytest
import torch
from corpus_helpers import Recorder, check_pairs, pairs, rms

from export.corpus import (
    BONA_FIDE,
    SPOOF,
    VOCODERS,
    copy_synthesis,
    split_by_speaker,
    synthetic_corpus,
)
from export.errors import InputError


@pytest.fixture(scope="module")
def synthetic():
    return synthetic_corpus(3, speakers=3, utterances_per_speaker=2, seconds=(1.5, 2.0))


# Vocoder


def test_names_of_attacks_are_distinct():
    assert "griffinlim-80mel-32it" in {vocoder.name for vocoder in VOCODERS}
    assert len({vocoder.name for vocoder in VOCODERS}) == len(VOCODERS)


@pytest.mark.parametrize("rate", [8000, 16000, 44100])
@pytest.mark.parametrize("vocoder", VOCODERS, ids=lambda vocoder: vocoder.name)
def test_a_copy_has_the_spectrum_of_its_source(vocoder, rate):
    generator = torch.Generator().manual_seed(5)
    source = 0.1 * torch.randn(rate, generator=generator) + 0.02
    copy = copy_synthesis(source, rate, vocoder)
    assert copy.shape == source.shape
    assert rms(copy) == pytest.approx(rms(source), rel=1e-4)
    assert float(copy.mean()) == pytest.approx(float(source.mean()), abs=1e-6)

    def bands(waveform):
        power = torch.fft.rfft(waveform - waveform.mean()).abs().square()
        return 10 * power[: len(power) // 40 * 40].reshape(40, -1).mean(dim=1).log10()

    # The last band is the one that a filterbank ending at half the sample rate would leave empty.
    assert (bands(copy) - bands(source)).abs().max() < 2.5


def test_a_copy_of_silence_is_silence():
    assert torch.equal(copy_synthesis(torch.zeros(8000), 16000, VOCODERS[0]), torch.zeros(8000))


@pytest.mark.parametrize("shape", [(512,), (1, 8000)])
def test_a_copy_needs_one_long_enough_waveform(shape):
    with pytest.raises(ValueError, match=r"waveform: expected shape \[N\] with N > 512, got"):
        copy_synthesis(torch.zeros(shape), 16000, VOCODERS[0])


# Synthetic corpus


def test_the_synthetic_corpus_is_balanced(synthetic):
    assert Counter((u.speaker, u.label) for u in synthetic.utterances) == {
        (f"syn0{speaker}", label): 2 for speaker in range(3) for label in (BONA_FIDE, SPOOF)
    }
    assert len({u.name for u in synthetic.utterances}) == 12
    assert all(24000 <= len(u.waveform) <= 32000 for u in synthetic.utterances)
    assert len({len(u.waveform) for u in synthetic.utterances}) == 6
    assert "say nothing about real speech" in synthetic.notes[0]


def test_level_length_and_silence_do_not_tell_the_classes_apart(synthetic):
    check_pairs(synthetic)

    def quietest(waveform):
        frames = waveform.unfold(0, 400, 160).square().mean(dim=1)
        return float(10 * frames.quantile(0.05).log10())

    for genuine, spoof in pairs(synthetic):
        assert quietest(spoof.waveform) == pytest.approx(quietest(genuine.waveform), abs=3)
        ratio = float(spoof.waveform.abs().max() / genuine.waveform.abs().max())
        assert 0.6 < ratio < 1.8


def test_the_same_seed_gives_the_same_samples_on_any_number_of_threads(synthetic):
    threads = torch.get_num_threads()
    torch.set_num_threads(3 - min(threads, 2))
    try:
        recorder = Recorder()
        again = synthetic_corpus(
            3, speakers=3, utterances_per_speaker=2, seconds=(1.5, 2.0), progress=recorder
        )
        assert torch.get_num_threads() == 3 - min(threads, 2)
    finally:
        torch.set_num_threads(threads)
    recorder.check(6)
    for one, two in zip(synthetic.utterances, again.utterances, strict=True):
        assert (one.name, one.attack) == (two.name, two.attack)
        assert torch.equal(one.waveform, two.waveform)


def test_an_utterance_does_not_depend_on_how_many_others_are_made(synthetic):
    fewer = synthetic_corpus(3, speakers=2, utterances_per_speaker=1, seconds=(1.5, 2.0))
    known = {u.name: u.waveform for u in synthetic.utterances}
    assert all(torch.equal(u.waveform, known[u.name]) for u in fewer.utterances)


def test_another_seed_gives_other_speech():
    kwargs = {"speakers": 1, "utterances_per_speaker": 1, "seconds": (1.0, 1.0)}
    one, two = (synthetic_corpus(seed, **kwargs).utterances[0].waveform for seed in (3, 4))
    assert float(torch.corrcoef(torch.stack([one, two]))[0, 1].abs()) < 0.3


def test_the_global_random_state_stays_as_it_is():
    def legacy():
        return np.random.get_state()[1].tolist()  # noqa: NPY002

    before = torch.get_rng_state(), legacy(), random.getstate()
    corpus = synthetic_corpus(1, speakers=2, utterances_per_speaker=2, seconds=(1.0, 1.1))
    split_by_speaker(corpus.utterances, 0.5, seed=1)
    assert torch.equal(torch.get_rng_state(), before[0])
    assert legacy() == before[1]
    assert random.getstate() == before[2]


def voicing(waveform, rate):
    """The strongest normalised autocorrelation at lags of 70 to 350 Hz, per loud frame."""
    size = int(0.04 * rate)
    frames = waveform.unfold(0, size, size // 2)
    frames = frames[frames.square().mean(dim=1) > waveform.square().mean()]
    frames = frames - frames.mean(dim=1, keepdim=True)
    power = torch.fft.rfft(frames, n=2 * size).abs().square()
    correlation = torch.fft.irfft(power)[:, :size]
    # The overlap shrinks with the lag, and with it the sum.
    correlation = correlation / correlation[:, :1] / (1 - torch.arange(size) / size)
    return correlation[:, rate // 350 : rate // 70].amax(dim=1)


@pytest.mark.parametrize("rate", [16000, 8000])
def test_synthetic_speech_is_voiced_pauses_and_falls_with_frequency(synthetic, rate):
    corpus = synthetic
    if rate != 16000:
        corpus = synthetic_corpus(
            3, speakers=2, utterances_per_speaker=1, seconds=(1.5, 2.0), sample_rate=rate
        )
    genuine = [u.waveform for u in corpus.utterances if u.label == BONA_FIDE]
    noise = torch.randn(rate, generator=torch.Generator().manual_seed(0))
    assert voicing(noise, rate).median() < 0.5
    for waveform in genuine:
        assert voicing(waveform, rate).median() > 0.75
        frames = waveform.unfold(0, rate // 40, rate // 80).square().mean(dim=1).log10() * 10
        assert frames.quantile(0.95) - frames.quantile(0.05) > 8
        power = torch.fft.rfft(waveform).abs().square()
        quarter = len(power) // 4
        assert power[:quarter].sum() > 4 * power[2 * quarter :].sum()


def test_speakers_differ_in_pitch():
    corpus = synthetic_corpus(0, speakers=6, utterances_per_speaker=1, seconds=(1.0, 1.0))
    peaks = []
    for genuine, _ in pairs(corpus):
        power = torch.fft.rfft(genuine.waveform, n=16000).abs().square()
        correlation = torch.fft.irfft(power)[45:230]
        peaks.append(16000 / (45 + int(correlation.argmax())))
    assert max(peaks) / min(peaks) > 1.3


@pytest.mark.parametrize(
    ("kwargs", "message"),
    [
        ({"speakers": 0}, "at least one speaker"),
        ({"utterances_per_speaker": 0}, "one utterance of each"),
        ({"seconds": (0.1, 1.0)}, r"1\.0 <= shortest"),
        ({"seconds": (2.0, 1.0)}, "shortest <= longest"),
        ({"sample_rate": 100}, "at least 4000 Hz"),
    ],
)
def test_numbers_that_make_no_synthetic_corpus(kwargs, message):
    with pytest.raises(InputError, match=message):
        synthetic_corpus(0, **kwargs)
