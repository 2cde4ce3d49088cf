"""``python -m export verify``: two artefacts on every backend, and what their contracts decide."""

import json
import math
import shutil
import zipfile
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import torch
from artefact_helpers import (
    HOP,
    RATE,
    RUNNABLE,
    WINDOW,
    Artefacts,
    Command,
    assert_refused,
    tiny_pipeline,
    usable,
    voice,
    write_wav,
)
from torch import Tensor, nn

from export import backends
from export.backends import Source
from export.backends._seal import seal
from export.errors import ArtefactError, InputError
from export.runtime.audio import read_waveform
from export.runtime.contract import (
    Audio,
    Decision,
    EmbeddingWindows,
    Fusion,
    SASVContract,
    Scoring,
    SpeakerContract,
    SpeakerDecision,
    VerificationContract,
    parse_any,
    weights_sha256,
)
from export.runtime.guards import Guards
from export.runtime.scorer import load_scorer
from export.runtime.verifier import Heard, load_verifier
from export.speech import HINT, speech_files
from scriptable import (
    EmbeddingPipeline,
    LightCNN,
    LogMel,
    SASVPipeline,
    SASVScore,
    ScoreNorm,
    cut_windows,
    fit_plda,
)

DIM = 8
SCALE, OFFSET, THRESHOLD, PRIOR = 1.5, -0.75, 0.25, 0.1
CAUTION = "untrained: it proves the path only"
FIRST = ["enrol", "file", "score", "llr", "posterior", "threshold", "decision"]
KEYS = [*FIRST, "reason", "error"]
SASV_KEYS = [*FIRST, "bonafide_llr", "spoofing", "reason", "error"]
TASKS = ("verification", "sasv")
WITH_PLDA = ("verification_plda", "sasv_plda")


def tiny_speaker(normalised: bool = True) -> EmbeddingPipeline:
    """An untrained embedder with a cohort, or a cosine alone."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(7)
        frontend = LogMel(RATE, n_fft=256, win_length=256, hop_length=128, n_mels=8, center=False)
        scorer = ScoreNorm(torch.randn(12, DIM), "as", 5) if normalised else None
        return EmbeddingPipeline(frontend, LightCNN(8, DIM), WINDOW, scorer).eval()


def speaker_with_plda() -> EmbeddingPipeline:
    """An untrained embedder with a PLDA of its embeddings as they come."""
    pipeline = tiny_speaker(normalised=False)
    waves = [voice(WINDOW, 90 + 14 * (i // 4) + i % 4, i) for i in range(48)]
    with torch.no_grad():
        embeddings = pipeline(torch.stack(waves))
    scorer = fit_plda(embeddings, torch.arange(48) // 4, lda_dim=5)
    return EmbeddingPipeline(pipeline.frontend, pipeline.encoder, WINDOW, scorer).eval()


def tiny(task: str) -> nn.Module:
    """The module of a task."""
    speaker = speaker_with_plda() if task in WITH_PLDA else tiny_speaker()
    if task.startswith("verification"):
        return speaker
    fusion = SASVScore(1.2, -0.1, 4.0, 0.3, 0.4)
    return SASVPipeline(speaker, tiny_pipeline(), fusion).eval()


def contract_for(task: str, module: nn.Module, **decision: float) -> SpeakerContract:
    """A contract with nothing at its default that matters."""
    values = {"scale": SCALE, "offset": OFFSET, "threshold": THRESHOLD, "prior": PRIOR, **decision}
    scoring = Scoring(embedding_dim=DIM, normalisation="as_norm", cohort_size=12, top_n=5)
    if task in WITH_PLDA:
        scoring = Scoring(embedding_dim=DIM, backend="plda", enrolment="mean")
    common = {
        "model": "tiny",
        "audio": Audio(sample_rate=RATE),
        "windows": EmbeddingWindows(num_samples=WINDOW, hop=HOP, combine=scoring.enrolment),
        "scoring": scoring,
        "decision": SpeakerDecision(**values, operating_point="chosen by the test"),
        "caution": CAUTION,
        "versions": {"torch": torch.__version__},
        "weights_sha256": weights_sha256(module.state_dict()),
        "guards": Guards(min_seconds=0.05),
    }
    if task.startswith("verification"):
        return VerificationContract(**common)
    spoofing = Decision(
        scale=3.0, offset=0.5, prior=0.3, threshold=0.1, operating_point="chosen by the test"
    )
    return SASVContract(**common, countermeasure=spoofing, fusion=Fusion(spoof_prior=0.4))


def example(task: str) -> dict[str, tuple[Tensor, ...]]:
    pair = (torch.ones(1, DIM), torch.ones(1, DIM))
    more = (torch.zeros(1),) if task.startswith("sasv") else ()
    return {"forward": (torch.zeros(1, WINDOW),), "verify": (*pair, *more)}


@dataclass
class Made:
    """The modules of both tasks, and their files on every backend, saved on first use."""

    folder: Path
    modules: dict[str, nn.Module] = field(default_factory=dict)

    def path(self, task: str, name: str) -> Path:
        path = self.folder / f"{task}{usable(name).suffix}"
        if task not in self.modules:
            self.modules[task] = tiny(task)
        if not path.exists():
            module = self.modules[task]
            text = contract_for(task, module).model_dump_json(indent=1)
            backends.save(usable(name), Source(module, example(task), text), path)
        return path


@pytest.fixture(scope="session")
def made(tmp_path_factory: pytest.TempPathFactory) -> Made:
    return Made(tmp_path_factory.mktemp("verifiers"))


def unit(x: Tensor) -> Tensor:
    return x / x.norm(dim=-1, keepdim=True)


def by_hand(module: nn.Module, enrol: list[Tensor], test: Tensor, raw: bool) -> float:
    """The raw score from the contract's words alone, in eager."""

    def mean(x: Tensor) -> Tensor:
        return x.mean(0) if raw else unit(unit(x).mean(0))

    def embed(waveform: Tensor) -> tuple[Tensor, float]:
        with torch.no_grad():
            result = module(cut_windows(waveform, WINDOW, HOP))
        embeddings = result[0] if isinstance(result, tuple) else result
        spoofing = float(result[1].double().mean()) if isinstance(result, tuple) else math.nan
        return mean(embeddings.double()), spoofing

    centroid = mean(torch.stack([embed(waveform)[0] for waveform in enrol]))
    embedding, spoofing = embed(test)
    more = () if math.isnan(spoofing) else (torch.tensor([spoofing]),)
    with torch.no_grad():
        return float(module.verify(centroid[None].float(), embedding[None].float(), *more))


