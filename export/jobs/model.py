"""A configuration and a checkpoint → proven files: the job behind ``python -m export model``."""

from collections.abc import Sequence
from dataclasses import replace

from export.backends import Backend, with_plain_weights
from export.budget import Budget
from export.errors import InputError
from export.extras import require
from export.jobs import sasv, spoofing, verification
from export.jobs.checkpoint import load_checkpoint
from export.jobs.config_file import Scorer, read_config
from export.jobs.live import with_live
from export.jobs.options import Options
from export.jobs.precisions import own_trials
from export.jobs.publish import Product, publish
from export.jobs.speaker_contract import speaker_of
from export.jobs.steps import writers
from export.jobs.voice_scorer import with_scorer
from export.progress import Progress
from export.report.result import Result
from scriptable import ConfigError, SASVPipeline, ScorePipeline

_FRONT_ENDS = ("frontend.", "speaker.frontend.", "countermeasure.frontend.")


def run(options: Options, progress: Progress) -> Result:
    """Build, load, export, prove and report.

    Raises:
        InputError: on anything that cannot be used; nothing is written then.
    """
    options.check()
    require("jinja2")
    budget = Budget(options.budget)
    use = _usable(options.backends) if options.backends else writers()
    scorer = read_config(options.config)
    options.check_task(scorer.task)
    notes = []
    if options.checkpoint is None:
        notes.append("no --checkpoint: the weights are random")
    _load(options, scorer)
    notes += scorer.check()
    if options.calibrate is None and not scorer.calibrated:
        notes.append(f"{options.config}: no calibration, so the LLR is the raw score")
    product = _product(options, scorer, progress)
    reduction = own_trials(
        options.precisions,
        product.recordings,
        scorer.num_samples,
        scorer.sample_rate,
    )
    product = replace(product, notes=(*notes, *product.notes), reduction=reduction)
    return publish(product, options.out, progress, use, options.dynamic_batch, budget)


def _load(options: Options, scorer: Scorer) -> None:
    """The checkpoints into the pipeline; one may hold both halves under the names of the parts."""
    if options.checkpoint is None:
        return
    pipeline, rename = scorer.pipeline, scorer.rename
    if isinstance(pipeline, SASVPipeline) and options.countermeasure is not None:
        load_checkpoint(pipeline.speaker, options.checkpoint, rename=rename)
        rules = scorer.countermeasure_rename
        load_checkpoint(pipeline.countermeasure, options.countermeasure, rename=rules)
        return
    if scorer.countermeasure_rename:
        said = "is for the names in --countermeasure, which is not given"
        raise scorer.file.refuse(ConfigError(("countermeasure", "rename"), said))
    # The fusion is what the configuration says where the checkpoint holds none.
    constant = (*_FRONT_ENDS, "fusion.")
    load_checkpoint(pipeline, options.checkpoint, constant, rename)


def _product(options: Options, scorer: Scorer, progress: Progress) -> Product:
    # Scripting would drop a weight norm by itself, and the file's weights with it.
    pipeline = with_plain_weights(scorer.pipeline)
    if isinstance(pipeline, ScorePipeline):
        if options.live is not None:
            pipeline = with_live(pipeline, scorer.sample_rate)
        return spoofing.make_product(options, scorer, pipeline, progress)
    speaker = speaker_of(pipeline)
    folder, rate = options.config.parent, scorer.sample_rate
    try:
        speaker = with_scorer(speaker, scorer.scoring, folder, rate, progress)
    except ConfigError as error:
        raise scorer.file.refuse(error) from error
    if not isinstance(pipeline, SASVPipeline):
        return verification.make_product(options, scorer, speaker, progress)
    both = SASVPipeline(speaker, pipeline.countermeasure, pipeline.fusion).eval()
    return sasv.make_product(options, scorer, both, progress)


def _usable(chosen: Sequence[Backend]) -> list[Backend]:
    """The backends that were asked for by name: each must be able to write its file."""
    for backend in chosen:
        if backend.emulated:
            raise InputError(f"backend: {backend.name} runs another backend's file, it writes none")
        if reason := backend.unavailable():
            raise InputError(f"backend: {backend.name}: {reason}")
    return list(chosen)
