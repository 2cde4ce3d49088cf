"""Every test starts from the same random state, whatever ran before it in its process."""

import pytest
import torch


@pytest.mark.parametrize("turn", ["first", "again"])
def test_the_first_draw_is_always_the_same(turn: str) -> None:
    state = torch.get_rng_state()
    torch.manual_seed(20240607)
    assert torch.equal(torch.get_rng_state(), state), turn
    torch.rand(3)
