"""The main job on a few seconds of made-up speech: what it writes, and what it refuses."""

import csv
import io
import json
import re
from collections.abc import Callable
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import pytest
import torch
from artefact_helpers import (
    LOWERED,
    RUNNABLE,
    VERIFIED,
    Command,
    Ran,
    assert_refused,
    run_main,
    usable,
    voice,
    without_progress,
    write_wav,
)

from export import backends
from export.backends._executorch import operators
from export.corpus import Utterance, three_parts
from export.demo import spoofing as demo
from export.demo import training
from export.demo.training import Settings
from export.errors import InputError
from export.jobs.spoofing_contract import make_contract
from export.jobs.steps import score
from export.parity.decisions import Rung
from export.runtime.audio import read_waveform
from export.runtime.contract import parse, weights_sha256
from export.runtime.scorer import load_scorer
from scriptable import equal_error_rate, fit_affine_calibration

SETTINGS = Settings(num_samples=8000, hop=8000, epochs=12, batch_size=6)
SPEAKERS = {"anna": 190.0, "bert": 105.0, "cleo": 150.0, "dana": 230.0, "emil": 120.0, "fay": 175.0}
EACH = 2
COLUMNS = [
    "part",
    "speaker",
    "attack",
    "key",
    "file",
    "score",
    "llr",
    "posterior",
    "threshold",
    "decision",
]
SUFFIXES = {
    name: f"spoof_scorer{b.suffix}" for name, b in backends.all_backends().items() if not b.emulated
}


@dataclass
class Made:
    """One run of the demo."""

    ran: Ran
    speech: Path
    out: Path
    progress: list[tuple[str, int, int]]


def record_speech(folder: Path) -> None:
    for number, (speaker, pitch) in enumerate(SPEAKERS.items()):
        for k in range(EACH):
            waveform = voice(16000, pitch + 7 * k, 10 * number + k)
            write_wav(folder / speaker / f"{k}.wav", waveform)


class Streams:
    """Stands in for pytest's capture, which does not reach fixtures that outlive a test."""

    def __init__(self) -> None:
        self.streams = io.StringIO(), io.StringIO()

    def readouterr(self) -> "Streams":
        return self

    @property
    def out(self) -> str:
        return self.streams[0].getvalue()

    @property
    def err(self) -> str:
        return self.streams[1].getvalue()


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Made:
    for name in (*RUNNABLE, *LOWERED):
        usable(name)
    speech, out = tmp_path_factory.mktemp("speech"), tmp_path_factory.mktemp("demo") / "out"
    record_speech(speech)
    calls: list[tuple[str, int, int]] = []
    job = demo.run

    def watched(options: demo.Options, progress: Callable[[str, int, int], None]) -> demo.Result:
        return job(options, lambda *call: (calls.append(call), progress(*call))[1])

    threads, streams = torch.get_num_threads(), Streams()
    arguments = ("demo", "--speech", str(speech), "--out", str(out), "--epochs", "12")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SCRIPTABLE_SPEECH", str(speech / "none"))
        patch.setattr(demo, "run", watched)
        patch.setattr(training, "Settings", partial(replace, SETTINGS))
        with redirect_stdout(streams.streams[0]), redirect_stderr(streams.streams[1]):
            ran = run_main(arguments, streams)  # type: ignore[arg-type]
    torch.set_num_threads(threads)
    return Made(ran, speech, out, calls)


@pytest.fixture(scope="module")
def records(made: Made) -> list[dict]:
    return json.loads((made.out / "parity.json").read_text())["records"]


@pytest.fixture(scope="module")
def rows(made: Made) -> list[dict[str, str]]:
    with (made.out / "scores.csv").open(newline="") as file:
        reader = csv.DictReader(file)
        found = list(reader)
    assert reader.fieldnames == COLUMNS
    return found


def test_it_succeeds_and_says_what_it_made(made: Made) -> None:
    assert made.ran.code == 0, made.ran
    assert without_progress(made.ran.err) == ""
    for said in (*SUFFIXES.values(), "parity.json", "scores.csv", "report.html", "equal error"):
        assert said in made.ran.out


def test_it_writes_exactly_its_files(made: Made) -> None:
    expected = {*SUFFIXES.values(), "parity.json", "scores.csv", "report.html"}
    assert {path.name for path in made.out.iterdir()} == expected
    page = (made.out / "report.html").read_text()
    assert "</html>" in page and "spoof_scorer.xnnpack.pte" in page.replace("<wbr>", "")


