"""Which operators a scorer may be made of: those that compute, and touch nothing besides."""

from functools import cache

import torch


def _names(text: str) -> frozenset[str]:
    return frozenset(text.split())


# No operator without a text among its arguments can name a file or a machine. Of those with one:
_TEXTS = _names(
    """
    Delete Float Int __contains__ __getitem__ __interpolate __upsample _assert_async
    _assert_scalar _convolution_mode _functional_assert_async _functional_assert_scalar
    _linalg_check_errors _linalg_eigh _linalg_svd add capitalize center conv1d conv2d conv3d
    count device div div_ divide divide_ einsum endswith eq expandtabs fft_fft fft_fft2 fft_fftn
    fft_hfft fft_hfft2 fft_hfftn fft_ifft fft_ifft2 fft_ifftn fft_ihfft fft_ihfft2 fft_ihfftn
    fft_irfft fft_irfft2 fft_irfftn fft_rfft fft_rfft2 fft_rfftn find format ge gelu gelu_
    gelu_backward get get_autocast_dtype gt index index_reduce index_reduce_ isalnum isalpha
    isdecimal isdigit isidentifier islower isnumeric isprintable isspace istitle isupper join le
    len linalg_cond linalg_eigh linalg_eigvalsh linalg_lstsq linalg_matrix_norm linalg_norm
    linalg_qr linalg_svd linalg_svdvals list ljust lower lstrip lt meshgrid nanquantile ne ord
    pad pad_sequence partition percentFormat pop quantile remove replace rfind rindex rjust
    rpartition rsplit rstrip scatter scatter_ scatter_reduce scatter_reduce_ searchsorted
    segment_reduce slice split splitlines startswith stft strip swapcase title upper warn zfill
    """
)
# Without a text, and yet not arithmetic: the process's state, other storage, other threads.
_EFFECTS = _names(
    """
    initial_seed manual_seed resize_ resize_as_ resize_as_sparse_ seed set_ set_data
    set_grad_enabled wait
    """
)
_PRIM = _names(
    """
    ConstantChunk EnumName EnumValue IfThenElse ModuleContainerIndex NumToTensor RaiseException
    StringIndex TupleIndex TupleUnpack Uninitialized VarConcat VarStack abs data device dtype
    grad id index is_cpu is_cuda is_ipu is_maia is_meta is_mkldnn is_mps is_mtia is_nested
    is_quantized is_sparse is_sparse_csr is_vulkan is_xla is_xpu itemsize layout max min name
    nbytes rangelist requires_grad tolist type unchecked_cast unchecked_unwrap_optional
    """
)
_QUANTISED = ("quantized", "_quantized", "quantization", "quantized_decomposed")


def computes(namespace: str, name: str) -> bool:
    """Whether an operator such as ``aten::linear`` is one that a scorer may hold."""
    if namespace == "aten":
        if name in _EFFECTS or name.startswith("_test") or name not in _known():
            return False
        return name in _TEXTS or not _known()[name]
    return (namespace == "prim" and name in _PRIM) or namespace in _QUANTISED


def is_operator(name: str) -> bool:
    """Whether a method of this name on a tensor would be an operator."""
    return name in _known() or name in _PRIM


@cache
def _known() -> dict[str, bool]:
    """Every operator of ``aten``, and whether one of its forms takes a text."""
    found: dict[str, bool] = {}
    for schema in torch._C._jit_get_all_schemas():
        namespace, _, name = schema.name.partition("::")
        if namespace == "aten":
            takes = any("str" in str(argument.type) for argument in schema.arguments)
            found[name] = found.get(name, False) or takes
    return found
