"""Front ends from mappings: every argument of every one can be written in YAML."""

import inspect
from typing import Annotated, Any, Union, get_args, get_origin, get_type_hints

import pytest
import torch
import yaml

from scriptable import LFCC, ConfigError, KaldiFbank, LogMel, build_frontend
from scriptable._core.named import Named
from scriptable.frontend.build import frontends

# Filters narrower than a bin are empty, and torchaudio says so.
pytestmark = pytest.mark.filterwarnings("ignore:At least one mel filterbank has all zero values")

PLAIN = (int, float, bool, str, type(None))


def test_the_names_are_the_front_ends_and_their_layers() -> None:
    assert set(frontends()) == {
        "AudioToMelSpectrogramPreprocessor",
        "CepstralNorm",
        "Fbank",
        "FeatureNorm",
        "KaldiFbank",
        "KaldiMFCC",
        "LFCC",
        "LogMel",
        "MFCC",
    }


@pytest.mark.parametrize("name", sorted(frontends()))
def test_every_argument_can_be_written_in_yaml(name: str) -> None:
    """As a plain value or as a name, and the default of each builds the same."""
    target = frontends()[name]
    hints = get_type_hints(target.__init__, include_extras=True)
    given: dict[str, Any] = {}
    for parameter in list(inspect.signature(target).parameters.values()):
        hint = hints[parameter.name]
        options = get_args(hint) if get_origin(hint) is Union else (hint,)
        for option in options:
            named = get_origin(option) is Annotated and isinstance(get_args(option)[1], Named)
            assert named or option in PLAIN, f"{name}.{parameter.name}: {option}"
            if named:
                functions = get_args(option)[1].functions
                (given[parameter.name],) = [
                    key for key, function in functions.items() if function is parameter.default
                ]
        needed = parameter.default is inspect.Parameter.empty
        given.setdefault(parameter.name, 128 if needed else parameter.default)
    follows = name in ("CepstralNorm", "FeatureNorm")
    head = [{"type": "LogMel"}] if follows else []
    document = yaml.safe_load(yaml.safe_dump([*head, {"type": name, "args": given}]))
    built = build_frontend(document)[-1].state_dict()
    expected = target(**({"n_features": 128} if name == "FeatureNorm" else {})).state_dict()
    assert built.keys() == expected.keys()
    assert all(torch.equal(built[key], expected[key]) for key in built)


@pytest.mark.parametrize("text", ["hann", "hamming", "blackman", "bartlett", "kaiser"])
def test_a_window_by_its_name(text: str) -> None:
    built = build_frontend({"type": "LFCC", "args": {"window_fn": text}})
    expected = LFCC(window_fn=getattr(torch, f"{text}_window"))
    assert torch.equal(built.spectrogram.kernel, expected.spectrogram.kernel)


def test_the_sample_rate_goes_to_the_argument_that_means_it() -> None:
    kaldi = build_frontend({"type": "KaldiFbank", "high_freq": 3800}, sample_rate=8000)
    expected = KaldiFbank(sample_frequency=8000, high_freq=3800)
    assert torch.equal(kaldi.filterbank.weight, expected.filterbank.weight)
    mel = build_frontend({"type": "LogMel", "sample_rate": 8000}, sample_rate=8000)
    assert torch.equal(mel.filterbank.weight, LogMel(8000).filterbank.weight)


def test_layers_follow_in_a_list() -> None:
    chain = build_frontend(
        [{"type": "LogMel", "n_mels": 40}, {"type": "CepstralNorm", "std_norm": True}]
    )
    features = chain(torch.randn(2, 4000))
    assert features.shape == (2, 40, 21)
    torch.testing.assert_close(features.mean(2), torch.zeros(2, 40), atol=1e-5, rtol=0)
    torch.testing.assert_close(features.std(2, correction=0), torch.ones(2, 40))


@pytest.mark.parametrize(
    ("config", "message"),
    [
        (
            {"type": "LFCC", "window_fn": "haming"},
            "frontend.window_fn: expected one of hann, hamming, blackman, bartlett, kaiser, ones, "
            "got the string 'haming'",
        ),
        (
            {"type": "LFCC", "args": {"window_fn": {"type": "hann"}}},
            "frontend.args.window_fn: expected one of hann, hamming, blackman, bartlett, kaiser, "
            "ones, got dict {'type': 'hann'}",
        ),
        (
            {"type": "Kaldi"},
            "frontend.type: no front end is called Kaldi; did you mean 'KaldiMFCC'?",
        ),
        ([], "frontend: expected a front end, got an empty list"),
        (
            [{"type": "LogMel"}, {"type": "CepstralNorm", "std": 1}],
            "frontend[1].std: unknown argument of CepstralNorm; did you mean 'std_norm'?",
        ),
        (
            {"type": "CepstralNorm"},
            "frontend: CepstralNorm is not a front end, but a layer that follows one",
        ),
        (
            [{"type": "CepstralNorm"}],
            "frontend[0]: CepstralNorm is not a front end, but a layer that follows one",
        ),
        (
            {"type": "KaldiFbank", "sample_frequency": 8000},
            "frontend.sample_frequency: expected 16000 as under sample_rate, got 8000",
        ),
        ({"type": "KaldiFbank", "window_type": "x"}, "frontend.window_type: expected one of "),
        ("LFCC", "frontend: expected a mapping with the key type, got the string 'LFCC'"),
    ],
)
def test_errors_name_the_key(config: Any, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        build_frontend(config)
    assert str(caught.value).startswith(message)