@pytest.mark.parametrize("task", [*TASKS, *WITH_PLDA])
@pytest.mark.parametrize("name", RUNNABLE)
def test_every_format_gives_the_score_of_the_contracts_words(
    made: Made, task: str, name: str, tmp_path: Path, command: Command
) -> None:
    waves = [voice(WINDOW * 2 + 300, 120, 1), voice(WINDOW + 900, 125, 2), voice(9000, 200, 3)]
    paths = [write_wav(tmp_path / f"{i}.wav", wave) for i, wave in enumerate(waves)]
    exact = [read_waveform(path, RATE).waveform for path in paths]
    arguments = ("--enrol", paths[0], paths[1], "--test", paths[2], paths[0], "--json")
    ran = command("verify", made.path(task, name), *arguments)
    assert ran.code == 0, ran
    assert f"note: {CAUTION}" in ran.err.splitlines()
    results = json.loads(ran.out)
    assert [result["file"] for result in results] == [str(paths[2]), str(paths[0])]
    for result, wave in zip(results, (exact[2], exact[0]), strict=True):
        assert list(result) == (KEYS if task.startswith("verification") else SASV_KEYS)
        assert result["enrol"] == [str(paths[0]), str(paths[1])]
        expected = by_hand(made.modules[task], exact[:2], wave, task in WITH_PLDA)
        tolerance = usable(name).tolerance * max(1.0, abs(expected))
        assert result["score"] == pytest.approx(expected, abs=tolerance)
        assert result["llr"] == pytest.approx(SCALE * result["score"] + OFFSET)
        odds = math.exp(result["llr"]) * PRIOR / (1 - PRIOR)
        assert result["posterior"] == pytest.approx(odds / (1 + odds))
        assert result["decision"] == ("same" if result["llr"] >= THRESHOLD else "different")
        if task.startswith("sasv"):
            assert result["spoofing"] == ("bonafide" if result["bonafide_llr"] >= 0.1 else "spoof")


@pytest.mark.parametrize("task", TASKS)
def test_human_recordings_get_the_same_decisions_everywhere(made: Made, task: str) -> None:
    human = [path for path in speech_files() if path.parent.name == "human"]
    if len(human) < 4:
        pytest.skip(HINT)
    decisions: dict[str, list[str]] = {}
    margins: list[float] = []
    for name in RUNNABLE:
        if usable(name).unavailable():
            continue
        verifier = load_verifier(made.path(task, name))
        waves = [read_waveform(path, RATE).waveform[: 2 * RATE] for path in human]
        heard = [verifier.hear(p.name, w) for p, w in zip(human, waves, strict=True)]
        enrolment = verifier.enrol(heard[:2])
        results = [verifier.compare(enrolment, test) for test in heard[2:]]
        decisions[name] = [result.decision for result in results]
        margins += [abs(result.llr - result.threshold) for result in results]
    first = decisions["torchscript"]
    assert all(found == first for found in decisions.values()), decisions
    assert min(margins) > 1e-2, "a recording at the threshold proves nothing"


