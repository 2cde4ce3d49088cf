"""The score contract: the document, what it means, and that every file carries it."""

import hashlib
import json
import math
import struct
import zipfile
from pathlib import Path

import pytest
import torch
from artefact_helpers import (
    HOP,
    OFFSET,
    PRIOR,
    RATE,
    RUNNABLE,
    SCALE,
    THRESHOLD,
    VERIFIED,
    WINDOW,
    Artefacts,
    Command,
    contract_of,
    save_as,
    tiny_pipeline,
    voice,
    write_wav,
)

from export import backends
from export.backends._seal import seal
from export.errors import ArtefactError
from export.runtime.contract import Contract, parse, versions, weights_sha256
from export.runtime.scorer import decide, load_scorer


@pytest.fixture(scope="module")
def contract() -> Contract:
    return contract_of(tiny_pipeline())


def changed(contract: Contract, *place: str, value: object = None, drop: bool = False) -> str:
    """The contract's JSON with one field changed, added or dropped."""
    document = json.loads(contract.model_dump_json())
    part = document
    for key in place[:-1]:
        part = part[key]
    if drop:
        del part[place[-1]]
    else:
        part[place[-1]] = value
    return json.dumps(document)


def test_json_round_trip_keeps_every_field_and_every_bit(contract: Contract) -> None:
    awkward = contract.model_copy(
        update={
            "decision": contract.decision.model_copy(
                update={"scale": 0.1 + 0.2, "offset": -1e-17, "operating_point": 'Ω "≥"\n'}
            )
        }
    )
    assert parse(awkward.model_dump_json(indent=1), "x") == awkward


def test_the_document_says_all_that_the_design_asks(contract: Contract) -> None:
    document = json.loads(contract.model_dump_json())
    assert document["schema_version"] == 2
    assert document["audio"] == {
        "sample_rate": RATE,
        "pcm16_divisor": 32768,
        "mixdown": "mean",
        "resampler": "sinc_interp_hann",
        "resampler_lowpass_filter_width": 6,
        "resampler_rolloff": 0.99,
    }
    assert document["windows"] == {
        "num_samples": WINDOW,
        "hop": HOP,
        "tail": "align_end",
        "short": "repeat",
        "combine": "mean",
    }
    assert document["decision"] == {
        "polarity": "higher_is_bonafide",
        "scale": SCALE,
        "offset": OFFSET,
        "prior": PRIOR,
        "threshold": THRESHOLD,
        "operating_point": "chosen by the test",
    }
    assert document["guards"] == {
        "min_seconds": 0.05,
        "min_level_dbfs": -60.0,
        "max_amplitude": 4.0,
        "max_tonality_db": 45.0,
        "clip_level": 0.999,
        "max_clipped": 0.1,
        "max_cancellation_db": 12.0,
    }
    assert document["precision"] == "float32"
    assert document["file_sha256"] == "0" * 64
    assert any("autocast" in note for note in document["notes"])


@pytest.mark.parametrize(
    "place",
    [
        ("audio",),
        ("weights_sha256",),
        ("versions",),
        ("audio", "sample_rate"),
        ("windows", "num_samples"),
        ("windows", "hop"),
        ("decision", "scale"),
        ("decision", "offset"),
        ("decision", "prior"),
        ("decision", "threshold"),
        ("decision", "operating_point"),
    ],
)
def test_a_missing_field_is_named_with_the_file(contract: Contract, place: tuple[str, ...]) -> None:
    with pytest.raises(ArtefactError) as caught:
        parse(changed(contract, *place, drop=True), "some/scorer.pt")
    assert str(caught.value) == f"some/scorer.pt: score contract: {'.'.join(place)}: Field required"


@pytest.mark.parametrize(
    ("place", "value"),
    [
        (("colour",), "red"),
        (("audio", "dither"), True),
        (("decision", "bias"), 0.0),
        (("schema_version",), 3),
        (("schema_version",), 0),
        (("schema_version",), None),
        (("task",), "transcription"),
        (("audio", "sample_rate"), 0),
        (("audio", "mixdown"), "left"),
        (("windows", "num_samples"), -1),
        (("windows", "tail"), "drop"),
        (("windows", "short"), "zeros"),
        (("decision", "prior"), 1.0),
        (("decision", "polarity"), "higher_is_spoof"),
        (("decision", "offset"), None),
        (("weights_sha256",), "ABC"),
    ],
)
def test_a_wrong_field_is_named_with_the_file(
    contract: Contract, place: tuple[str, ...], value: object
) -> None:
    with pytest.raises(ArtefactError) as caught:
        parse(changed(contract, *place, value=value), "some/scorer.pt")
    assert str(caught.value).startswith(f"some/scorer.pt: score contract: {'.'.join(place)}: ")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("field", ["scale", "offset", "threshold"])
