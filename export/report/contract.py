"""The contract as the report shows it."""

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pydantic import BaseModel

    from export.runtime.contract import AnyContract


def described(contract: "AnyContract | None") -> dict[str, Any] | None:
    """The contract's fields with their own descriptions, part by part."""
    if contract is None:
        return None
    from pydantic import BaseModel

    whole: list[dict[str, str]] = []
    parts = []
    for name, value, description in _fields(contract):
        if value is None:
            continue
        if isinstance(value, BaseModel):
            about = (type(value).__doc__ or "").strip().partition("\n")[0]
            fields = [_field(*field) for field in _fields(value)]
            parts.append({"name": name, "about": about, "fields": fields})
        elif name != "versions":
            whole.append(_field(name, value, description))
    parts.append({"name": "document", "about": "What the document describes.", "fields": whole})
    return {
        "parts": parts,
        "rule": _rule(contract),
        "versions": contract.versions,
        "json": contract.model_dump_json(indent=2),
    }


def _rule(contract: "AnyContract") -> list[str]:
    """From the microphone to the decision, in sentences."""
    audio, windows, decision = contract.audio, contract.windows, contract.decision
    seconds = windows.num_samples / audio.sample_rate
    at, below = (("Bona fide", "spoof"), ("Same", "different"))[contract.task != "spoofing"]
    return [
        f"Mono waveform at {audio.sample_rate} Hz, in windows of {windows.num_samples} samples "
        f"({seconds:.3g} s), one every {windows.hop} samples.",
        *_guard_rule(contract),
        *_score_rule(contract),
        f"LLR = {decision.scale:.6g} · score {'+' if decision.offset >= 0 else '−'} "
        f"{abs(decision.offset):.6g} nats.",
        f"{at} when LLR ≥ {decision.threshold:.6g}, else {below} ({decision.operating_point}).",
        f"Posterior at a prior of {decision.prior:g}: "
        f"{contract.posterior(decision.threshold):.3g} at the threshold.",
    ]


def _guard_rule(contract: "AnyContract") -> list[str]:
    """What is left undecided."""
    guards = contract.guards
    if guards is None:
        return []
    return [
        f"Undecided when shorter than {guards.min_seconds:g} s, quieter than "
        f"{guards.min_level_dbfs:g} dBFS, clipped, a pure tone, or out of scale."
    ]


def _score_rule(contract: "AnyContract") -> list[str]:
    """From the windows to the raw score."""
    if contract.task == "spoofing":
        return [f"Score = {contract.windows.combine} of the windows' raw scores."]
    scoring = contract.scoring  # type: ignore[union-attr]
    normalised = ""
    if scoring.normalisation != "none":
        normalised = (
            f", AS-norm over the top {scoring.top_n} of {scoring.cohort_size} in the cohort"
        )
    mean = "embeddings" if scoring.enrolment == "mean" else "unit vectors, at length 1"
    backend = {"cosine": "cosine", "plda": "PLDA's log-likelihood ratio"}[scoring.backend]
    lines = [
        f"Embedding = mean of the windows' {mean}; enrolment works the same way.",
        f"Score = {backend} of enrolment and test{normalised}.",
    ]
    if contract.task == "sasv":
        lines.append("The spoofing score is fused into it: a spoof of the speaker does not match.")
    return lines


def _fields(model: "BaseModel") -> Iterable[tuple[str, Any, str]]:
    for name, info in type(model).model_fields.items():
        yield name, getattr(model, name), info.description or ""


def _field(name: str, value: object, description: str) -> dict[str, str]:
    text = f"{value:.6g}" if isinstance(value, float) else str(value)
    return {"name": name, "value": text, "description": description}
