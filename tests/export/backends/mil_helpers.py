"""Forms of torch that Core ML packages must compute, and helpers to compare them."""

import shutil
from collections.abc import Callable
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from export import backends
from export.backends import Artefact, Source, flatten
from export.backends.coreml import BACKEND

Forms = dict[str, Callable[..., object]]


class Family(nn.Module):
    """All forms of a family on the same inputs, so that one conversion covers them."""

    def __init__(self, forms: Forms) -> None:
        super().__init__()
        self.forms = forms
        self.parts = nn.ModuleDict({k: f for k, f in forms.items() if isinstance(f, nn.Module)})

    def forward(self, *inputs: Tensor) -> tuple[object, ...]:
        return tuple(form(*inputs) for form in self.forms.values())


class Head(nn.Module):
    """A head with both methods of the contract."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(randn(6, 64, seed=3))

    def forward(self, embeddings: Tensor, labels: Tensor) -> Tensor:
        return F.cross_entropy(embeddings @ self.weight.T, labels)

    def score(self, embeddings: Tensor) -> Tensor:
        return (embeddings @ self.weight.T)[:, 1]


def saved(module: nn.Module, inputs: tuple[Tensor, ...], path: Path, **options: bool) -> Artefact:
    backends.save(BACKEND, Source(module, {"forward": inputs}, "{}", **options), path)
    return BACKEND.load(path)


def randn(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def in_place_add(x: Tensor, labels: Tensor) -> Tensor:
    result = x.clone()
    result.scatter_add_(1, labels[:, None], x[:, :1])
    return result


def slice_assignment(x: Tensor, labels: Tensor) -> Tensor:
    result = x.clone()
    result[:, 1:3] = 0.5
    return result


LABELLED: dict[str, Forms] = {
    "losses": {
        "log_softmax": lambda x, t: F.log_softmax(300 * x, -1),
        "cross_entropy": lambda x, t: F.cross_entropy(100 * x, t),
        "weighted": lambda x, t: F.cross_entropy(x, t, weight=torch.arange(1.0, 6.0)),
        "bce_logits": lambda x, t: F.binary_cross_entropy_with_logits(x, (t[:, None] > 2) + x * 0),
        "kl_div": lambda x, t: F.kl_div(x, x.flip(1).softmax(1), reduction="batchmean"),
        "cosine": lambda x, t: F.cosine_similarity(x, x.flip(1)),
        "huber": lambda x, t: F.huber_loss(x, x.flip(1), delta=0.5),
        "triplet": lambda x, t: F.triplet_margin_loss(x, x.flip(1), x.roll(1, 1)),
        "logaddexp": lambda x, t: torch.logaddexp(40 * x, x),
        "log_sigmoid": lambda x, t: F.logsigmoid(40 * x),
        "logsumexp": lambda x, t: (1000 * x).logsumexp(1),
    },
    "labels": {
        "gather": lambda x, t: x.gather(1, t[:, None])[:, 0],
        "one_hot": lambda x, t: F.one_hot(t, 5).to(x.dtype) * x,
        "compare": lambda x, t: (t[:, None] == torch.arange(5)).to(x.dtype) * x,
        "pairs": lambda x, t: x[torch.arange(4), t],
        "negative": lambda x, t: x[t % 4 - 4],
        "columns": lambda x, t: x.index_select(1, t),
        "embedding": lambda x, t: F.embedding(t, x.T),
        "take_along": lambda x, t: torch.take_along_dim(x, t[:, None], 1),
        "scatter_add": lambda x, t: torch.zeros(4, 5).scatter_add(1, t[:, None], x[:, :1]),
        "in_place": in_place_add,
        "scatter": lambda x, t: x.scatter(1, t[:, None], 9 * x[:, :1]),
        "scatter_value": lambda x, t: torch.zeros_like(x).scatter(1, t[:, None], 1.0),
        "index_add": lambda x, t: torch.zeros(5, 5).index_add(0, t, x),
        "index_put": lambda x, t: x.index_put((torch.arange(4), t), x[:, 0]),
        "assignment": slice_assignment,
        "table": lambda x, t: torch.tensor([[0, 1], [1, 0]])[t % 2],
    },
    "integers": {
        "floor_div": lambda x, t: (t - 3) // 2,
        "trunc_div": lambda x, t: torch.div(t - 3, 2, rounding_mode="trunc"),
        "true_div": lambda x, t: t / 2,
        "mod": lambda x, t: (t - 3) % 2,
        "clamp": lambda x, t: t.clamp(1, 3),
        "where": lambda x, t: torch.where(t > 2, t, 0),
        "amax": lambda x, t: t.amax(),
        "cumsum": lambda x, t: t.cumsum(0),
        "minimum": lambda x, t: torch.minimum(t, torch.tensor(2)),
        "to_long": lambda x, t: (3 * x).long(),
        "argmax": lambda x, t: x.argmax(1),
        "argmax_all": lambda x, t: x.argmax(),
        "argmin": lambda x, t: x.argmin(1, keepdim=True),
        "pad": lambda x, t: F.pad(t, (1, 0), value=7),
    },
    "masks": {
        "lengths": lambda x, t: torch.where(torch.arange(5) < t[:, None], x, 0.0).sum(1),
        "count": lambda x, t: (x > 0).sum(1),
        "any": lambda x, t: (x > 1).any(1),
        "all": lambda x, t: (x > -9).all(),
        "and_or": lambda x, t: ((x > 0) & (x < 1) | ~(x > -1)).float(),
        "xor": lambda x, t: ((x > 0) ^ (x < 1)).float(),
        "fill": lambda x, t: x.masked_fill(x > 0, -1e30),
        "infinite": lambda x, t: torch.where(x > 0, x, float("-inf")).amax(1),
        "softmax": lambda x, t: x.masked_fill(x > 5, float("-inf")).softmax(-1),
        "isinf": lambda x, t: torch.isinf(x / (x > 0)),
        "isnan": lambda x, t: torch.isnan(x.log()),
        "nan_to_num": lambda x, t: torch.nan_to_num(x.log()),
        "multiply": lambda x, t: x * (x > 0),
    },
}

PLAIN: dict[str, Forms] = {
    "reductions": {
        "sum": lambda x: x.sum((0, 1)),
        "mean": lambda x: x.mean(1, keepdim=True),
        "amin": lambda x: x.amin(0),
        "max": lambda x: x.max(1),
        "var": lambda x: x.var(),
        "var_biased": lambda x: x.var(1, unbiased=False),
        "std": lambda x: x.std(1),
        "norm1": lambda x: torch.linalg.vector_norm(x, ord=1, dim=1),
        "norm": lambda x: x.norm(dim=1),
        "normalize": lambda x: F.normalize(x),
        "topk": lambda x: x.topk(2, 1),
        "smallest": lambda x: x.topk(2, 1, largest=False)[0],
        "sort": lambda x: x.sort(1)[0],
        "argsort": lambda x: x.argsort(1, descending=True),
        "cumsum": lambda x: x.cumsum(1),
        "logcumsumexp": lambda x: x.logcumsumexp(1),
    },
    "shapes": {
        "cat": lambda x: torch.cat([x, x[:, 1:]], 1),
        "stack": lambda x: torch.stack([x, -x], -1),
        "chunk": lambda x: torch.maximum(*x[:, :4].chunk(2, 1)),
        "split": lambda x: x.split([2, 3], 1),
        "flip": lambda x: x.flip(1),
        "roll": lambda x: x.roll(2, 1),
        "unfold": lambda x: x.unfold(1, 3, 2),
        "repeat": lambda x: x.repeat(2, 3),
        "interleave": lambda x: x.repeat_interleave(3, 1),
        "expand": lambda x: x[:, None].expand(-1, 3, -1) * 1,
        "strided": lambda x: x[:, 1:4:2],
        "tail": lambda x: x[:, -2:],
        "select": lambda x: x[1, -1],
        "permute": lambda x: x.T.reshape(2, -1),
        "triangle": lambda x: x.tril(-1) + x.triu(1),
        "diagonal": lambda x: (x @ x.T).diagonal(),
        "reflect": lambda x: F.pad(x[:, None], (2, 1), mode="reflect"),
        "replicate": lambda x: F.pad(x[:, None], (2, 1), mode="replicate"),
        "constant": lambda x: F.pad(x, (1, 2, 0, 1), value=3.0),
    },
    "constants": {
        "arange": lambda x: x * torch.arange(x.size(1), dtype=x.dtype),
        "step": lambda x: x * torch.arange(0.0, 2.5, 0.5),
        "full": lambda x: x + torch.full((4, 5), 2.0),
        "new_full": lambda x: x + x.new_full((4, 5), 2),
        "ones": lambda x: x + x.new_ones(()),
        "eye": lambda x: x @ torch.eye(5),
        "tensor": lambda x: x * torch.tensor([1.0, 2, 3, 4, 5]),
        "window": lambda x: x * torch.hann_window(5),
    },
    "pointwise": {
        "reciprocal": lambda x: 1 / (1e-3 * x),
        "rsqrt": lambda x: (1e-6 * x * x).rsqrt(),
        "log": lambda x: (1e-30 * x.abs()).log(),
        "log1p": lambda x: (1e-6 * x.abs()).log1p(),
        "expm1": lambda x: (1e-6 * x).expm1(),
        "pow": lambda x: x.abs().pow(1.5) + 2.0**x + x**3,
        "softplus": lambda x: F.softplus(20 * x),
        "gelu": lambda x: F.gelu(x),
        "gelu_tanh": lambda x: F.gelu(3 * x, approximate="tanh"),
        "silu": lambda x: F.silu(x),
        "elu": lambda x: F.elu(x, 0.7),
        "selu": lambda x: F.selu(x),
        "leaky": lambda x: F.leaky_relu(x, 0.2),
        "relu6": lambda x: F.relu6(9 * x),
        "mish": lambda x: F.mish(x),
        "hardswish": lambda x: F.hardswish(3 * x),
        "glu": lambda x: F.glu(x[:, :4]),
        "sigmoid": lambda x: torch.sigmoid(x),
        "softmax": lambda x: (50 * x).softmax(-1),
        "trig": lambda x: x.cos() + x.sin() + x.tanh().acos() + x.tanh().asin() + x.atan(),
        "erf": lambda x: x.erf(),
        "round": lambda x: (3 * x).round() + x.floor() + x.ceil() + x.trunc() + x.sign(),
        "clamp": lambda x: x.clamp(-0.5, 0.5) + x.clamp_min(0.1) + x.clamp(min=torch.zeros(5)),
        "remainder": lambda x: x % 0.3 + torch.fmod(x, 0.3),
        "lerp": lambda x: torch.lerp(x, x.flip(1), 0.3),
        "einsum": lambda x: torch.einsum("ij,kj->ik", x, x.flip(1)),
        "addmm": lambda x: torch.addmm(x[:, :4], x, x.T, beta=0.5, alpha=2.0),
        "attention": lambda x: F.scaled_dot_product_attention(x[None], 0.3 * x[None], x[None]),
        "detach": lambda x: x.detach() * 2,
    },
}


def nets() -> dict[str, tuple[nn.Module, tuple[int, ...]]]:
    torch.manual_seed(1)
    norms = {
        "batch": nn.BatchNorm1d(5, eps=0.1),
        "layer": nn.LayerNorm(12, eps=0.1),
        "instance": nn.InstanceNorm1d(5, eps=0.1, affine=True),
        "group": nn.GroupNorm(1, 5, eps=0.1),
        "rms": nn.RMSNorm(12, eps=0.1),
        "linear": nn.Linear(12, 3),
        "prelu": nn.PReLU(1, 0.3),
    }
    for part in norms.values():
        for parameter in part.parameters():
            nn.init.uniform_(parameter, -0.5, 0.5)
    nn.init.uniform_(norms["batch"].running_var, 0.01, 0.5)
    nn.init.normal_(norms["batch"].running_mean)
    one = {
        "plain": nn.Conv1d(6, 4, 3, stride=2, padding=1, dilation=2),
        "same": nn.Conv1d(6, 4, 5, padding="same", dilation=2),
        "grouped": nn.Conv1d(6, 6, 3, groups=3, bias=False),
        "reflect": nn.Conv1d(6, 4, 5, padding=2, padding_mode="reflect"),
        "transposed": nn.ConvTranspose1d(6, 4, 4, stride=3, padding=1, output_padding=2),
        "max_pool": nn.MaxPool1d(3, 2, 1),
        "avg_pool": nn.AvgPool1d(3, 2, 1),
        "avg_ceil": nn.AvgPool1d(3, 2, 1, ceil_mode=True),
        "adaptive": nn.AdaptiveAvgPool1d(1),
    }
    two = {
        "conv": nn.Conv2d(2, 3, (3, 2), stride=(1, 2), padding=(1, 0)),
        "transposed": nn.ConvTranspose2d(2, 4, 3, stride=2, padding=1, groups=2),
        "max_ceil": nn.MaxPool2d(3, 2, ceil_mode=True),
        "avg": nn.AvgPool2d(3, 2, 1, count_include_pad=False),
        "instance": nn.InstanceNorm2d(2),
        "adaptive": nn.AdaptiveAvgPool2d((1, 1)),
        "upsample": nn.Upsample(scale_factor=2),
    }
    return {
        "norms": (Family(norms), (4, 5, 12)),
        "one_dimensional": (Family(one), (2, 6, 14)),
        "two_dimensional": (Family(two), (2, 2, 8, 9)),
    }


def assert_equal(forms: Forms, got: tuple[Tensor, ...], want: tuple[object, ...]) -> None:
    remaining = list(got)
    for name, expected in zip(forms, want, strict=True):
        for tensor in flatten(expected):
            actual = remaining.pop(0)
            assert actual.dtype == tensor.dtype, name
            assert actual.shape == tensor.shape, name
            torch.testing.assert_close(
                actual,
                tensor,
                rtol=2e-5,
                atol=2e-6,
                equal_nan=True,
                msg=lambda m, n=name: f"{n}: {m}",
            )
    assert not remaining


def rewritten(package: Path, path: Path, change: Callable[[object], None]) -> Path:
    """A copy of a package whose protobuf is changed."""
    from coremltools.proto import Model_pb2

    shutil.copytree(package, path)
    file = path / "Data/com.apple.CoreML/model.mlmodel"
    spec = Model_pb2.Model()
    spec.ParseFromString(file.read_bytes())
    change(spec)
    file.write_bytes(spec.SerializeToString())
    return path


def operations(spec) -> list:
    main = spec.mlProgram.functions["main"]
    return list(main.block_specializations[main.opset].operations)
