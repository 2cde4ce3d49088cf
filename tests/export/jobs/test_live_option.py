"""``--live cached``: the files of a user's own scorer hear a stream, too."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from artefact_helpers import Command, assert_refused, contract_of, usable
from model_helpers import CONFIG, own_model

from export import backends
from export.backends import Source
from export.errors import InputError
from export.jobs.live import with_live
from export.jobs.ship import ship
from export.jobs.web import write_page
from export.runtime.live import load_live_scorer
from scriptable import LFCC, CachedScorePipeline, LightCNN, OCSoftmax, ScorePipeline, cut_windows

CACHED = CONFIG.replace("log_lf: true", "log_lf: true, hop_length: 80, center: false")
TWO = ("--backend", "torchscript", "--backend", "torch_export")


def test_model_writes_files_with_both_methods(
    own_code: Path, tmp_path: Path, command: Command
) -> None:
    own = own_model(own_code)
    out, config = tmp_path / "out", own.config(text=CACHED)
    ran = command("model", config, "--out", out, *TWO, "--live", "cached")
    assert ran.code == 0, ran
    records = json.loads((out / "parity.json").read_text())["records"]
    methods = {(r["backend"], r["method"], r["status"]) for r in records}
    assert {m for m in methods if m[2] != "pass"} == set()
    assert {m[:2] for m in methods} == {(b, m) for b in TWO[1::2] for m in ("forward", "live")}
    for name in ("scorer.pt", "scorer.pt2"):
        scorer = load_live_scorer(out / name)
        assert scorer.contract.stream.chunk_samples == 2560
        assert "frames computed once" in scorer.notes[-1]


@pytest.mark.parametrize(
    ("old", "new", "options", "said"),
    [
        ("", "", ("--live", "kept"), "live: expected cached, got kept"),
        (", center: false", "", ("--live", "cached"), "live: frontend: expected center=False"),
        ("log_lf: true, ", "", ("--live", "cached"), "live: frontend: expected a logarithm"),
        ("num_samples: 4000", "num_samples: 2000", ("--live", "cached"), "live: chunk_samples"),
        ("", "", ("--live", "cached", "--precision", "mixed16"), "live: expected a precision of"),
    ],
)
def test_what_cannot_be_cached_is_one_line(
    old: str,
    new: str,
    options: tuple[str, ...],
    said: str,
    own_code: Path,
    tmp_path: Path,
    command: Command,
) -> None:
    own = own_model(own_code)
    text = CACHED.replace("hop: 1500", "hop: 1000")
    out = tmp_path / "out"
    ran = command("model", own.config(old, new, text), "--out", out, *TWO, *options)
    assert_refused(ran, said)
    assert not out.exists()


def test_another_task_is_refused(own_code: Path, tmp_path: Path, command: Command) -> None:
    text = CACHED[: CACHED.index("loss:")] + "task: verification\n"
    config = own_model(own_code).config(text=text)
    ran = command("model", config, "--out", tmp_path / "out", *TWO, "--live", "cached")
    assert_refused(ran, "live: ", "is of task: verification, not spoofing")


def scorer(num_samples: int = 4000) -> ScorePipeline:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(3)
        frontend = LFCC(
            n_fft=256, hop_length=80, n_lfcc=8, n_filter=8, log_lf=True, center=False, deltas=1
        )
        return ScorePipeline(frontend, LightCNN(16, 8), OCSoftmax(8), num_samples).eval()


def held_out(pipeline: ScorePipeline) -> tuple[torch.Tensor, torch.Tensor]:
    """Windows, and labels that the pipeline mostly, not always, agrees with."""
    generator = torch.Generator().manual_seed(4)
    loudness = 0.02 + 0.2 * torch.rand(12, 1, generator=generator)
    windows = loudness * torch.randn(12, 4000, generator=generator)
    with torch.no_grad():
        order = pipeline(windows).argsort()
    labels = torch.zeros(12, dtype=torch.long)
    labels[order[[4, 7, 8, 9, 10, 11]]] = 1
    return windows, labels


def test_ship_takes_the_option(tmp_path: Path) -> None:
    pipeline = scorer()
    windows, labels = held_out(pipeline)
    records = ship(pipeline, windows, labels, tmp_path / "a", ["torchscript"], live="cached")
    assert {(r.method, r.status) for r in records} == {("forward", "pass"), ("live", "pass")}
    live = load_live_scorer(tmp_path / "a" / "scorer.pt")
    stream = cut_windows(windows.flatten(), 3 * 2560, 3 * 2560)[0]
    verdicts = list(live.verdicts([stream]))
    assert [v.score is None for v in verdicts] == [True, False, False]
    assert type(pipeline) is ScorePipeline
    for options, said in (
        ({"live": "kept"}, "live: expected cached"),
        ({"live": "cached", "precisions": ("mixed16",)}, "live: expected a precision"),
    ):
        refused: dict[str, Any] = dict(options)
        with pytest.raises(InputError, match=said):
            ship(pipeline, windows, labels, tmp_path / "b", ["torchscript"], **refused)
    assert not (tmp_path / "b").exists()


def test_an_encoder_that_fails_on_nothing_is_refused() -> None:
    class Relative(torch.nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return (x / x.abs().amax(dim=[1, 2], keepdim=True)).mean(2).narrow(1, 0, 8)

    parts = scorer()
    with torch.no_grad():
        parts.frontend.filterbank.weight.zero_()  # type: ignore[union-attr, operator]
    pipeline = ScorePipeline(parts.frontend, Relative(), parts.head, 4000)
    pipeline.frontend.log.floor = 1.0  # type: ignore[union-attr, assignment]
    with pytest.raises(InputError, match="live: the score of frames of zeros"):
        with_live(pipeline, 16000)
    assert isinstance(with_live(scorer(), 16000), CachedScorePipeline)


def test_a_page_takes_no_second_method(tmp_path: Path) -> None:
    pipeline = with_live(scorer(), 16000)
    methods = {
        "forward": (torch.zeros(1, 4000),),
        "live": (torch.zeros(1, pipeline.chunk_samples), pipeline.initial_state()),
    }
    contract = contract_of(pipeline)
    source = Source(pipeline, methods, contract.model_dump_json())
    backends.save(usable("onnx"), source, tmp_path / "live.onnx")
    with pytest.raises(InputError, match="has a method live"):
        write_page(tmp_path / "live.onnx", tmp_path / "page")
