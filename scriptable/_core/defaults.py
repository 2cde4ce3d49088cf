"""State that a checkpoint may leave out."""

from typing import Any, Dict, List

from torch import nn


class KeepsDefaults(nn.Module):
    """A module whose buffers keep the constructor's values when a checkpoint lacks them.

    Checkpoints of SpeechBrain, ESPnet and other toolkits lack state that only we have; they must
    still load strictly.
    """

    def _load_from_state_dict(
        self,
        state_dict: Dict[str, Any],
        prefix: str,
        local_metadata: Dict[str, Any],
        strict: bool,
        missing_keys: List[str],
        unexpected_keys: List[str],
        error_msgs: List[str],
    ) -> None:
        for name, buffer in self.named_buffers(recurse=False):
            state_dict.setdefault(prefix + name, buffer)
        super()._load_from_state_dict(
            state_dict, prefix, local_metadata, strict, missing_keys, unexpected_keys, error_msgs
        )
