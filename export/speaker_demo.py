"""The demo's other two tasks: a speaker verifier, and one that no spoof shall pass.

The embedding is trained on a handful of speakers: it proves the path from training to a decision
on the device, and its error rates say nothing about speaker verification.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from export import contract as contracts
from export.artefacts import (
    Result,
    artefact_paths,
    export_all,
    latencies,
    runnable,
    summaries,
)
from export.backend import Artefact, Inputs, backends, flatten
from export.catalog import Row, draw
from export.contract import (
    Audio,
    Decision,
    EmbeddingWindows,
    Fusion,
    SASVContract,
    Scoring,
    SpeakerContract,
    SpeakerDecision,
    VerificationContract,
)
from export.corpus import BONA_FIDE, Progress, Utterance, split_by_speaker
from export.demo_parts import HELD_OUT, Options, audio_for_parity, read_corpus
from export.errors import InputError
from export.ladder import Rung, compare
from export.parity_json import write_json
from export.report import Report, Trials, write_html
from export.score_files import Line, write_scores
from export.threshold import ThresholdChoice, calibrate
from export.training import Settings, score, train, train_embedder
from export.verifier import VerifiedFile, Verifier, load_verifier
from scriptable import (
    EmbeddingPipeline,
    SASVPipeline,
    SASVScore,
    ScoreNorm,
    ScorePipeline,
    cut_windows,
    equal_error_rate,
)

PROOF_ONLY = (
    "the embedding was trained on {speakers} speakers by this demo: it proves the path from "
    "training to a decision, and no error rate here says anything about speaker verification"
)
_STEMS = {"verification": "speaker_verifier", "sasv": "sasv_verifier"}
_TITLES = {
    "verification": "Speaker verifier: parity with the trained model",
    "sasv": "Speaker verifier that knows spoofs: parity with the trained model",
}
_COHORT, _TOP = 60, 20
_SPOOF_PRIOR = 0.5
_UTTERANCES = 30


@dataclass(frozen=True)
class SpeakerTrial:
    """Indices of two held-out utterances, and what they are: target, nontarget or spoof."""

    enrol: int
    test: int
    key: str


class EagerArtefact(Artefact):
    """The trained module itself, in the place of a file."""

    def __init__(self, module: nn.Module) -> None:
        self.module = module

    def run(self, method: str, inputs: Inputs) -> Inputs:
        """Run one method of the module."""
        with torch.no_grad():
            return flatten(getattr(self.module, method)(*inputs))

    def contract(self) -> str:
        """None."""
        return ""


def run(options: Options, progress: Progress) -> Result:
    """Train, export, prove and report."""
    corpus = read_corpus(options, progress)
    split = split_by_speaker(corpus.utterances, HELD_OUT, options.settings.seed)
    live = [utterance for utterance in split.train if utterance.label == BONA_FIDE]
    held_out = _chosen(split.held_out, options.task)
    trials = make_trials(held_out)
    caution = PROOF_ONLY.format(speakers=len({utterance.speaker for utterance in live}))
    speaker = train_speaker(options.settings, live, progress)
    if options.task == "verification":
        module: nn.Module = speaker
        contract, scored = verification(speaker, options, held_out, trials, caution)
    else:
        countermeasure = train(options.settings, split.train, progress)
        module, contract, scored = sasv(speaker, countermeasure, options, held_out, trials, caution)
    stem = _STEMS[options.task]
    speech = audio_for_parity(options, split.held_out)
    made, records = export_all(
        options.out, _row(options, module, stem), module, contract, speech, progress
    )
    paths = artefact_paths(options.out, stem)
    rungs = climb(paths, contract, held_out, trials, scored, progress)
    files = {name: options.out / name for name in ("parity.json", "scores.csv", "report.html")}
    write_json(records, files["parity.json"], rungs)
    write_scores(_lines(held_out, trials, scored), files["scores.csv"], "csv")
    times = latencies(paths, module, made[0].inputs)
    scores, labels = _raw(scored), _labels(trials)
    result = Result(
        records=records,
        rungs=rungs,
        artefacts=summaries(paths, times),
        eager_ms=times["eager"],
        equal_error_rate=equal_error_rate(scores, labels).rate,
        held_out=len(trials),
        files=[*paths.values(), *files.values()],
        notes=(caution, *corpus.notes, *split.notes),
        unit="trials",
    )
    report = Report(
        title=_TITLES[options.task],
        records=records,
        versions=contracts.versions(),
        artefacts=result.artefacts,
        eager_ms=result.eager_ms,
        contract=contract,
        trials=Trials(scores, contract.decision.scale * scores + contract.decision.offset, labels),
        notes=result.notes,
        ladder=rungs,
    )
    write_html(report, files["report.html"])
    return result


def train_speaker(
    settings: Settings, utterances: Sequence[Utterance], progress: Progress
) -> EmbeddingPipeline:
    """An embedder with its scorer: AS-norm against utterances that it was trained on."""
    if len({utterance.speaker for utterance in utterances}) < 2:
        raise InputError("training part: expected at least 2 speakers; give recordings of more")
    trained = train_embedder(settings, utterances, progress)
    chosen = utterances[:: max(1, -(-len(utterances) // _COHORT))]
    with torch.no_grad():
        cohort = torch.cat([trained(_first(settings, u.waveform)) for u in chosen])
    scorer = ScoreNorm(cohort, "as", min(_TOP, len(cohort)))
    return EmbeddingPipeline(trained.frontend, trained.encoder, settings.num_samples, scorer).eval()


def make_trials(held_out: Sequence[Utterance]) -> list[SpeakerTrial]:
    """Every pair of live utterances once, and every spoof against its speaker's live utterances."""
    trials = []
    for enrol, speaker in enumerate(held_out):
        for test, other in enumerate(held_out):
            if speaker.label != BONA_FIDE or test == enrol:
                continue
            same = speaker.speaker == other.speaker
            if other.label == BONA_FIDE and enrol < test:
                trials.append(SpeakerTrial(enrol, test, "target" if same else "nontarget"))
            elif other.label != BONA_FIDE and same:
                trials.append(SpeakerTrial(enrol, test, "spoof"))
    missing = {"target", "nontarget"} - {trial.key for trial in trials}
    if missing:
        raise InputError(
            f"held-out part: no {' and no '.join(sorted(missing))} trial; it needs at least "
            "2 speakers with 2 recordings each: give recordings of more speakers"
        )
    return trials


