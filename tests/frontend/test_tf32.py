"""The features of a graphics processor are in float32, whatever its convolutions default to."""

import pytest
import torch

from scriptable._core.numeric import convolutions_in_float32


@pytest.mark.parametrize("allowed", [True, False])
def test_the_setting_is_as_before_afterwards(allowed: bool) -> None:
    before = torch.backends.cudnn.allow_tf32
    torch.backends.cudnn.allow_tf32 = allowed
    try:
        with pytest.raises(KeyError), convolutions_in_float32():
            assert torch.backends.cudnn.conv.fp32_precision == "ieee"
            raise KeyError
        assert torch.backends.cudnn.allow_tf32 is allowed
        assert torch.backends.cudnn.conv.fp32_precision != "ieee"
    finally:
        torch.backends.cudnn.allow_tf32 = before
