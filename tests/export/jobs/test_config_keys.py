"""The key ``guards``: what the contract refuses is said in the configuration."""

import pytest
from artefact_helpers import Command, assert_refused, voice, write_wav
from network_helpers import config
from voices_helpers import TWO, Voices

from export.runtime.guards import Guards
from export.runtime.scorer import load_scorer
from export.runtime.verifier import load_verifier


def test_a_scorer_refuses_what_its_configuration_says(voices: Voices, command: Command) -> None:
    more = "guards: {min_seconds: 1.5, max_amplitude: 2, min_level_dbfs: -40}\n"
    path, out = config(voices.folder, "{type: their_net.Base}", more=more), voices.folder / "out"
    assert command("model", path, "--out", out, *TWO).code == 0
    scorer = load_scorer(out / "scorer.pt2")
    expected = Guards(min_seconds=1.5, max_amplitude=2.0, min_level_dbfs=-40.0)
    assert scorer.contract.guards == expected
    short = write_wav(voices.folder / "short.wav", voice(16000))
    long = write_wav(voices.folder / "long.wav", voice(26000))
    assert scorer.score_file(short)[0].decision == "undecided"
    assert "at least 1.500 s" in str(scorer.score_file(short)[0].reason)
    assert scorer.score_file(long)[0].decision in ("bonafide", "spoof")


def test_a_verifier_has_guards_too_and_the_usual_ones_by_default(
    voices: Voices, command: Command
) -> None:
    for number, (more, expected) in enumerate(
        [("guards: {max_clipped: 0.5}\n", Guards(max_clipped=0.5)), ("", Guards())]
    ):
        out = voices.folder / f"out{number}"
        assert command("model", voices.config(more), "--out", out, *TWO).code == 0
        assert load_verifier(out / "verifier.pt").contract.guards == expected


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ("{min_second: 1}", "guards.min_second: unknown argument of guards; did you mean 'min_s"),
        ("{clip_level: 0.5}", "guards.clip_level: unknown argument of guards"),
        ("{min_seconds: -1}", "guards.min_seconds: expected greater than or equal to 0, got -1"),
        ("{max_amplitude: loud}", "guards.max_amplitude: expected a valid number, got 'loud'"),
        ("{max_clipped: .nan}", "guards.max_clipped: expected a finite number, got nan"),
        ("[1]", "guards: expected a mapping, got list"),
    ],
)
def test_bad_guards_are_one_line(given: str, said: str, voices: Voices, command: Command) -> None:
    path = voices.config(f"guards: {given}\n")
    ran = command("model", path, "--out", voices.folder / "out", *TWO)
    assert_refused(ran, f"verifier.yaml:5: {said}")