def verification(
    speaker: EmbeddingPipeline,
    options: Options,
    held_out: Sequence[Utterance],
    trials: Sequence[SpeakerTrial],
    caution: str = "",
) -> tuple[SpeakerContract, list[VerifiedFile]]:
    """The contract of a verifier, and the eager module's results under it."""
    draft = VerificationContract(
        model=_name(speaker),
        audio=Audio(sample_rate=options.settings.sample_rate),
        windows=_windows(options.settings),
        scoring=_scoring(speaker, options.settings),
        decision=_identity(),
        caution=caution,
        versions=contracts.versions(),
        weights_sha256=contracts.weights_sha256(speaker.state_dict()),
    )
    return _decided(speaker, draft, options.threshold, held_out, trials)


def sasv(
    speaker: EmbeddingPipeline,
    countermeasure: ScorePipeline,
    options: Options,
    held_out: Sequence[Utterance],
    trials: Sequence[SpeakerTrial],
    caution: str = "",
) -> tuple[SASVPipeline, SpeakerContract, list[VerifiedFile]]:
    """Both models as one, its contract, and the eager module's results under it."""
    prior = options.threshold.prior
    genuine = [trial for trial in trials if trial.key != "spoof"]
    _, alone = verification(speaker, options, held_out, genuine)
    asv = calibrate(_raw(alone), _labels(genuine), prior, "the same speaker")
    labels = torch.tensor([utterance.label for utterance in held_out])
    spoofing = score(countermeasure, options.settings.hop, held_out)
    cm = calibrate(spoofing, labels, prior, "bona fide")
    threshold, words = options.threshold.choose(
        cm.scale * spoofing + cm.offset, labels, "held-out recordings"
    )
    module = SASVPipeline(speaker, countermeasure, SASVScore(*asv, *cm, _SPOOF_PRIOR)).eval()
    draft = SASVContract(
        model=f"{_name(speaker)}; {_name(countermeasure)} + {type(countermeasure.head).__name__}",
        audio=Audio(sample_rate=options.settings.sample_rate),
        windows=_windows(options.settings),
        scoring=_scoring(speaker, options.settings),
        decision=_identity(),
        caution=caution,
        countermeasure=Decision(
            scale=cm.scale,
            offset=cm.offset,
            prior=prior,
            threshold=threshold,
            operating_point=words,
        ),
        fusion=Fusion(spoof_prior=_SPOOF_PRIOR),
        versions=contracts.versions(),
        weights_sha256=contracts.weights_sha256(module.state_dict()),
    )
    contract, scored = _decided(module, draft, options.threshold, held_out, trials)
    return module, contract, scored


def _decided(
    module: nn.Module,
    draft: SpeakerContract,
    choice: ThresholdChoice,
    held_out: Sequence[Utterance],
    trials: Sequence[SpeakerTrial],
) -> tuple[SpeakerContract, list[VerifiedFile]]:
    """The draft with calibration and threshold from the trials, and the results under it."""
    verifier = Verifier(EagerArtefact(module), draft, name="the trained model")
    scores, labels = _raw(run_trials(verifier, held_out, trials)), _labels(trials)
    scale, offset = calibrate(scores, labels, choice.prior, "the same speaker")
    threshold, words = choice.choose(scale * scores + offset, labels, "held-out trials")
    decision = SpeakerDecision(
        scale=scale, offset=offset, prior=choice.prior, threshold=threshold, operating_point=words
    )
    verifier.contract = draft.model_copy(update={"decision": decision})
    return verifier.contract, run_trials(verifier, held_out, trials)


