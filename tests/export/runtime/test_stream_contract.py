"""Contracts of streams, good and bad; C++ and Kotlin read the same table in their own tests."""

import json
from pathlib import Path
from typing import Any

import pytest
from stream_helpers import stream_contract, tiny_stream

from export.errors import ArtefactError
from export.runtime.contract import StreamingContract, parse, parse_any

TABLE = json.loads(Path(__file__).with_name("stream_contracts.json").read_text(encoding="utf-8"))


def text_of(case: dict[str, Any]) -> str:
    text: str = TABLE["bases"][case["base"]]
    for old, new in case["replace"]:
        assert text.count(old) == 1, (case["name"], old)
        text = text.replace(old, new)
    return text


@pytest.mark.parametrize("case", TABLE["cases"], ids=lambda case: case["name"])
def test_takes_the_good_and_refuses_the_bad_in_one_line(case: dict[str, Any]) -> None:
    if case["good"]:
        contract = parse_any(text_of(case), "x")
        assert isinstance(contract, StreamingContract)
        assert parse_any(json.dumps(contract.document()), "x") == contract
        return
    with pytest.raises(ArtefactError, match=r"^x: score contract: ") as caught:
        parse_any(text_of(case), "x")
    assert "\n" not in str(caught.value)


def test_the_table_holds_both_kinds() -> None:
    good = sum(case["good"] for case in TABLE["cases"])
    assert good >= 5 and len(TABLE["cases"]) - good >= 25


def test_a_stream_is_no_window_scorer() -> None:
    text = stream_contract(tiny_stream()).model_dump_json()
    with pytest.raises(ArtefactError, match="expected spoofing, got streaming"):
        parse(text, "x")