def test_the_spoofing_half_of_a_joint_artefact_scores(
    made: Made, tmp_path: Path, command: Command
) -> None:
    path = write_wav(tmp_path / "a.wav", voice(WINDOW * 2))
    artefact = made.path("sasv", "torch_export")
    [scored] = json.loads(command("score", artefact, path, "--json").out)
    arguments = ("--enrol", path, "--test", path, "--json")
    [verified] = json.loads(command("verify", artefact, *arguments).out)
    assert scored["llr"] == pytest.approx(verified["bonafide_llr"])
    assert scored["decision"] == verified["spoofing"]
    assert scored["threshold"] == 0.1
    contract = load_scorer(artefact).contract
    assert (contract.task, contract.decision.scale) == ("spoofing", 3.0)


def test_the_wrong_command_says_which_is_right(
    made: Made, artefacts: Artefacts, tmp_path: Path, command: Command
) -> None:
    wav = write_wav(tmp_path / "a.wav", voice(WINDOW))
    verifier, scorer = made.path("verification", "trace"), artefacts.path("trace")
    assert_refused(command("score", verifier, wav), "use python -m export verify")
    ran = command("verify", scorer, "--enrol", wav, "--test", wav)
    assert_refused(ran, "use python -m export score")


def patch_contract(path: Path, old: str, new: str) -> None:
    """Change the contract inside a saved file, and nothing else; texts of one length."""
    assert len(old) == len(new)
    if path.is_dir():
        [model] = path.rglob("model.mlmodel")
        return patch_contract(model, old, new)
    if not zipfile.is_zipfile(path):
        content = path.read_bytes()
        assert content.count(old.encode()) == 1
        path.write_bytes(content.replace(old.encode(), new.encode()))
        return
    with zipfile.ZipFile(path) as archive:
        entries = [(info, archive.read(info)) for info in archive.infolist()]
    changed = 0
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
        for info, content in entries:
            if info.filename.endswith("contract.json"):
                changed += content.count(old.encode())
                content = content.replace(old.encode(), new.encode())
            archive.writestr(info, content)
    assert changed == 1


@pytest.mark.parametrize("name", RUNNABLE)
def test_the_threshold_in_the_contract_alone_changes_the_decision(
    artefacts: Artefacts, name: str, tmp_path: Path, command: Command
) -> None:
    source = artefacts.path(name)
    path = tmp_path / source.name
    (shutil.copytree if source.is_dir() else shutil.copy)(source, path)
    wav = write_wav(tmp_path / "a.wav", voice(WINDOW))
    [before] = json.loads(command("score", path, wav, "--json").out)
    moved = {"bonafide": "9e9", "spoof": "-99"}[before["decision"]]
    patch_contract(path, '"threshold": 0.5', f'"threshold": {moved}')
    seal(path)
    [after] = json.loads(command("score", path, wav, "--json").out)
    assert {before["decision"], after["decision"]} == {"bonafide", "spoof"}
    assert after == {**before, "threshold": float(moved), "decision": after["decision"]}


@pytest.mark.parametrize("name", RUNNABLE)
def test_the_threshold_of_a_verifier_changes_its_decision(
    made: Made, name: str, tmp_path: Path, command: Command
) -> None:
    source = made.path("verification", name)
    path = tmp_path / source.name
    (shutil.copytree if source.is_dir() else shutil.copy)(source, path)
    wav = write_wav(tmp_path / "a.wav", voice(WINDOW))
    arguments = ("verify", path, "--enrol", wav, "--test", wav, "--json")
    [before] = json.loads(command(*arguments).out)
    moved = {"same": "9999", "different": "-999"}[before["decision"]]
    patch_contract(path, '"threshold": 0.25', f'"threshold": {moved}')
    seal(path)
    [after] = json.loads(command(*arguments).out)
    assert {before["decision"], after["decision"]} == {"same", "different"}
    assert after == {**before, "threshold": float(moved), "decision": after["decision"]}


@pytest.mark.parametrize("task", TASKS)
def test_contracts_of_verifiers_come_back(task: str) -> None:
    contract = contract_for(task, nn.Identity())
    assert parse_any(contract.model_dump_json(), "x") == contract
    for model in (type(contract), Scoring, SpeakerDecision, Fusion, EmbeddingWindows):
        for name, info in model.model_fields.items():
            nested = name in ("audio", "windows", "scoring", "decision", "countermeasure", "fusion")
            assert nested or info.description, f"{model.__name__}.{name} says nothing"


