"""Files of fewer bits: judged by decisions, refused or forced, and used like any other."""

import json
import re
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from artefact_helpers import (
    RATE,
    WINDOW,
    Command,
    assert_refused,
    spoof_trials,
    tiny_pipeline,
    usable,
    voice,
    write_wav,
)
from speech_helpers import needs_speech
from torch import Tensor

from export.backends import load
from export.errors import InputError
from export.jobs import reduced
from export.jobs.ship import ship, ship_verifier
from export.parity.record import Record
from export.runtime.audio import read_waveform
from export.runtime.contract import Contract, VerificationContract
from export.runtime.scorer import load_scorer
from export.runtime.verifier import load_verifier
from export.speech import speech_files
from scriptable import EmbeddingPipeline, FeatureNorm, ScorePipeline

XNNPACK = ["executorch_xnnpack"]
EACH = 12


def held_out() -> tuple[Tensor, Tensor]:
    """Buzzes, which the untrained scorer puts low, and noises; one of each is mislabelled."""
    windows = [voice(WINDOW, 90.0 + 9 * i, seed=i) for i in range(EACH)]
    windows += [0.05 * torch.randn(WINDOW, generator=seeded(i)) for i in range(EACH)]
    labels = torch.tensor([0] * EACH + [1] * EACH)
    labels[3], labels[-3] = 1, 0
    return torch.stack(windows), labels