def run_trials(
    verifier: Verifier, held_out: Sequence[Utterance], trials: Sequence[SpeakerTrial]
) -> list[VerifiedFile]:
    """All trials; every utterance is embedded once."""
    used = {index for trial in trials for index in (trial.enrol, trial.test)}
    heard = {i: verifier.hear(held_out[i].name, held_out[i].waveform) for i in sorted(used)}
    enrolled = {i: verifier.enrol([heard[i]]) for i in {trial.enrol for trial in trials}}
    return [verifier.compare(enrolled[trial.enrol], heard[trial.test]) for trial in trials]


def climb(
    paths: Mapping[str, Path],
    contract: SpeakerContract,
    held_out: Sequence[Utterance],
    trials: Sequence[SpeakerTrial],
    expected: Sequence[VerifiedFile],
    progress: Progress,
) -> list[Rung]:
    """Run the trials with each runnable file and compare the decisions."""
    names = [f"{result.enrol[0]} {result.file}" for result in expected]
    rungs = []
    for done, name in enumerate(runnable(paths)):
        progress("verifying with every file", done, len(paths))
        actual = _raw(run_trials(load_verifier(paths[name]), held_out, trials))
        rungs.append(
            compare(
                paths[name].name,
                name,
                backends()[name].tolerance,
                contract,
                names,
                _labels(trials),
                _raw(expected),
                actual,
            )
        )
    progress("verifying with every file", len(paths), len(paths))
    return rungs


def _row(options: Options, module: nn.Module, stem: str) -> Row:
    """How the module's methods are drawn for parity."""
    n, dim = options.settings.num_samples, options.settings.embedding_dim
    spoofing = options.task == "sasv"
    return Row(
        entry=type(module).__name__,
        variant=stem,
        module=lambda: module,
        methods={
            "forward": lambda g: (draw.waveform(g, 1, n),),
            "verify": lambda g: (
                draw.normal(g, 1, dim),
                draw.normal(g, 1, dim),
                *((draw.normal(g, 1),) if spoofing else ()),
            ),
        },
        speech={"forward": lambda waveform: (cut_windows(waveform, n, n)[:1],)},
        on_device=True,
    )


def _chosen(held_out: Sequence[Utterance], task: str) -> list[Utterance]:
    """Held-out utterances, the same number of each speaker in turn, so many that it stays quick."""
    live = [u for u in held_out if u.label == BONA_FIDE]
    speakers = sorted({u.speaker for u in live})
    each = max(2, _UTTERANCES // max(1, len(speakers)))
    chosen = [u for s in speakers for u in [u for u in live if u.speaker == s][:each]]
    if task == "verification":
        return chosen
    spoofs = [u for u in held_out if u.label != BONA_FIDE]
    return chosen + [u for s in speakers for u in [u for u in spoofs if u.speaker == s][:each]]


def _first(settings: Settings, waveform: Tensor) -> Tensor:
    return cut_windows(waveform, settings.num_samples, settings.hop)[:1]


def _name(pipeline: EmbeddingPipeline | ScorePipeline) -> str:
    return f"{type(pipeline.frontend).__name__} + {type(pipeline.encoder).__name__}"


def _windows(settings: Settings) -> EmbeddingWindows:
    return EmbeddingWindows(num_samples=settings.num_samples, hop=settings.hop)


def _scoring(speaker: EmbeddingPipeline, settings: Settings) -> Scoring:
    scorer = speaker.scorer
    if not isinstance(scorer, ScoreNorm):
        return Scoring(embedding_dim=settings.embedding_dim)
    return Scoring(
        embedding_dim=settings.embedding_dim,
        normalisation="as_norm",
        cohort_size=len(scorer.cohort),
        top_n=scorer.top,
    )


def _identity() -> SpeakerDecision:
    return SpeakerDecision(scale=1, offset=0, prior=0.5, threshold=0, operating_point="none yet")


def _raw(results: Sequence[VerifiedFile]) -> Tensor:
    return torch.tensor([result.score for result in results], dtype=torch.float64)


def _labels(trials: Sequence[SpeakerTrial]) -> Tensor:
    return torch.tensor([int(trial.key == "target") for trial in trials])


def _lines(
    held_out: Sequence[Utterance], trials: Sequence[SpeakerTrial], scored: Sequence[VerifiedFile]
) -> list[Line]:
    return [
        Line(
            (result.enrol[0], result.file),
            result.score,
            trial.key,
            held_out[trial.test].attack,
            held_out[trial.enrol].speaker,
            result.llr,
            "held_out",
        )
        for trial, result in zip(trials, scored, strict=True)
    ]