def test_progress_names_every_stage_and_ends(made: Made) -> None:
    stages = list(dict.fromkeys(what for what, _, _ in made.progress))
    files = ("exporting executorch_xnnpack", "scoring with executorch_xnnpack")
    for stage in ("vocoding copies", "training", *files, "timing every file"):
        assert any(what.startswith(stage) for what in stages), stages
    assert all(0 <= done <= total > 0 for _, done, total in made.progress)
    training_calls = [done for what, done, _ in made.progress if what == "training"]
    assert training_calls == list(range(SETTINGS.epochs + 1))


def test_parity_holds_for_seven_and_two_are_not_run(records: list[dict]) -> None:
    found = {(r["backend"], r["content"]): r["status"] for r in records}
    contents = ("example", "other", "speech")
    expected = {(name, content): "pass" for name in RUNNABLE for content in contents}
    expected |= {(name, content): "not_run" for name in LOWERED for content in contents}
    assert found == expected
    assert len(records) == len(found)
    for record in records:
        assert (record["entry"], record["method"]) == ("ScorePipeline", "forward")
        assert record["bytes"] > 10_000 and record["seconds"] > 0
        if record["status"] == "pass":
            assert record["max_abs_error"] <= record["tolerance"]
        else:
            assert record["reason"]
    tolerances = {r["backend"]: r["tolerance"] for r in records if r["status"] == "pass"}
    assert tolerances["executorch_xnnpack"] == 1e-4
    assert tolerances["coreml"] == 1e-3


def test_the_ladder_has_every_runnable_file_and_no_flip(made: Made) -> None:
    ladder = json.loads((made.out / "parity.json").read_text())["ladder"]
    assert [rung["artifact"] for rung in ladder] == [SUFFIXES[name] for name in RUNNABLE]
    for rung in ladder:
        assert rung["flips"] == 0
        assert rung["trials"] >= 2 * EACH
        assert rung["rank_correlation"] > 0.99
        assert rung["delta_eer"] == 0.0


def test_scores_hold_every_recording_once_and_no_speaker_twice(
    rows: list[dict[str, str]],
) -> None:
    assert len(rows) == len({row["file"] for row in rows}) == 2 * EACH * len(SPEAKERS)
    parts = [
        {r["speaker"] for r in rows if r["part"] == part}
        for part in ("train", "calibrate", "held_out")
    ]
    assert set.union(*parts) == set(SPEAKERS)
    assert all(parts) and sum(map(len, parts)) == len(SPEAKERS)
    for row in rows:
        assert (row["attack"] == "-") == (row["key"] == "bonafide") == ("+" not in row["file"])


def test_scores_mean_what_the_contract_in_the_file_says(
    made: Made, rows: list[dict[str, str]]
) -> None:
    contract = load_scorer(made.out / SUFFIXES["torchscript"]).contract
    assert contract.decision.scale > 0
    assert (
        f"{sum(r['part'] == 'calibrate' for r in rows)} held-out"
        in contract.decision.operating_point
    )
    for row in rows:
        llr = contract.decision.scale * float(row["score"]) + contract.decision.offset
        assert float(row["llr"]) == pytest.approx(llr)
        assert float(row["threshold"]) == contract.decision.threshold
        accepted = llr >= contract.decision.threshold
        assert row["decision"] == ("bonafide" if accepted else "spoof")


def test_the_contract_holds_the_calibration_and_threshold_of_a_part_of_its_own(
    made: Made, rows: list[dict[str, str]]
) -> None:
    held_out = [row for row in rows if row["part"] == "calibrate"]
    scores = torch.tensor([float(row["score"]) for row in held_out], dtype=torch.float64)
    labels = torch.tensor([int(row["key"] == "bonafide") for row in held_out])
    decision = load_scorer(made.out / SUFFIXES["executorch_xnnpack"]).contract.decision
    scale, offset = fit_affine_calibration(scores, labels, decision.prior)
    assert (decision.scale, decision.offset) == pytest.approx((scale, offset))
    point = equal_error_rate(scale * scores + offset, labels)
    assert decision.threshold == pytest.approx(point.threshold)


