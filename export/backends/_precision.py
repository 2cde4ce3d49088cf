"""Fewer bits in the encoder; the front end, whose powers and logarithms need them, stays float32.

``mixed16``: the encoder in float16, its result in float32 again. ``int8``: its convolutions and
linear layers in 8-bit integers, with ranges from calibration audio.
"""

from collections.abc import Sequence
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.export import Dim, ExportedProgram
from torch.fx import Node

from export.backends._base import Source
from export.backends._executorch import quiet_executorch

_FEWEST_WEIGHTS = 2048
PRECISIONS = ("float32", "mixed16", "int8")


class HalfEncoder(nn.Module):
    """An encoder in float16 between tensors in float32."""

    def __init__(self, encoder: nn.Module) -> None:
        super().__init__()
        self.encoder = encoder.half()

    def forward(self, features: Tensor) -> Tensor:
        """Features ``[B, F, T]`` → embeddings ``[B, D]``."""
        embeddings: Tensor = self.encoder(features.half())
        return embeddings.float()


def encoding_parts(module: nn.Module) -> dict[str, nn.Module]:
    """The pipelines in a module by their paths: whatever has a front end and an encoder.

    Raises:
        ValueError: if there is none.
    """
    parts = {
        path: part
        for path, part in module.named_modules()
        if isinstance(getattr(part, "frontend", None), nn.Module)
        and isinstance(getattr(part, "encoder", None), nn.Module)
    }
    if not parts:
        name = type(module).__name__
        raise ValueError(f"precision: expected a module with frontend and encoder, got {name}")
    return parts


def reduced(source: Source) -> Source:
    """The source with encoders of its precision; itself in float32.

    The module is changed: it has to be the backend's own.
    """
    if source.precision == "float32":
        return source

    def make() -> Source:
        for part in encoding_parts(source.module).values():
            part.encoder = _encoder(source, part)
        return source.of(source.module)

    return source.once(f"in {source.precision}", make).with_contract(source.contract)


def encoder_nodes(program: ExportedProgram, module: nn.Module) -> set[str]:
    """Names of the nodes of an exported module that its encoders are made of."""
    encoders = {f"{path}.encoder".removeprefix(".") for path in encoding_parts(module)}
    return {
        node.name
        for node in program.graph.nodes
        if encoders & {path for path, _ in node.meta.get("nn_module_stack", {}).values()}
    }


def _encoder(source: Source, part: Any) -> nn.Module:
    if source.precision == "mixed16":
        return HalfEncoder(part.encoder)
    if source.calibration is None:
        raise ValueError("calibration: int8 needs windows of audio to choose its ranges on")
    with torch.no_grad():
        features = [part.frontend(window) for window in source.calibration.split(1)]
    return quantised(part.encoder, features, source.dynamic_batch)


def quantised(
    encoder: nn.Module, features: Sequence[Tensor], dynamic_batch: bool = False
) -> nn.Module:
    """The encoder with 8-bit convolutions and linear layers.

    Args:
        encoder: in eval mode.
        features: of calibration audio, each ``[1, F, T]``; the ranges are those seen on them.
        dynamic_batch: leave the batch size open.
    """
    with quiet_executorch():
        from torchao.quantization.pt2e.quantize_pt2e import convert_pt2e, prepare_pt2e

        shapes = ({0: Dim("batch", min=1, max=64)},) if dynamic_batch else None
        program = torch.export.export(encoder, (features[0],), dynamic_shapes=shapes)
        prepared = prepare_pt2e(program.module(check_guards=False), _quantizer())
        with torch.no_grad():
            for one in features:
                prepared(one)
        found: nn.Module = convert_pt2e(prepared)
        return found


def _quantizer() -> Any:
    """XNNPACK's, for weighted layers alone: naming modules to it quantises nothing, in silence."""
    from executorch.backends.xnnpack.quantizer.xnnpack_quantizer import (
        XNNPACKQuantizer,
        get_symmetric_quantization_config,
    )

    class WeightedLayers(XNNPACKQuantizer):
        SUPPORTED_PATTERNS: ClassVar[list[Any]] = [
            pattern
            for name in ("conv_relu", "conv", "linear_relu", "linear")
            for pattern in XNNPACKQuantizer.SUPPORTED_PATTERNS
            if pattern.name == name
        ]

    quantizer = WeightedLayers()
    quantizer.set_global(get_symmetric_quantization_config(is_per_channel=True))
    return quantizer.set_filter_function(_gains)


def _gains(node: Node) -> bool:
    """Not a small layer, nor one over one channel.

    Few weights save no bytes, and the narrow layers that have them round most: in the demo's scorer
    those of 1×1 make two thirds of the error. For one channel, as a first layer over a picture has,
    the integer kernel took twice the time of the float one: it pads the channels to eight.
    """
    if node.op != "call_function" or not str(node.target).startswith(("aten.conv", "aten.linear")):
        return True
    given, weight = (part.meta["val"] for part in node.args[:2] if isinstance(part, Node))
    return bool(weight.numel() >= _FEWEST_WEIGHTS and given.shape[1] > 1)
