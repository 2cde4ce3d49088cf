"""Schedule of a head's margin over training: ramp, plateau, large-margin fine-tuning."""

import math
from collections.abc import Iterable, Mapping
from typing import Any, Optional, Union

import torch

from scriptable._core.checks import check_choice, check_not_negative, check_whole

Head = Union[torch.nn.Module, torch.jit.ScriptModule]


class MarginScheduler:
    r"""Raises the margin of heads from 0 to its final value, then fine-tunes with a large one.

    .. math:: m(i) = \begin{cases}
        0 & i \le i_0 \\
        M r\left(\frac{i - i_0}{i_1 - i_0}\right) & i_0 < i < i_1 \\
        M & i_1 \le i < i_{LM} \\
        M_{LM} & i \ge i_{LM} \end{cases}, \qquad
        r(u) = u \text{ (linear) or } 1 - 10^{-3u} \text{ (exponential)}

    Plain Python: :meth:`step` is called once per optimiser step, after it. From ``finetune_start``
    on heads with a ``large_margin`` method lose their inter-top-k penalty, too.

    Args:
        heads: one head or several, eager or scripted, each with an ``update(margin)`` method.
        final_margin: M.
        ramp_start: i₀, the last step with margin 0.
        ramp_end: i₁, the first step with the final margin.
        increase: ``exponential``, which rises early, or ``linear``.
        finetune_start: first step of the fine-tuning; None for none.
        finetune_margin: margin of the fine-tuning.

    Raises:
        ValueError: on margins below 0, steps out of order, an unknown ``increase``, or a head
            without ``update``.

    Reference:
        Thienpondt et al., "The IDLab VoxSRC-20 submission: large margin fine-tuning and
        quality-aware score calibration in DNN based speaker verification", arXiv 2010.11255; the
        ramp is the one that WeSpeaker trains with.

    Example:
        >>> from scriptable import AAMSoftmax
        >>> head = torch.jit.script(AAMSoftmax(nout=4, nclasses=3))
        >>> scheduler = MarginScheduler(head, 0.2, ramp_end=2, increase="linear", finetune_start=3)
        >>> margins = [scheduler.margin]
        >>> for _ in range(4):
        ...     scheduler.step()
        ...     margins.append(scheduler.margin)
        >>> margins
        [0.0, 0.1, 0.2, 0.5, 0.5]
        >>> float(head.margin)
        0.5
    """

    def __init__(
        self,
        heads: Union[Head, Iterable[Head]],
        final_margin: float = 0.2,
        ramp_start: int = 0,
        ramp_end: int = 1,
        increase: str = "exponential",
        finetune_start: Optional[int] = None,
        finetune_margin: float = 0.5,
    ) -> None:
        self.heads: list[Any] = [heads] if isinstance(heads, torch.nn.Module) else list(heads)
        for head in self.heads:
            if not hasattr(head, "update"):
                raise ValueError(f"heads: expected an update method, got {type(head).__name__}")
        check_not_negative("final_margin", final_margin)
        check_not_negative("finetune_margin", finetune_margin)
        check_choice("increase", increase, ["exponential", "linear"])
        check_whole("ramp_start", ramp_start)
        check_whole("ramp_end", ramp_end)
        if finetune_start is not None:
            check_whole("finetune_start", finetune_start)
        if not 0 <= ramp_start <= ramp_end:
            raise ValueError(
                f"ramp_end: expected a step of {max(ramp_start, 0)} or above, got {ramp_end}"
            )
        if finetune_start is not None and finetune_start < ramp_end:
            raise ValueError(
                f"finetune_start: expected a step of {ramp_end} or above, got {finetune_start}"
            )
        self.final_margin = final_margin
        self.ramp_start = ramp_start
        self.ramp_end = ramp_end
        self.increase = increase
        self.finetune_start = finetune_start
        self.finetune_margin = finetune_margin
        self.steps = 0
        self._apply()

    @property
    def fine_tuning(self) -> bool:
        """Whether the large-margin stage has begun."""
        return self.finetune_start is not None and self.steps >= self.finetune_start

    @property
    def margin(self) -> float:
        """The margin at the current step."""
        if self.fine_tuning:
            return self.finetune_margin
        if self.steps >= self.ramp_end:
            return self.final_margin
        if self.steps <= self.ramp_start:
            return 0.0
        share = (self.steps - self.ramp_start) / (self.ramp_end - self.ramp_start)
        if self.increase == "exponential":
            share = 1.0 - math.exp(share * math.log(1e-3))
        return self.final_margin * share

    def step(self) -> None:
        """Advance by one optimiser step and set the margin of all heads."""
        self.steps += 1
        self._apply()

    def state_dict(self) -> dict[str, Any]:
        """What a checkpoint needs: the number of steps done."""
        return {"steps": self.steps}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Resume from a checkpoint: its step and the matching margin."""
        self.steps = int(state["steps"])
        self._apply()

    def _apply(self) -> None:
        for head in self.heads:
            if self.fine_tuning and hasattr(head, "large_margin"):
                head.large_margin(self.margin)
            else:
                head.update(self.margin)
