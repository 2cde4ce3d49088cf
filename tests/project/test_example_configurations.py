"""The configurations in ``examples/``: each builds and scores where its code is at hand."""

import importlib.util
import json
import os
from pathlib import Path

import pytest
import torch

from export.jobs.checkpoint import load_checkpoint
from export.jobs.config_file import read_config
from export.jobs.yaml_file import YamlFile
from export.runtime.audio import read_waveform
from scriptable import EmbeddingPipeline, SASVPipeline, cut_windows

ROOT = Path(__file__).resolve().parents[2]
EXAMPLES = sorted((ROOT / "examples").glob("*.yaml"))
MODELS = Path(os.environ.get("SCRIPTABLE_MODELS", ROOT / "../shared/data/models"))
# The network in a configuration and what else one has to have.
WHERE = {
    "models": "a clone of github.com/clovaai/aasist on PYTHONPATH",
    "resnet": "a clone of github.com/yzyouzhang/AIR-ASVspoof on PYTHONPATH",
    "wespeaker": "a clone of github.com/wenet-e2e/wespeaker on PYTHONPATH",
}


def package_of(path: Path) -> str:
    """The top-level package of the encoder; empty where it is ours."""
    kind = str(YamlFile(path).value["encoder"]["type"])
    return kind.partition(".")[0] if "." in kind else ""


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")
@pytest.mark.filterwarnings("ignore::UserWarning", "ignore::SyntaxWarning")
@pytest.mark.parametrize("path", EXAMPLES, ids=[path.stem for path in EXAMPLES])
def test_a_configuration_builds_and_answers_a_window(path: Path) -> None:
    package = package_of(path)
    if package and importlib.util.find_spec(package) is None:
        pytest.skip(f"needs {WHERE.get(package, f'pip install {package}')}")
    scorer = read_config(path)
    pipeline = scorer.pipeline
    speaker = pipeline.speaker if isinstance(pipeline, SASVPipeline) else pipeline
    with torch.no_grad():
        answer = pipeline(0.1 * torch.randn(1, speaker.num_samples))
    answers = answer if isinstance(answer, tuple) else (answer,)
    assert all(bool(answer.isfinite().all()) for answer in answers)
    assert list(answers[-1].shape) == [1] or isinstance(pipeline, EmbeddingPipeline)
    text = path.read_text()
    assert text.startswith("# ") and f"examples/{path.name}" in text


@pytest.mark.parametrize("name", ["aasist_l", "aasist_upstream"])
def test_published_weights_load_unchanged_and_give_the_published_logits(name: str) -> None:
    path, weights = ROOT / "examples" / f"{name}.yaml", MODELS / "AASIST-L.pth"
    if not weights.is_file():
        pytest.skip("set SCRIPTABLE_MODELS to the models/weights of github.com/clovaai/aasist")
    package = package_of(path)
    if package and importlib.util.find_spec(package) is None:
        pytest.skip(f"needs {WHERE[package]}")
    published = json.loads((MODELS / "aasist_logits.json").read_text())["models"]["AASIST-L"]
    speech = MODELS.parent / "speech"
    if not speech.is_dir():
        pytest.skip(f"needs the recordings of aasist_logits.json in {speech}")
    scorer = read_config(path)
    load_checkpoint(scorer.pipeline, weights, rename=scorer.rename)
    for file in ("human/spk2_snt2.wav", "tts/espeak_en_gb_1.wav"):
        spoof, bonafide = published["logits"][file]
        window = cut_windows(read_waveform(speech / file, 16000).waveform, 64600, 64600)[:1]
        with torch.no_grad():
            score = float(scorer.pipeline(window))
        assert score == pytest.approx(bonafide - spoof, abs=2e-4)
