"""The features of a graphics processor are in float32, whatever its products default to."""

from collections.abc import Iterator

import pytest
import torch

from scriptable._core.numeric import without_tf32


@pytest.fixture
def settings() -> Iterator[None]:
    convolutions, products = torch.backends.cudnn.allow_tf32, torch.get_float32_matmul_precision()
    yield
    torch.backends.cudnn.allow_tf32 = convolutions
    torch.set_float32_matmul_precision(products)


@pytest.mark.parametrize("allowed", [True, False])
def test_the_settings_are_as_before_afterwards(allowed: bool, settings: None) -> None:
    products = "high" if allowed else "highest"
    torch.backends.cudnn.allow_tf32 = allowed
    torch.set_float32_matmul_precision(products)
    with pytest.raises(KeyError), without_tf32():
        assert torch.backends.cudnn.conv.fp32_precision == "ieee"
        assert torch.backends.cuda.matmul.fp32_precision == "ieee"
        raise KeyError
    assert torch.backends.cudnn.allow_tf32 is allowed
    assert torch.get_float32_matmul_precision() == products