@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_numbers_that_decide_nothing_are_refused(
    contract: Contract, field: str, value: float
) -> None:
    with pytest.raises(ArtefactError, match=rf"x\.pt: score contract: decision\.{field}: "):
        parse(changed(contract, "decision", field, value=value), "x.pt")


@pytest.mark.parametrize("text", ["{", "[]", "null", "not json", '{"a": 1} x'])
def test_text_that_is_no_contract_is_one_line_with_the_file(text: str) -> None:
    with pytest.raises(ArtefactError, match=r"^x\.pt: score contract: ") as caught:
        parse(text, "x.pt")
    assert "\n" not in str(caught.value)


def test_no_contract_says_what_to_do() -> None:
    with pytest.raises(ArtefactError, match=r"^x\.pt: has no score contract; export it with"):
        parse("", "x.pt")


# The hash of the weights, once more from its description.

STATE = {
    "b.weight": torch.tensor([[1.0, -2.5, 0.1], [3.0, 1e-30, -0.0]]),
    "a": torch.tensor(7),
    "B": torch.tensor([True, False]),
    "é": torch.tensor([1.5, 2.5], dtype=torch.float64),
    "h": torch.tensor([0.5, -1.0], dtype=torch.float16),
    "none": torch.zeros(0, 3),
}
BY_HAND = (
    ("B", "2", "bool", struct.pack("<2?", True, False)),
    ("a", "", "int64", struct.pack("<q", 7)),
    ("b.weight", "2,3", "float32", struct.pack("<6f", 1.0, -2.5, 0.1, 3.0, 1e-30, -0.0)),
    ("h", "2", "float16", struct.pack("<2e", 0.5, -1.0)),
    ("none", "0,3", "float32", b""),
    ("é", "2", "float64", struct.pack("<2d", 1.5, 2.5)),
)


def test_weights_hash_by_hand() -> None:
    content = b""
    for name, shape, dtype, values in BY_HAND:
        content += name.encode() + b"\n" + shape.encode() + b"\n" + dtype.encode() + b"\n" + values
    assert weights_sha256(STATE) == hashlib.sha256(content).hexdigest()


def test_weights_hash_does_not_depend_on_order_strides_or_gradient() -> None:
    expected = weights_sha256(STATE)
    backwards = dict(reversed(STATE.items()))
    backwards["b.weight"] = STATE["b.weight"].t().contiguous().t().requires_grad_()
    assert not backwards["b.weight"].is_contiguous()
    assert weights_sha256(backwards) == expected


def test_weights_hash_sees_name_shape_dtype_and_a_single_bit() -> None:
    weight = STATE["b.weight"]
    flipped = weight.clone()
    flipped.view(torch.int32)[0, 0] ^= 1
    assert float((flipped - weight).abs().max()) < 1e-6
    variants = {
        "as it is": STATE,
        "one bit": {**STATE, "b.weight": flipped},
        "sign of zero": {**STATE, "b.weight": weight + 0.0},
        "shape": {**STATE, "b.weight": weight.reshape(3, 2)},
        "dtype": {**STATE, "a": STATE["a"].to(torch.int32)},
        "same bytes, other dtype": {**STATE, "b.weight": weight.view(torch.int32)},
        "name": {**{k: v for k, v in STATE.items() if k != "a"}, "a2": STATE["a"]},
        "one less": {k: v for k, v in STATE.items() if k != "none"},
    }
    assert len({weights_sha256(state) for state in variants.values()}) == len(variants)


def test_versions_name_the_packages_that_shape_an_artefact() -> None:
    found = versions()
    assert {"torch", "executorch", "coremltools"} <= found.keys()
    assert found["torch"].split("+")[0] == torch.__version__.split("+")[0]
    assert all(found.values())


# What a score means.


def test_llr_is_affine_in_the_score(contract: Contract) -> None:
    for score in (-2.0, -0.3, 0.0, 0.4, 1.0):
        assert contract.llr(score) == SCALE * score + OFFSET
    assert contract.llr(0.0) == OFFSET != 0.0


def test_the_threshold_itself_is_bona_fide(contract: Contract) -> None:
    assert contract.decide(THRESHOLD) == "bonafide"
    assert contract.decide(math.nextafter(THRESHOLD, -math.inf)) == "spoof"
    assert contract.decide(math.nextafter(THRESHOLD, math.inf)) == "bonafide"


def test_posterior_is_bayes_rule_at_the_contracts_prior(contract: Contract) -> None:
    for llr in (-3.0, 0.0, 0.7, 4.0):
        odds = math.exp(llr) * PRIOR / (1 - PRIOR)
        assert contract.posterior(llr) == pytest.approx(odds / (1 + odds), abs=1e-12)
    assert contract.posterior(0.0) == pytest.approx(PRIOR)
    assert contract.posterior(-1e4) == 0.0
    assert contract.posterior(1e4) == 1.0


