"""The demo of the task streaming on a few seconds of made-up speech."""

import csv
from pathlib import Path

import pytest
import torch
from artefact_helpers import RUNNABLE, Command, assert_refused, voice, write_wav

from export import backends
from export.demo.training import Settings, train_stream
from export.progress import silent
from export.runtime.stream import load_stream_scorer
from scriptable import CausalLightCNN

BACKENDS = [name for name in RUNNABLE if not backends.all_backends()[name].unavailable()]


@pytest.fixture(scope="module")
def trials(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, ...]:
    """Recordings whose spoofed half hisses: a few epochs hear that."""
    folder, lines = tmp_path_factory.mktemp("trials"), []
    for i in range(20):
        wave = voice(24000 + 700 * i, 100 + 12.0 * i, i)
        if i % 2:
            wave = wave + 0.05 * torch.randn(len(wave))
        write_wav(folder / "audio" / f"f{i}.wav", wave)
        lines.append(f"s{i} f{i} - {'A01 spoof' if i % 2 else '- bonafide'}\n")
    (folder / "protocol.txt").write_text("".join(lines))
    return "--protocol", str(folder / "protocol.txt"), "--audio", str(folder / "audio")


def test_everything_is_written_and_proven(
    trials: tuple[str, ...], tmp_path: Path, command: Command
) -> None:
    out = tmp_path / "out"
    options = ("--task", "streaming", "--epochs", 20, "--false-alarms-per-hour", 300)
    ran = command("demo", *options, *trials, "--out", out)
    assert ran.code == 0, ran
    for name in BACKENDS:
        path = out / f"stream_scorer{backends.all_backends()[name].suffix}"
        contract = load_stream_scorer(path).contract
        assert contract.stream.chunk_samples == 2560
        assert contract.decision.operating_point.startswith("at most 300 false alarms per hour: ")
    page = (out / "report.html").read_text()
    for said in (
        "LLR over time",
        "Equal error rate over time",
        "False alarms on bona fide",
        "95 %",
    ):
        assert said in page
    assert "in chunks of 2560 samples" in page and "After 0.48 s: LLR = " in page
    with (out / "scores.csv").open() as file:
        lines = list(csv.DictReader(file))
    scorer = load_stream_scorer(out / "stream_scorer.pt")
    held = next(line for line in lines if line["part"] == "held_out")
    wav = Path(trials[3]) / f"{held['file']}.wav"
    result, _ = scorer.score_file(wav)
    assert result.score == pytest.approx(float(held["score"]), abs=1e-5)
    assert result.decision == held["decision"]


def test_training_is_the_same_every_time_and_forgets() -> None:
    from export.corpus import Utterance

    settings = Settings(epochs=1, batch_size=4)
    made = [
        Utterance(f"u{i}", "s", "-", i % 2, 0.1 * torch.randn(12000 + 9000 * i)) for i in range(4)
    ]
    first, second = (train_stream(settings, made, silent) for _ in range(2))
    states = [pipeline.state_dict() for pipeline in (first, second)]
    assert all(torch.equal(states[0][name], states[1][name]) for name in states[0])
    assert isinstance(first.encoder, CausalLightCNN) and not first.training
    assert first.encoder.pooling.forgetting > 0


def test_a_bad_rate_of_false_alarms_is_one_line(tmp_path: Path, command: Command) -> None:
    ran = command(
        "demo", "--task", "streaming", "--false-alarms-per-hour", "-1", "--out", tmp_path / "out"
    )
    assert ran.code == 2 and "false-alarms-per-hour" in ran.err
    assert_refused(
        command("demo", "--task", "stream", "--out", tmp_path / "out"),
        "task: expected one of spoofing, verification, sasv, streaming",
    )
