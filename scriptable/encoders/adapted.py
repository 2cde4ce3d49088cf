"""A third-party network as an encoder, with its input layout and output, unchanged."""

from typing import Any, Dict, Final, Optional, Union

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from scriptable._core.checks import check_choice, check_kinds

_INPUTS = ["BFT", "BTF", "B1FT", "B1TF", "BN", "B1N"]
_FRAMES = ["", "BTD", "BDT"]


_MADE: Dict[Any, Any] = {
    torch.randn: torch.zeros,
    torch.rand: torch.zeros,
    torch.randn_like: torch.zeros_like,
    torch.rand_like: torch.zeros_like,
}
_FILLED = (Tensor.normal_, Tensor.uniform_)


class _Fixed(TorchFunctionMode):
    """What would draw random numbers gives a ramp from -1 to 1 instead.

    Not zeros: some networks divide their noise by its range.
    """

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Call the function, or give the ramp."""
        options = dict(kwargs or {})
        if func in _MADE:
            options.pop("generator", None)
            return _ramp(_MADE[func](*args, **options))
        if func in _FILLED:
            return args[0].copy_(_ramp(args[0]))
        return func(*args, **options)


def _ramp(like: Tensor) -> Tensor:
    steps = torch.linspace(-1.0, 1.0, like.numel(), dtype=like.dtype, device=like.device)
    return steps.reshape(like.shape)


class AdaptedEncoder(nn.Module):
    r"""An existing network, unchanged, between features ``[B, F, T]`` and a head.

    Lays the input out as the network takes it, picks one of its answers, averages frames over time,
    and drops axes of size one. It has no parameters of its own; the network's are ``network.…``.

    Args:
        network: takes one tensor and answers a tensor, a tuple, or a dictionary of tensors.
        input: how the network takes what it is given: features as ``"BFT"``, as they come;
            ``"BTF"``, time first; ``"B1FT"`` or ``"B1TF"``, as a picture of one channel; a waveform
            as ``"BN"``, as it comes, or ``"B1N"``.
        output: of a tuple or a dictionary, the index or the name; None where a tensor is answered.
        frames: ``"BTD"`` or ``"BDT"`` where the answer is frames in that layout, whose mean over
            time is the embedding; empty where it is none.
        noise: False where the network draws random numbers in eval mode, too: it gets the same ones
            in every call, evenly from -1 to 1. It does not script then.

    Shape:
        - features: ``[B, F, T]``, or waveform: ``[B, N]``; result: ``[B, D]``, or ``[B]`` if the
          network answers that.

    Raises:
        ValueError: if an argument is none of these.

    Example:
        >>> network = nn.LSTM(20, 16, batch_first=True)
        >>> encoder = AdaptedEncoder(network, input="BTF", output=0, frames="BTD")
        >>> encoder(torch.randn(3, 20, 50)).shape
        torch.Size([3, 16])
    """

    transposed: Final[bool]
    channel: Final[bool]
    by_name: Final[bool]
    by_index: Final[bool]
    name: Final[str]
    index: Final[int]
    frames: Final[str]
    silenced: Final[bool]

    def __init__(
        self,
        network: nn.Module,
        input: str = "BFT",
        output: Optional[Union[int, str]] = None,
        frames: str = "",
        noise: bool = True,
    ) -> None:
        check_kinds(AdaptedEncoder.__init__, locals())
        super().__init__()
        check_choice("input", input, _INPUTS)
        check_choice("frames", frames, _FRAMES)
        self.network = network
        self.transposed = input in ("BTF", "B1TF")
        self.channel = "1" in input
        self.by_name = isinstance(output, str)
        self.by_index = isinstance(output, int)
        self.name = output if isinstance(output, str) else ""
        self.index = output if isinstance(output, int) else 0
        self.frames = frames
        self.silenced = not noise

    def forward(self, x: Tensor) -> Tensor:
        """Features ``[B, F, T]`` or waveform ``[B, N]`` → embedding ``[B, D]``."""
        if self.silenced and not self.training:
            return self.quietly(x)
        return self.embedding(self.answer(self.laid_out(x)))

    @torch.jit.unused
    def quietly(self, x: Tensor) -> Tensor:
        """The same with fixed numbers in the place of random ones."""
        with _Fixed():
            return self.embedding(self.answer(self.laid_out(x)))

    def laid_out(self, x: Tensor) -> Tensor:
        """The input as the network takes it."""
        if self.transposed:
            x = x.transpose(1, 2)
        if self.channel:
            x = x.unsqueeze(1)
        return x

    def answer(self, x: Tensor) -> Tensor:
        """The chosen element of the network's output."""
        if self.by_name:
            named: Tensor = self.network(x)[self.name]
            return named
        elif self.by_index:
            indexed: Tensor = self.network(x)[self.index]
            return indexed
        else:
            plain: Tensor = self.network(x)
            return plain

    def embedding(self, answer: Tensor) -> Tensor:
        """``[B, D]`` of frames, or of ``[B, 1, D]`` and the like."""
        if self.frames == "BTD":
            answer = answer.mean(1)
        elif self.frames == "BDT":
            answer = answer.mean(2)
        if answer.dim() > 2:
            sizes = answer.shape[1:]
            # What has a second axis is left for the head to refuse.
            if answer.numel() == answer.size(0) * max(sizes):
                answer = answer.flatten(1)
        return answer