def test_every_file_carries_the_same_contract(made: Made) -> None:
    texts = {name: backends.load(made.out / SUFFIXES[name])[1].contract() for name in RUNNABLE}
    contracts = {name: parse(text, name) for name, text in texts.items()}
    # The digest is each file's own, in the contract or beside it; all else is alike.
    assert len({c.model_dump_json(exclude={"file_sha256"}) for c in contracts.values()}) == 1
    contract = contracts["torchscript"]
    assert contract.windows.num_samples == SETTINGS.num_samples
    assert contract.windows.hop == SETTINGS.hop
    assert contract.model == "LFCC + FeatureNorm + LightCNN + OCSoftmax"
    for name in VERIFIED:
        weights = backends.load(made.out / SUFFIXES[name])[1].weights()
        assert weights is not None and weights_sha256(weights) == contract.weights_sha256


def test_every_file_gives_the_scores_of_the_table(made: Made, rows: list[dict[str, str]]) -> None:
    genuine = [row for row in rows if row["key"] == "bonafide"]
    assert len(genuine) == EACH * len(SPEAKERS)
    for name in RUNNABLE:
        scorer = load_scorer(made.out / SUFFIXES[name])
        for row in genuine:
            waveform = read_waveform(made.speech / f"{row['file']}.wav", 16000).waveform
            assert scorer.score_waveform(waveform) == pytest.approx(
                float(row["score"]), abs=usable(name).tolerance
            )


def test_xnnpack_has_every_convolution_delegated(made: Made) -> None:
    left = operators(made.out / SUFFIXES["executorch_xnnpack"])
    assert not [name for name in left if "conv" in name], left
    # The portable file shows that the check could fail: there, all of them are left.
    assert [
        name for name in operators(made.out / SUFFIXES["executorch_portable"]) if "conv" in name
    ]


def test_a_second_run_gives_the_same_numbers(made: Made, rows: list[dict[str, str]]) -> None:
    options = demo.Options(made.out, SETTINGS, speech=made.speech)
    torch.rand(7)
    corpus = demo.read_corpus(options, lambda *call: None)
    parts = three_parts(corpus.utterances, 0.3, SETTINGS.seed)
    pipeline = training.train(SETTINGS, parts.train, lambda *call: None)
    scores = score(pipeline, SETTINGS.hop, (*parts.train, *parts.calibrate, *parts.test))
    assert [str(float(s)) for s in scores] == [row["score"] for row in rows]
    contract = load_scorer(made.out / SUFFIXES["trace"]).contract
    assert weights_sha256(pipeline.state_dict()) == contract.weights_sha256
    assert not pipeline.training


def test_training_leaves_the_random_state_alone() -> None:
    before = torch.get_rng_state()
    training.train(replace(SETTINGS, epochs=1), a_pair(2), lambda *call: None)
    assert torch.equal(torch.get_rng_state(), before)


def a_pair(count: int) -> list[Utterance]:
    return [Utterance(str(i), "s", "-", i % 2, voice(9000, seed=i)) for i in range(count)]


# What it refuses.


@pytest.mark.parametrize("head", sorted(training.HEADS))
def test_every_head_trains_to_finite_scores(head: str) -> None:
    pipeline = training.train(replace(SETTINGS, head=head, epochs=1), a_pair(4), lambda *c: None)
    assert type(pipeline.head).__name__ == head
    assert bool(torch.isfinite(score(pipeline, 4000, a_pair(4))).all())


@pytest.mark.parametrize(
    "scores",
    [[0.1, 0.1, 0.1, 0.1], [0.9, 0.1, 0.8, 0.2], [float("nan"), 0.1, 0.2, 0.3]],
    ids=["constant", "inverted", "nan"],
)
def test_scores_that_cannot_be_calibrated_are_bad_input(scores: list[float]) -> None:
    labels = torch.tensor([0, 1, 0, 1])
    pipeline = training.build_pipeline(SETTINGS)
    with pytest.raises(InputError, match=r"held-out .*recordings") as caught:
        make_contract(pipeline, 8000, 4000, torch.tensor(scores).double(), labels)
    assert "\n" not in str(caught.value)


def write_protocol(folder: Path, lines: list[str]) -> Path:
    for number in range(4):
        write_wav(folder / "audio" / f"f{number}.wav", voice(9000, seed=number))
    path = folder / "protocol.txt"
    path.write_text("".join(f"{line}\n" for line in lines))
    return path


LINES = ["a f0 - - bonafide", "a f1 - A1 spoof", "b f2 - - bonafide", "b f3 - A1 spoof"]