def test_a_scored_file_holds_what_the_contract_says(contract: Contract) -> None:
    found = decide(contract, "a.wav", 0.3).as_dict()
    assert found.pop("posterior") == pytest.approx(1 / (1 + math.exp(-1.0) * (1 - PRIOR) / PRIOR))
    assert found.pop("llr") == pytest.approx(7.5 * 0.3 - 1.25)
    assert found == {"file": "a.wav", "score": 0.3, "threshold": 0.5, "decision": "bonafide"}


# In the files.


@pytest.mark.parametrize("name", RUNNABLE)
def test_every_format_gives_back_the_same_text(artefacts: Artefacts, name: str) -> None:
    backend, artefact = backends.load(artefacts.path(name))
    assert backend.name == name
    text = artefact.contract()
    if name not in VERIFIED:
        # Of a zip archive the digest stands in the comment.
        assert artefact.file_sha256 is not None and text.count(artefact.file_sha256) == 1
        text = text.replace(artefact.file_sha256, "0" * 64)
    assert text == artefacts.text


@pytest.mark.parametrize("name", RUNNABLE)
def test_every_format_applies_scale_and_offset(artefacts: Artefacts, name: str) -> None:
    waveform = voice(WINDOW)
    with torch.no_grad():
        raw = float(artefacts.pipeline(waveform.unsqueeze(0)))
    scorer = artefacts.scorer(name)
    result = decide(scorer.contract, "", scorer.score_waveform(waveform))
    tolerance = backends.all_backends()[name].tolerance
    assert result.llr == pytest.approx(SCALE * raw + OFFSET, abs=SCALE * tolerance)
    # An offset that got lost would be far outside.
    assert abs(result.llr - SCALE * raw) > 100 * SCALE * tolerance
    assert result.decision == ("bonafide" if SCALE * raw + OFFSET >= THRESHOLD else "spoof")


@pytest.mark.parametrize("name", VERIFIED)
def test_the_weights_in_the_file_have_the_contracts_hash(artefacts: Artefacts, name: str) -> None:
    _, artefact = backends.load(artefacts.path(name))
    weights = artefact.weights()
    assert weights is not None
    assert weights.keys() == artefacts.pipeline.state_dict().keys()
    assert weights_sha256(weights) == artefacts.contract.weights_sha256


@pytest.mark.parametrize("name", [n for n in RUNNABLE if n not in VERIFIED])
def test_formats_without_named_weights_verify_the_file(artefacts: Artefacts, name: str) -> None:
    scorer = artefacts.scorer(name)
    assert scorer.artefact.weights() is None
    assert scorer.notes == (f"{name}: file verified by sha256",)


def rewrite_contract(path: Path, target: Path, old: str, new: str) -> None:
    """Copy a zip archive with one replacement in its contract and nothing else."""
    with zipfile.ZipFile(path) as source, zipfile.ZipFile(target, "w") as copy:
        for entry in source.infolist():
            content = source.read(entry)
            if entry.filename.endswith("contract.json"):
                assert content.count(old.encode()) == 1
                content = content.replace(old.encode(), new.encode())
            copy.writestr(entry, content)
    seal(target)


@pytest.mark.parametrize("name", VERIFIED)
def test_only_the_contracts_threshold_decides(
    artefacts: Artefacts, name: str, tmp_path: Path, command: Command
) -> None:
    wav = write_wav(tmp_path / "a.wav", voice(5000))
    original = artefacts.path(name)
    before = json.loads(command("score", original, wav, "--json").out)[0]
    opposite = before["llr"] - 0.01 if before["decision"] == "spoof" else before["llr"] + 0.01
    edited = tmp_path / original.name
    rewrite_contract(original, edited, '"threshold": 0.5', f'"threshold": {opposite!r}')
    after = json.loads(command("score", edited, wav, "--json").out)[0]
    assert {before["decision"], after["decision"]} == {"bonafide", "spoof"}
    assert after["threshold"] == opposite
    same = ("file", "score", "llr", "posterior")
    assert [after[key] for key in same] == [before[key] for key in same]


def test_a_contract_whose_offset_is_dropped_is_refused(
    artefacts: Artefacts, tmp_path: Path
) -> None:
    path = tmp_path / "dropped.pt"
    text = changed(artefacts.contract, "decision", "offset", drop=True)
    save_as("torchscript", artefacts.pipeline, text, path)
    with pytest.raises(ArtefactError, match=r"dropped\.pt: score contract: decision\.offset: "):
        load_scorer(path)
