"""What compares embeddings: cohorts, and PLDAs from a file that the saved verifier scores with."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from artefact_helpers import Command, assert_refused
from safetensors.torch import save_file
from torch import Tensor
from voices_helpers import TWO, Voices

from export.errors import InputError
from export.jobs.config_file import read_config
from export.jobs.voice_scorer import read_plda
from export.runtime.audio import read_waveform
from export.runtime.verifier import load_verifier
from scriptable import PLDA, cut_windows, fit_lda, fit_plda, fit_two_covariance
from scriptable.scoring.plda_fit import TwoCovariance

SPEAKERS = torch.arange(80) // 5


def embeddings(dim: int = 6) -> Tensor:
    """Of 16 speakers, 5 each, far from the origin."""
    generator = torch.Generator().manual_seed(0)
    means = torch.randn(16, dim, generator=generator)[SPEAKERS]
    return 3 + means + 0.3 * torch.randn(80, dim, generator=generator)


def parameters(x: Tensor, lda_dim: int) -> tuple[TwoCovariance, Tensor, Tensor]:
    """The parts of a PLDA, fitted one by one, without length normalisation."""
    centre = x.double().mean(0)
    lda = fit_lda(x.double() - centre, SPEAKERS, lda_dim)
    return fit_two_covariance((x.double() - centre) @ lda, SPEAKERS), centre, lda


@pytest.mark.parametrize("suffix", ["safetensors", "npz"])
def test_parameters_and_a_state_dict_give_the_fitted_scores(suffix: str, tmp_path: Path) -> None:
    x = embeddings()
    model, centre, lda = parameters(x, 4)
    parts = {**model._asdict(), "centre": centre, "lda": lda}
    path = tmp_path / f"plda.{suffix}"

    def write(tensors: dict[str, Tensor]) -> None:
        if suffix == "npz":
            np.savez(path, **{name: tensor.numpy() for name, tensor in tensors.items()})
        else:
            save_file({name: tensor.contiguous() for name, tensor in tensors.items()}, path)

    write(parts)
    expected = PLDA(*model, centre, lda, False)
    assert torch.equal(read_plda(path, False)(x[:3], x), expected(x[:3], x))
    fitted = fit_plda(x, SPEAKERS, lda_dim=4)
    write(fitted.state_dict())
    assert torch.equal(read_plda(path)(x[:3], x), fitted(x[:3], x))
    write(dict(model._asdict()))
    square = x[:, :4]
    assert torch.equal(read_plda(path)(square, square), PLDA(*model)(square, square))


@pytest.mark.parametrize("kind", ["raw", "unit"])
def test_a_shipped_plda_scores_as_the_fitted_one(
    kind: str, voices: Voices, command: Command
) -> None:
    """``verify`` averages as the contract says, and the PLDA in the file gets just that."""
    pipeline = read_config(voices.config()).pipeline
    names = [f"{speaker}/{k}" for speaker in ("anna", "bert", "cleo", "dana") for k in (0, 1)]

    def mean(x: Tensor) -> Tensor:
        if kind == "raw":
            return x.mean(0)
        unit = torch.nn.functional.normalize
        return unit(unit(x).mean(0), dim=0)

    def windows(name: str) -> Tensor:
        cut = cut_windows(read_waveform(voices.wav(name), 16000).waveform, 4000, 2000)
        with torch.no_grad():
            return pipeline(cut).double()

    found = torch.cat([windows(name) for name in names])
    owners = torch.arange(8).repeat_interleave(len(found) // 8) // 2
    if kind == "unit":
        found = torch.nn.functional.normalize(found)
    plda = fit_plda(found.float(), owners, lda_dim=3)
    save_file(plda.state_dict(), voices.folder / "plda.safetensors")
    path = voices.config(f"scoring: {{plda: plda.safetensors, embeddings: {kind}}}\n")
    out = voices.folder / "out"
    ran = command("model", path, "--out", out, *TWO, *voices.trials, "--calibrate")
    assert ran.code == 0, ran
    contract = load_verifier(out / "verifier.pt2").contract
    averaged = {"raw": "mean", "unit": "mean_of_unit_vectors"}[kind]
    assert contract.scoring.backend == "plda" and contract.scoring.normalisation == "none"
    assert contract.scoring.enrolment == contract.windows.combine == averaged
    assert "PLDA&#39;s log-likelihood ratio" in (out / "report.html").read_text()
    rungs = json.loads((out / "parity.json").read_text())["ladder"]
    assert [rung["flips"] for rung in rungs] == [0, 0]
    enrolled = mean(torch.stack([mean(windows(name)) for name in ("anna/0", "anna/1")]))
    with torch.no_grad():
        expected = float(plda(enrolled[None].float(), mean(windows("bert/0"))[None].float()))
    wavs = [voices.wav(name) for name in ("anna/0", "anna/1", "bert/0")]
    for file in ("verifier.pt", "verifier.pt2"):
        words = ("--enrol", *wavs[:2], "--test", wavs[2], "--json")
        [result] = json.loads(command("verify", out / file, *words).out)
        assert result["score"] == pytest.approx(expected, rel=1e-4, abs=1e-4)


@pytest.mark.parametrize("form", ["folder", "npy"])
def test_a_cohort_normalises_the_scores(form: str, voices: Voices, command: Command) -> None:
    if form == "npy":
        np.save(voices.folder / "cohort.npy", torch.randn(9, 6).numpy())
    cohort = {"folder": "audio", "npy": "cohort.npy"}[form]
    path = voices.config(f"scoring: {{cohort: {cohort}, top_n: 5}}\n")
    out = voices.folder / "out"
    assert command("model", path, "--out", out, *TWO, *voices.trials).code == 0
    scoring = load_verifier(out / "verifier.pt").contract.scoring
    assert scoring.normalisation == "as_norm" and scoring.top_n == 5
    assert scoring.cohort_size == {"folder": 8, "npy": 9}[form]


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ("{cohort: none.npy}", "scoring.cohort: {0}/none.npy: no such file or folder"),
        ("{cohort: bad.npy}", "scoring.cohort: {0}/bad.npy: expected embeddings [C, 6], got"),
        ("{cohort: trials.txt}", "trials.txt: expected a folder, .npy or .safetensors"),
        ("{chort: audio}", "scoring.chort: unknown argument"),
        ("{top_n: 0}", "scoring.top_n: expected 1 or more, got 0"),
        ("{plda: none.npz}", "scoring.plda: {0}/none.npz: no such file"),
        ("{plda: bad.npy}", "scoring.plda: {0}/bad.npy: expected .safetensors or .npz"),
        ("{plda: broken.npz}", "scoring.plda: {0}/broken.npz: cannot be read ("),
        ("{plda: five.npz}", "expected a PLDA of embeddings of 6 numbers, got one of 5"),
        ("{plda: five.npz, cohort: audio}", "scoring.plda: give either a cohort"),
        ("{plda: five.npz, embeddings: long}", "scoring.embeddings: expected one of raw, unit"),
        ("{embeddings: raw}", "scoring.embeddings: is of a PLDA, and plda is not given"),
        ("{plda: five.npz, length_norm: 2}", "scoring.length_norm: expected true or false"),
    ],
)
def test_bad_files_and_keys_are_one_line(
    given: str, said: str, voices: Voices, command: Command
) -> None:
    folder = voices.folder
    np.save(folder / "bad.npy", np.zeros((4, 5), np.float32))
    (folder / "broken.npz").write_text("no archive")
    eye = np.eye(5, dtype=np.float32)
    np.savez(folder / "five.npz", mean=np.zeros(5, np.float32), within=eye, between=eye)
    path = voices.config(f"scoring: {given}\n")
    ran = command("model", path, "--out", folder / "out", *TWO)
    assert_refused(ran, "verifier.yaml:5: scoring", said.format(folder))


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"within": None}, "expected the tensors mean, within, between"),
        ({"means": torch.zeros(2)}, "perhaps centre and lda, got between, mean, means, within"),
        ({"mean": torch.tensor([0.0, torch.nan])}, "mean: expected finite floating-point numbers"),
        ({"within": -torch.eye(2)}, "within: expected a positive definite covariance"),
        ({"between": torch.eye(3)}, r"between: expected shape \[2, 2\], got \[3, 3\]"),
        ({"centre": torch.zeros(3)}, r"centre: expected shape \[2\], got \[3\]"),
        ({"lda": torch.zeros(3, 1)}, r"lda: expected shape \[D, 2\], got \[3, 1\]"),
    ],
)
def test_what_is_no_plda_is_one_line(
    change: dict[str, Tensor | None], said: str, tmp_path: Path
) -> None:
    parts = {"mean": torch.zeros(2), "within": torch.eye(2), "between": torch.eye(2), **change}
    path = tmp_path / "plda.safetensors"
    save_file({name: tensor for name, tensor in parts.items() if tensor is not None}, path)
    with pytest.raises(InputError, match=f"^{path}: .*{said}"):
        read_plda(path)


def test_a_damaged_state_dict_is_one_line(tmp_path: Path) -> None:
    path = tmp_path / "plda.safetensors"
    state = fit_plda(embeddings(), SPEAKERS, lda_dim=4).state_dict()
    for change, said in (
        ({"transform": torch.eye(3)}, r"transform: expected shape \[4, 4\], got \[3, 3\]"),
        ({"between": -torch.ones(4)}, "between: expected variances of 0 or more"),
        ({"mean": torch.zeros(4, 1)}, r"mean: expected shape \[K\], got \[4, 1\]"),
    ):
        save_file({**state, **change}, path)
        with pytest.raises(InputError, match=said):
            read_plda(path)