def test_indistinguishable_recordings_end_in_one_line(
    tmp_path: Path, command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    protocol = write_protocol(tmp_path, LINES)
    for number in range(1, 4):
        (tmp_path / "audio" / f"f{number}.wav").write_bytes(
            (tmp_path / "audio" / "f0.wav").read_bytes()
        )
    monkeypatch.setattr(training, "Settings", partial(replace, SETTINGS))
    arguments = ("--protocol", protocol, "--audio", tmp_path / "audio", "--epochs", 1)
    ran = command("demo", *arguments, "--out", tmp_path / "out")
    assert_refused(ran, "held-out scores: ")
    assert not (tmp_path / "out").exists()


REFUSED = {
    "protocol without audio": (["--protocol", "protocol.txt"], "--protocol and --audio together"),
    "audio without protocol": (["--audio", "audio"], "--protocol and --audio together"),
    "two sources": (
        ["--protocol", "protocol.txt", "--audio", "audio", "--speech", "audio"],
        "either --speech or --protocol",
    ),
    "endless alarms": (
        ["--task", "streaming", "--false-alarms-per-hour", "inf"],
        "false-alarms-per-hour: expected a finite number, got inf",
    ),
    "unknown head": (["--head", "Softmin"], "expected one of OCSoftmax, AMSoftmax"),
    "missing folder": (["--speech", "nowhere"], "nowhere: no such folder"),
    "empty folder": (["--speech", "empty"], "empty: contains no .wav or .flac file"),
    "missing protocol": (
        ["--protocol", "none.txt", "--audio", "audio"],
        "none.txt: cannot be read",
    ),
    "one class": (["--protocol", "one.txt", "--audio", "audio"], "one.txt: has no spoof line"),
    "bad line": (["--protocol", "bad.txt", "--audio", "audio"], "bad.txt:2: expected 5 fields"),
    "missing file": (
        ["--protocol", "more.txt", "--audio", "audio"],
        "missing as .flac or .wav: f9",
    ),
}


@pytest.mark.parametrize("kind", REFUSED)
def test_bad_options_are_one_line_and_write_nothing(
    kind: str, tmp_path: Path, command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_protocol(tmp_path, LINES)
    (tmp_path / "one.txt").write_text("a f0 - - bonafide\nb f2 - - bonafide\n")
    (tmp_path / "bad.txt").write_text("a f0 - - bonafide\na f1 spoof\n")
    (tmp_path / "more.txt").write_text("\n".join([*LINES, "c f9 - - bonafide"]))
    (tmp_path / "empty").mkdir()
    monkeypatch.chdir(tmp_path)
    arguments, said = REFUSED[kind]
    ran = command("demo", *arguments, "--out", "out")
    assert_refused(ran, said)
    assert not (tmp_path / "out").exists()
    assert not list(tmp_path.rglob("spoof_scorer*"))


def test_calibration_audio_is_read_before_the_training(
    tmp_path: Path, command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    def train(*_: object) -> None:
        raise AssertionError("trained")

    monkeypatch.setattr("export.demo.spoofing.train", train)
    folder = tmp_path / "calibration"
    folder.mkdir()
    (folder / "a.wav").write_text("no audio")
    out = tmp_path / "out"
    source = ("--protocol", write_protocol(tmp_path, LINES), "--audio", tmp_path / "audio")
    chosen = ("--precision", "int8", "--calibration-audio", folder)
    ran = command("demo", *source, *chosen, "--out", out)
    assert_refused(ran, f"{folder / 'a.wav'}: not readable as audio")
    assert not out.exists()


def test_a_file_in_the_place_of_the_folder_is_refused_at_once(
    tmp_path: Path, command: Command
) -> None:
    path = tmp_path / "out"
    path.write_text("in the way")
    assert_refused(command("demo", "--out", path), f"{path}: is not a folder")
    assert path.read_text() == "in the way"


def test_an_artefact_that_disagrees_fails_the_job(made: Made) -> None:
    empty = demo.Result([], [], [], 1.0, 0.0, 0, [], ())
    assert empty.passed
    ladder = json.loads((made.out / "parity.json").read_text())["ladder"]
    rung = Rung(**{**ladder[0], "flips": 1})
    assert not replace(empty, rungs=[rung]).passed
    assert re.search("flips", made.ran.out)
