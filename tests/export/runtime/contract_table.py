"""The contracts, good and bad, that Python, C++, Kotlin and JavaScript take and refuse alike."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

TASKS_OF_WINDOWS, STREAMING = "contracts.json", "stream_contracts.json"


@dataclass(frozen=True)
class ContractCase:
    """One document, and whether it is a contract."""

    name: str
    good: bool
    text: str


def contract_cases(name: str = TASKS_OF_WINDOWS) -> list[ContractCase]:
    """All of a table; ``replace`` edits a base, where it must find its text exactly once."""
    table = json.loads(Path(__file__).with_name(name).read_text(encoding="utf-8"))
    return [
        ContractCase(case["name"], case["good"], _text(table["bases"], case))
        for case in table["cases"]
    ]


def _text(bases: dict[str, str], case: dict[str, Any]) -> str:
    if "text" in case:
        return str(case["text"])
    text = bases[case["base"]]
    for old, new in case["replace"]:
        assert text.count(old) == 1, (case["name"], old)
        text = text.replace(old, new)
    return text
