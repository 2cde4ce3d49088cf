"""Windows of a waveform that comes in blocks: :func:`scriptable.cut_windows` in bounded memory."""

from collections.abc import Iterable, Iterator

import torch
from torch import Tensor


def windows_of(blocks: Iterable[Tensor], num_samples: int, hop: int) -> Iterator[Tensor]:
    """The windows ``[N]`` that :func:`scriptable.cut_windows` cuts of all blocks ``[*]`` joined.

    Holds one window, and what lies between two, besides a block; none of no samples.
    """
    kept = torch.zeros(0)
    dropped = following = end = 0
    for block in blocks:
        kept = torch.cat([kept, block])
        total = dropped + len(kept)
        while following + num_samples <= total:
            end = following + num_samples
            yield kept[following - dropped : end - dropped]
            following += hop
        # The last window ends with the recording, wherever that will be.
        spare = min(following, total - num_samples) - dropped
        if spare > 0:
            kept = kept[spare:].clone()
            dropped += spare
    total = dropped + len(kept)
    if 0 < total < num_samples:
        yield kept.repeat(-(-num_samples // total))[:num_samples]
    elif end < total:
        yield kept[-num_samples:]
