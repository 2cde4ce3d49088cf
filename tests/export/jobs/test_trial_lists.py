"""Trial lists by model: what an enrolment file says, and that ``verify`` enrols alike."""

import json
from pathlib import Path

import pytest
from artefact_helpers import Command, assert_refused
from voices_helpers import PITCHES, TWO, Voices

from export.errors import InputError
from export.jobs.trial_lists import read_enrolments
from export.metrics.score_files import read_scores


@pytest.mark.parametrize(
    "text",
    [
        "m1 a b\nm2 c\n",
        "m1 a\nm2 c\nm1 b\n",
        "m1 a,b\n\nm2 c\n",
        "modelid\tsegmentid\nm1\ta\nm1\tb\nm2\tc\n",
    ],
)
def test_the_layouts_of_the_field_say_the_same(text: str, tmp_path: Path) -> None:
    path = tmp_path / "enrol.txt"
    path.write_text(text)
    assert read_enrolments(path) == {"m1": ["a", "b"], "m2": ["c"]}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("m1 a\nm1 b a\n", ":2: model m1 names the file a twice"),
        ("m1 a\nm2\n", ":2: expected MODEL FILE"),
        ("\n", ": is empty; expected lines of MODEL FILE"),
        (None, ": cannot be read"),
        (b"\xff\xfe", r": cannot be read \(not text in UTF-8\)"),
    ],
)
def test_a_bad_enrolment_list_is_one_line(
    text: str | bytes | None, said: str, tmp_path: Path
) -> None:
    path = tmp_path / "enrol.txt"
    if text is not None:
        path.write_bytes(text.encode() if isinstance(text, str) else text)
    with pytest.raises(InputError, match=f"^{path}{said}"):
        read_enrolments(path)


def by_model(voices: Voices) -> tuple[str, ...]:
    """Each voice enrolled with both recordings and tested against a third; and the options."""
    names = [f"model_{speaker}" for speaker in PITCHES]
    lines = [f"{n} {s}/0 {s}/1\n" for n, s in zip(names, PITCHES, strict=True)]
    enrolment = voices.folder / "enrol.txt"
    enrolment.write_text("".join(lines))
    trials = [
        f"{name} {speaker}/{k} {'target' if name == f'model_{speaker}' else 'nontarget'}\n"
        for name in names
        for speaker in PITCHES
        for k in (0, 1)
    ]
    (voices.folder / "trials.txt").write_text("".join(trials))
    return "--enrolment", str(enrolment)


def test_a_model_of_several_recordings_is_what_verify_enrols(
    voices: Voices, command: Command
) -> None:
    out, listed = voices.folder / "out", by_model(voices)
    options = ("--out", out, *TWO, *voices.trials, *listed, "--calibrate")
    ran = command("model", voices.config(), *options)
    assert ran.code == 0, ran
    scores = {line.trial: line.score for line in read_scores(out / "scores.csv")}
    assert len(scores) == 32
    enrol = ("--enrol", voices.wav("anna/0"), voices.wav("anna/1"))
    words = (out / "verifier.pt2", *enrol, "--test", voices.wav("bert/0"), "--json")
    [result] = json.loads(command("verify", *words).out)
    assert scores["model_anna", "bert/0"] == pytest.approx(result["score"], abs=1e-5)
    rungs = json.loads((out / "parity.json").read_text())["ladder"]
    assert [(rung["trials"], rung["flips"]) for rung in rungs] == [(32, 0)] * 2


def test_lists_that_do_not_fit_are_one_line(voices: Voices, command: Command) -> None:
    listed, out = by_model(voices), voices.folder / "out"
    config, options = voices.config(), ("--out", out, *TWO)
    enrolment, trials = voices.folder / "enrol.txt", voices.folder / "trials.txt"
    assert_refused(command("model", config, *options, *listed), "enrolment: give --protocol")
    enrolment.write_text("model_anna anna/0\n")
    ran = command("model", config, *options, *voices.trials, *listed)
    assert_refused(ran, f"{trials}: model model_bert is not in {enrolment}")
    enrolment.write_text("".join(f"model_{s} {s}/0 {s}/7\n" for s in PITCHES))
    ran = command("model", config, *options, *voices.trials, *listed)
    assert_refused(ran, "audio: 4 of 12 recordings are missing: anna/7, bert/7, cleo/7, ...")


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        ("anna/0 anna/1 target\n", "contains no nontarget trial"),
        ("anna/0 anna/1 target\nanna/0 zoe/1 nontarget\n", "1 of 3 recordings are missing: zoe/1"),
        ("anna/0 bert/1 nontarget\nanna/0 anna/1 target target\n", "trials.txt:2"),
    ],
)
def test_bad_trial_lists_are_one_line(
    lines: str, said: str, voices: Voices, command: Command
) -> None:
    (voices.folder / "trials.txt").write_text(lines)
    ran = command("model", voices.config(), "--out", voices.folder / "out", *TWO, *voices.trials)
    assert_refused(ran, said)


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ("bert/0 fake/anna0 target\n", "fake/anna0 is a spoof in one trial and live in another"),
        ("fake/anna0 bert/0 nontarget\n", "fake/anna0 is enrolled, and a spoof in another trial"),
    ],
)
def test_a_recording_is_live_or_a_spoof(
    more: str, said: str, voices: Voices, command: Command
) -> None:
    voices.list_spoofs()
    with (voices.folder / "trials.txt").open("a") as file:
        file.write(more)
    path = voices.config(
        "countermeasure: {encoder: {type: their_net.Level}, loss: {type: RawScore}}\n", "sasv"
    )
    ran = command("model", path, "--out", voices.folder / "out", *TWO, *voices.trials)
    assert_refused(ran, said)
