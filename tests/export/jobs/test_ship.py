"""``ship_verifier``: a trained embedder in a script of one's own to proven files."""

import re
from pathlib import Path

import pytest
import torch
from torch import Tensor

from export.errors import InputError
from export.jobs.ship import ship_verifier
from export.runtime.contract import VerificationContract
from export.runtime.verifier import load_verifier
from scriptable import EmbeddingPipeline, LightCNN, LogMel, equal_error_rate, fit_plda

TWO = ["torchscript", "torch_export"]


def embedder() -> EmbeddingPipeline:
    torch.manual_seed(0)
    frontend = LogMel(n_mels=8, n_fft=512, center=False)
    return EmbeddingPipeline(frontend, LightCNN(8, 4), 4000).eval()


def voices(each: int = 3) -> tuple[Tensor, Tensor]:
    """Tones of another pitch for each speaker."""
    time = torch.arange(4000) / 16000
    windows = [
        0.2 * torch.sin(2 * torch.pi * 300 * (s + 1) * time) + 0.01 * torch.randn(4000)
        for s in range(3)
        for _ in range(each)
    ]
    return torch.stack(windows), torch.arange(3).repeat_interleave(each)


def test_all_pairs_calibrate_the_files(tmp_path: Path) -> None:
    pipeline, (windows, speakers) = embedder(), voices()
    before = {name: value.clone() for name, value in pipeline.state_dict().items()}
    records = ship_verifier(pipeline, windows, speakers, tmp_path, TWO)
    assert {(r.method, r.status) for r in records} == {("forward", "pass"), ("verify", "pass")}
    assert all(torch.equal(before[name], x) for name, x in pipeline.state_dict().items())
    verifier = load_verifier(tmp_path / "verifier.pt2")
    contract = verifier.contract
    assert isinstance(contract, VerificationContract)
    assert contract.decision.operating_point == "equal error rate on 36 held-out trials"
    heard = [verifier.hear(str(i), window) for i, window in enumerate(windows)]
    llrs, labels = [], []
    for i in range(9):
        for j in range(i + 1, 9):
            llrs.append(verifier.compare(verifier.enrol([heard[i]]), heard[j]).llr)
            labels.append(int(speakers[i] == speakers[j]))
    threshold = equal_error_rate(torch.tensor(llrs).double(), torch.tensor(labels)).threshold
    assert contract.decision.threshold == pytest.approx(threshold, abs=1e-3)


def test_a_plda_gets_embeddings_as_they_come(tmp_path: Path) -> None:
    plain, (windows, speakers) = embedder(), voices(6)
    with torch.no_grad():
        embeddings = plain(windows)
    plda = fit_plda(embeddings, speakers, lda_dim=2)
    pipeline = EmbeddingPipeline(plain.frontend, plain.encoder, 4000, plda).eval()
    records = ship_verifier(pipeline, windows, speakers, tmp_path, TWO)
    assert {(r.method, r.status) for r in records} == {("forward", "pass"), ("verify", "pass")}
    verifier = load_verifier(tmp_path / "verifier.pt2")
    scoring = verifier.contract.scoring
    assert (scoring.backend, scoring.enrolment) == ("plda", "mean")
    heard = [verifier.hear(str(i), windows[i]) for i in (0, 7)]
    score = verifier.compare(verifier.enrol(heard[:1]), heard[1]).score
    assert score == pytest.approx(float(plda(embeddings[:1], embeddings[7:8])), rel=1e-4, abs=1e-4)


@pytest.mark.parametrize(
    ("windows", "speakers", "said"),
    [
        (torch.zeros(3, 9), torch.arange(3), "windows: expected shape [T, 4000], got [3, 9]"),
        (torch.zeros(3, 4000), torch.arange(2), "speakers: expected shape [3], got [2]"),
    ],
)
def test_wrong_shapes_are_refused(
    windows: Tensor, speakers: Tensor, said: str, tmp_path: Path
) -> None:
    with pytest.raises(InputError, match=re.escape(said)):
        ship_verifier(embedder(), windows, speakers, tmp_path, TWO)


def test_one_speaker_cannot_be_calibrated(tmp_path: Path) -> None:
    windows, _ = voices()
    with pytest.raises(InputError, match="held-out"):
        ship_verifier(embedder(), windows, torch.zeros(9), tmp_path, TWO)