@pytest.mark.parametrize(
    ("change", "place"),
    [
        ({"task": "singing"}, "task"),
        ({"scoring": None}, "scoring"),
        ({"decision": {"scale": 1}}, "decision.offset"),
        ({"task": "sasv"}, "countermeasure"),
    ],
)
def test_a_wrong_contract_of_a_verifier_is_named(change: dict[str, object], place: str) -> None:
    document = json.loads(contract_for("verification", nn.Identity()).model_dump_json())
    with pytest.raises(ArtefactError, match=rf"^some/file: score contract: {place}: "):
        parse_any(json.dumps({**document, **change}), "some/file")


class Silent(nn.Module):
    """Embeds everything as zero."""

    def forward(self, waveform: Tensor) -> Tensor:
        return waveform[:, :DIM] * 0.0

    def verify(self, enrolled: Tensor, test: Tensor) -> Tensor:
        return enrolled @ test.t()


def test_an_embedding_of_zero_is_named(tmp_path: Path, command: Command) -> None:
    module = Silent()
    text = contract_for("verification", module).model_dump_json()
    path = tmp_path / "silent.pt2"
    backends.save(usable("torch_export"), Source(module, example("verification"), text), path)
    wav = write_wav(tmp_path / "a.wav", voice(WINDOW))
    ran = command("verify", path, "--enrol", wav, "--test", wav)
    assert (ran.code, ran.out) == (2, "")
    assert ran.err.splitlines()[-1].startswith(f"error: {wav}: its embedding is zero or not finite")


def test_enrolments_that_cancel_out_are_named(made: Made) -> None:
    verifier = load_verifier(made.path("verification", "torch_export"))
    embedding = unit(torch.arange(1.0, DIM + 1))[None]
    heard = [Heard("a.wav", embedding, None), Heard("b.wav", -embedding, None)]
    with pytest.raises(InputError, match=r"a\.wav, b\.wav: its embedding is zero"):
        verifier.enrol(heard)
    with pytest.raises(InputError, match="enrol: expected at least one recording"):
        verifier.enrol([])


def test_bad_usage_and_bad_audio_are_one_line(made: Made, tmp_path: Path, command: Command) -> None:
    artefact = made.path("verification", "torchscript")
    wav = write_wav(tmp_path / "a.wav", voice(WINDOW))
    for given in ((), ("--enrol", wav), ("--test", wav), ("--enrol", wav, "--test")):
        ran = command("verify", artefact, *given)
        assert (ran.code, ran.out) == (2, "") and "Traceback" not in ran.err
    none = tmp_path / "none.wav"
    ran = command("verify", artefact, "--enrol", none, "--test", wav, "--json")
    assert ran.code == 2 and ran.out == "" and f"error: {none}: no such file" in ran.err
    ran = command("verify", artefact, "--enrol", wav, "--test", none, wav, "--json")
    assert ran.code == 2 and f"error: {none}: no such file" in ran.err
    bad, good = json.loads(ran.out)
    assert bad["error"].startswith(f"{none}: no such file") and bad["decision"] is None
    assert good["error"] is None and good["score"] is not None


@pytest.mark.parametrize("task", TASKS)
def test_silence_is_undecided_as_a_test_and_as_an_enrolment(
    made: Made, task: str, tmp_path: Path, command: Command
) -> None:
    artefact = made.path(task, "torchscript")
    wav = write_wav(tmp_path / "a.wav", voice(WINDOW))
    silent = write_wav(tmp_path / "silent.wav", torch.zeros(WINDOW))
    for enrol, test, said in (
        ((wav,), silent, "too quiet: "),
        ((silent,), wav, f"enrolment {silent}: too quiet: "),
        ((wav, silent), wav, f"enrolment {silent}: too quiet: "),
    ):
        ran = command("verify", artefact, "--enrol", *enrol, "--test", test, "--json")
        assert ran.code == 0, ran.err
        (found,) = json.loads(ran.out)
        assert list(found) == (KEYS if task == "verification" else SASV_KEYS)
        assert found["decision"] == "undecided" and found["reason"].startswith(said)
        assert [found[key] for key in ("score", "llr", "posterior")] == [None] * 3
        if task == "sasv":
            assert (found["spoofing"], found["bonafide_llr"]) == ("undecided", None)


def test_both_ways_to_give_several_files(made: Made, tmp_path: Path, command: Command) -> None:
    artefact = made.path("verification", "torchscript")
    wavs = [write_wav(tmp_path / f"{i}.wav", voice(WINDOW, seed=i)) for i in range(3)]
    spread = command("verify", "--json", artefact, "--enrol", *wavs[:2], "--test", *wavs[1:])
    repeated = ["--enrol", wavs[0], "--enrol", wavs[1], "--test", wavs[1], "--test", wavs[2]]
    assert spread.out == command("verify", artefact, *repeated, "--json").out
    assert len(json.loads(spread.out)) == 2
    table = command("verify", artefact, *repeated).out
    assert str(wavs[2]) in table and "posterior" in table
