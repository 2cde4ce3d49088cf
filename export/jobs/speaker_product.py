"""What ``task: verification`` and ``task: sasv`` share: the product, with and without trials."""

from collections.abc import Sequence
from dataclasses import replace

from export.jobs.calibration import Fitted, upside_down
from export.jobs.config_file import Scorer
from export.jobs.publish import Product
from export.jobs.speaker_contract import verifier_row
from export.jobs.speaker_trials import SpeakerTrials, lines_of, raw_scores, trial_list
from export.metrics.score_files import write_scores
from export.runtime.audio import read_waveform
from export.runtime.contract import SpeakerContract
from export.runtime.verifier import VerifiedFile
from export.speech import speech_files
from scriptable import EmbeddingPipeline, SASVPipeline


def product_of(
    scorer: Scorer,
    module: EmbeddingPipeline | SASVPipeline,
    contract: SpeakerContract,
    stem: str,
) -> Product:
    """A verifier whose decisions are not compared."""
    files = speech_files()[:1]
    heard = [read_waveform(path, scorer.sample_rate).waveform for path in files]
    return Product(
        title=f"{contract.model}: parity with the trained model",
        module=module,
        contract=contract,
        row=verifier_row(module, stem),
        speech=heard[0] if heard else None,
        notes=("decisions were not compared: give --protocol and --audio",),
        unit="trials",
    )


def with_trials(
    product: Product,
    trials: SpeakerTrials,
    scored: Sequence[VerifiedFile],
    fitted: Fitted | None,
    notes: Sequence[str],
    seconds: float,
) -> Product:
    """The product with its trials, ``scored`` under its contract in ``seconds``."""
    parts = ["test"] * len(scored) if fitted is None else fitted.parts
    lines = lines_of(trials, scored, parts)
    found = list(notes) if fitted is None else [*notes, *fitted.notes]
    if upside_down(raw_scores(scored), trials.labels):
        found.append("the same speaker scores lower than another: are the keys right?")
    return replace(
        product,
        speech=trials.utterances[0].waveform,
        trials=trial_list(trials, raw_scores(scored)),
        shown=None if fitted is None else fitted.shown,
        write_scores=lambda path: write_scores(lines, path, "csv"),
        notes=tuple(found),
        # A file embeds every recording once, whatever number of trials it is in.
        seconds_a_trial=seconds / max(1, len(scored)),
    )
