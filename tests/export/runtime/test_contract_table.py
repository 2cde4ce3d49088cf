"""The shared table of contracts in Python; C++ and Kotlin read the same file in their own tests."""

import pytest
from contract_table import ContractCase, contract_cases

from export.errors import ArtefactError
from export.runtime.contract import parse_any

CASES = contract_cases()


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_takes_the_good_and_refuses_the_bad_in_one_line(case: ContractCase) -> None:
    if case.good:
        assert parse_any(case.text, "x").model == parse_any(case.text, "x").model
        return
    with pytest.raises(
        ArtefactError, match=r"^x: (score contract: |has no score contract)"
    ) as caught:
        parse_any(case.text, "x")
    assert "\n" not in str(caught.value)


def test_the_table_holds_both_kinds() -> None:
    good = sum(case.good for case in CASES)
    assert good >= 15 and len(CASES) - good >= 100
