"""The digest of a model's weights."""

import hashlib
from collections.abc import Mapping

import numpy as np
from torch import Tensor


def weights_sha256(state: Mapping[str, Tensor]) -> str:
    """SHA-256 over the named tensors, in name order.

    For each tensor: its name in UTF-8, its shape as decimal sizes joined by commas, its dtype as
    torch spells it without ``torch.``, each followed by a line feed; then its elements in row-major
    order, little-endian.
    """
    digest = hashlib.sha256()
    for name in sorted(state):
        tensor = state[name].detach().cpu().contiguous()
        shape = ",".join(str(size) for size in tensor.shape)
        dtype = str(tensor.dtype).removeprefix("torch.")
        digest.update(f"{name}\n{shape}\n{dtype}\n".encode())
        values = tensor.numpy()
        digest.update(np.ascontiguousarray(values).astype(values.dtype.newbyteorder("<")).tobytes())
    return digest.hexdigest()