def seeded(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def alike() -> Tensor:
    """Audio as the held-out windows are, and none of them."""
    buzzes = [voice(WINDOW, 95.0 + 11 * i, seed=50 + i) for i in range(8)]
    noises = [0.05 * torch.randn(WINDOW, generator=seeded(50 + i)) for i in range(8)]
    return torch.stack(buzzes + noises)


@pytest.fixture(scope="module")
def shipped(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[Record]]:
    usable(*XNNPACK)
    out = tmp_path_factory.mktemp("shipped")
    windows, labels = held_out()
    names = ("int8", "float32", "mixed16")
    records = ship(
        tiny_pipeline(), windows, labels, out, XNNPACK, precisions=names, calibration=alike()
    )
    return out, records


def file_of(out: Path, precision: str) -> Path:
    return out / f"scorer.{precision}.xnnpack.pte"


def test_one_file_each_and_what_became_of_it(shipped: tuple[Path, list[Record]]) -> None:
    out, records = shipped
    names = ["scorer.xnnpack.pte", *(file_of(out, p).name for p in ("int8", "mixed16"))]
    assert sorted(p.name for p in out.iterdir()) == sorted(["parity.json", *names])
    assert [r.precision for r in records] == [
        precision for precision in ("float32", "mixed16", "int8") for _ in range(3)
    ]
    assert {r.status for r in records} == {"pass"}
    for record in records:
        plain = record.precision == "float32"
        assert (record.tolerance is None) is not plain and record.max_abs_error is not None
        assert record.variant == ("scorer" if plain else f"scorer.{record.precision}")
    ladder = json.loads((out / "parity.json").read_text())["ladder"]
    assert [rung["precision"] for rung in ladder] == ["mixed16", "int8"]
    for rung in ladder:
        assert rung["trials"] == 2 * EACH and rung["flips"] == 0 == rung["most_flips"]
        assert rung["delta_eer"] is not None and len(rung["delta_eer_ci"]) == 2
    # Of an encoder as small as this one, half precision saves what its guard takes to tell.
    assert file_of(out, "int8").stat().st_size < 0.9 * (out / "scorer.xnnpack.pte").stat().st_size


def contract_of(path: Path) -> Contract:
    contract = load_scorer(path).contract
    assert isinstance(contract, Contract)
    return contract


@pytest.mark.parametrize(("precision", "windows"), [("mixed16", 0), ("int8", 16)])
def test_the_contract_says_precision_guard_and_figures(
    shipped: tuple[Path, list[Record]], precision: str, windows: int
) -> None:
    out, records = shipped
    contract, plain = contract_of(file_of(out, precision)), contract_of(out / "scorer.xnnpack.pte")
    guard = contract.precision_guard
    assert contract.precision == precision and guard is not None
    assert (guard.verdict, guard.trials, guard.flips) == ("passed", 2 * EACH, 0)
    assert guard.calibration_windows == windows
    errors = [r.max_abs_error for r in records if r.precision == precision]
    assert errors[-1] is not None and errors[-1] <= guard.max_score_error <= guard.score_tolerance
    ladder = json.loads((out / "parity.json").read_text())["ladder"]
    (rung,) = [rung for rung in ladder if rung["precision"] == precision]
    assert list(guard.delta_eer) == [rung["delta_eer"], *rung["delta_eer_ci"]]
    assert (plain.precision, plain.precision_guard) == ("float32", None)
    # An older reader refuses what it does not know, and in float32 there is nothing new.
    _, artefact = load(out / "scorer.xnnpack.pte")
    assert "precision_guard" not in artefact.contract()
    same = {"file_sha256", "precision", "precision_guard"}
    assert contract.model_dump(exclude=same) == plain.model_dump(exclude=same)


@pytest.mark.parametrize("precision", ["mixed16", "int8"])
def test_a_damaged_file_is_refused(
    shipped: tuple[Path, list[Record]], precision: str, tmp_path: Path
) -> None:
    content = bytearray(file_of(shipped[0], precision).read_bytes())
    content[len(content) // 2] ^= 1
    copy = tmp_path / "x.xnnpack.pte"
    copy.write_bytes(content)
    with pytest.raises(InputError, match=f"^{re.escape(str(copy))}: damaged: its sha256 is "):
        load_scorer(copy)


@needs_speech
@pytest.mark.parametrize("precision", ["mixed16", "int8"])
def test_real_speech_scores_within_what_the_contract_states(precision: str, tmp_path: Path) -> None:
    """With features of one scale; without, 8 bits were off by 0.034 here."""
    usable(*XNNPACK)
    files = speech_files()
    speech = torch.cat([read_waveform(path, RATE).waveform for path in files[:: len(files) // 4]])
    pieces = speech[: len(speech) // WINDOW * WINDOW].view(-1, WINDOW)
    loud = pieces[pieces.abs().amax(1) > 0.02][:24]
    calibration = torch.cat([alike(), loud[::2]])
    tiny, norm = tiny_pipeline(), FeatureNorm(8)
    with torch.no_grad():
        norm.fit(tiny.frontend(calibration))
    front = torch.nn.Sequential(tiny.frontend, norm)
    pipeline = ScorePipeline(front, tiny.encoder, tiny.head, WINDOW).eval()
    windows, labels = held_out()
    ship(
        pipeline,
        windows,
        labels,
        tmp_path,
        XNNPACK,
        precisions=(precision,),
        calibration=calibration,
        force=True,
    )
    scorer = load_scorer(file_of(tmp_path, precision))
    guard = scorer.contract.precision_guard
    assert guard is not None
    with torch.no_grad():
        expected = pipeline(loud[1::2])
    assert float((scorer.score_windows(loud[1::2]) - expected).abs().max()) <= guard.score_tolerance


def test_commands_take_such_a_file_as_any_other(
    shipped: tuple[Path, list[Record]], tmp_path: Path, command: Command
) -> None:
    model = file_of(shipped[0], "int8")
    wav = write_wav(tmp_path / "audio" / "a.wav", voice(RATE, 130.0, seed=7))
    ran = command("score", model, wav, "--json")
    assert ran.code == 0, ran.err
    (entry,) = json.loads(ran.out)
    reference = load_scorer(shipped[0] / "scorer.xnnpack.pte").score_file(wav)[0]
    guard = contract_of(model).precision_guard
    assert guard is not None and reference.score is not None
    assert 0 < abs(entry["score"] - reference.score) <= guard.score_tolerance
    assert command("vectors", model, "--out", tmp_path / "vectors").code == 0
    index = json.loads((tmp_path / "vectors" / "vectors.json").read_text())
    assert index["score_tolerance"] == guard.score_tolerance
    assert index["contract"]["precision_guard"]["verdict"] == "passed"
    assert index["contract"]["precision"] == "int8"


# What is refused.


def shipped_on_the_wrong_audio(out: Path, force: bool) -> list[Record]:
    """Samples far beyond full scale: their ranges leave speech a step or two."""
    windows, labels = held_out()
    return ship(
        tiny_pipeline(),
        windows,
        labels,
        out,
        XNNPACK,
        precisions=("int8",),
        calibration=1e15 * torch.randn(2, WINDOW, generator=seeded(9)),
        force=force,
    )


def test_what_decides_otherwise_is_not_written(tmp_path: Path) -> None:
    usable(*XNNPACK)
    records = shipped_on_the_wrong_audio(tmp_path, force=False)
    assert [p.name for p in tmp_path.iterdir()] == ["parity.json"]
    assert {r.status for r in records} == {"fail"}
    for record in records:
        assert record.reason.startswith("refused and not written, --force writes it: ")
        assert "a score is off by " in record.reason


def test_force_writes_it_and_its_contract_says_so(tmp_path: Path) -> None:
    usable(*XNNPACK)
    records = shipped_on_the_wrong_audio(tmp_path, force=True)
    assert {r.status for r in records} == {"fail"}
    assert all(r.reason.startswith("written all the same: ") for r in records)
    guard = contract_of(file_of(tmp_path, "int8")).precision_guard
    assert guard is not None
    assert guard.verdict == "forced" and guard.max_score_error > guard.score_tolerance


def test_a_file_unlike_its_draft_is_taken_away(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    usable(*XNNPACK)
    usual, calls = reduced.parity.check_backend, []

    def unlike(*given: object) -> list[Record]:
        calls.append(given)
        found = usual(*given)  # type: ignore[arg-type]
        return found if len(calls) < 2 else [replace(r, max_abs_error=0.5) for r in found]

    monkeypatch.setattr(reduced.parity, "check_backend", unlike)
    windows, labels = held_out()
    records = ship(tiny_pipeline(), windows, labels, tmp_path, XNNPACK, precisions=("mixed16",))
    assert {r.reason for r in records} == {"the file does not answer as the draft that was judged"}
    assert [p.name for p in tmp_path.iterdir()] == ["parity.json"]


def test_a_verifier_in_half_precision(tmp_path: Path) -> None:
    usable(*XNNPACK)
    tiny = tiny_pipeline()
    pipeline = EmbeddingPipeline(tiny.frontend, tiny.encoder, WINDOW).eval()
    windows = torch.stack([voice(WINDOW, 100.0 + 60 * (i // 3), seed=i) for i in range(9)])
    speakers = torch.arange(3).repeat_interleave(3)
    records = ship_verifier(pipeline, windows, speakers, tmp_path, XNNPACK, precisions=("mixed16",))
    assert {(r.method, r.status) for r in records} == {("forward", "pass"), ("verify", "pass")}
    verifier = load_verifier(tmp_path / "verifier.mixed16.xnnpack.pte")
    contract = verifier.contract
    assert isinstance(contract, VerificationContract) and contract.precision_guard is not None
    assert (contract.precision, contract.precision_guard.trials) == ("mixed16", 36)
    heard = [verifier.hear(str(i), windows[i]) for i in (0, 5)]
    with torch.no_grad():
        expected = float(pipeline.verify(*pipeline(windows[[0, 5]]).split(1)))
    score = verifier.compare(verifier.enrol(heard[:1]), heard[1]).score
    assert score == pytest.approx(expected, abs=contract.precision_guard.score_tolerance)


def test_arguments_of_ship_that_cannot_be(tmp_path: Path) -> None:
    windows, labels = held_out()

    def refused(said: str, **how: object) -> None:
        with pytest.raises(InputError, match=f"^{re.escape(said)}"):
            ship(tiny_pipeline(), windows, labels, tmp_path / "x", XNNPACK, **how)  # type: ignore[arg-type]
        assert not (tmp_path / "x").exists()

    refused("precision: expected one of float32, mixed16, int8, got int4", precisions=("int4",))
    refused(
        f"calibration: int8 needs windows of shape [C, {WINDOW}], got none", precisions=("int8",)
    )
    refused(
        f"calibration: int8 needs windows of shape [C, {WINDOW}], got [3, 9]",
        precisions=("int8",),
        calibration=torch.zeros(3, 9),
    )
    with pytest.raises(InputError, match=r"^precision: mixed16 cannot be written by torchscript"):
        ship(tiny_pipeline(), windows, labels, tmp_path, ["torchscript"], precisions=("mixed16",))


MODEL = ("model", "none.yaml", "--out", "out")
OPTIONS = {
    "unknown to demo": (("demo", "--precision", "int4"), "precision: expected one of float32, "),
    "unknown to model": ((*MODEL, "--precision", "half"), "precision: expected one of float32, "),
    "int8 on nothing": (
        (*MODEL, "--precision", "int8"),
        "calibration-audio: int8 needs recordings",
    ),
    "force of float32": ((*MODEL, "--force"), "force: is for --precision mixed16 or int8"),
    "audio for float32": (
        (*MODEL, "--calibration-audio", "."),
        "calibration-audio: is for --precision int8",
    ),
    "no such folder": (
        (*MODEL, "--precision", "int8", "--calibration-audio", "nowhere"),
        "nowhere: no such folder",
    ),
    "no audio": (
        ("demo", "--precision", "int8", "--calibration-audio", "."),
        ".: contains no .wav or .flac file to calibrate on",
    ),
}


@pytest.mark.parametrize("kind", OPTIONS)
def test_options_that_cannot_be_are_one_line(
    kind: str, command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    arguments, said = OPTIONS[kind]
    assert_refused(command(*arguments), said)
    assert not list(tmp_path.iterdir())


def test_a_part_of_the_trial_list_calibrates_and_the_rest_judges(
    tmp_path: Path, command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    usable(*XNNPACK)
    config = tmp_path / "scorer.yaml"
    config.write_text(
        "window: {num_samples: 4000, hop: 4000}\n"
        "frontend: {type: LFCC, n_lfcc: 8, n_filter: 8, n_fft: 256, log_lf: true}\n"
        "encoder: {type: LightCNN, n_features: 8, embedding_dim: 8}\n"
        "loss: {type: OCSoftmax, embedding_dim: 8}\n"
    )
    trials = spoof_trials(tmp_path, 12, 9000)
    out = tmp_path / "out"
    options = ("--backend", *XNNPACK, "--precision", "mixed16", "--precision", "int8")
    ran = command("model", config, "--out", out, *options, *trials, "--force")
    names = {"mixed16": 12, "int8": 8}
    assert {p.name for p in out.glob("*.pte")} == {f"scorer.{n}.xnnpack.pte" for n in names}
    for name, judged in names.items():
        guard = contract_of(file_of(out, name)).precision_guard
        assert guard is not None and guard.trials == judged
        assert (guard.calibration_windows > 0) is (name == "int8")
    assert "executorch_xnnpack mixed16" in ran.out and "executorch_xnnpack int8" in ran.out
    page = (out / "report.html").read_text().replace("<wbr>", "")
    assert "ScorePipeline[scorer.int8].forward" in page and "judged by decisions" in page
