"""Parity must catch what it is there for: each kind of wrong artefact, with a reason."""

import math
import re
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from artefact_helpers import LOWERED, usable
from torch import Generator, Tensor, nn

from export.backends import Artefact, Backend, Inputs, Source, flatten
from export.catalog import Row, Waiver
from export.parity import check
from export.parity.check import check_row
from export.parity.record import Record
from export.parity.run import summary


class Plain(nn.Module):
    """A sound module: embeddings and labels to a loss."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(4, 3)

    def forward(self, x: Tensor, labels: Tensor) -> Tensor:
        return torch.nn.functional.cross_entropy(self.linear(x), labels)

    @torch.jit.export
    def score(self, x: Tensor) -> Tensor:
        return self.linear(x)


def inputs(generator: Generator) -> Inputs:
    labels = torch.randint(3, (5,), generator=generator)
    return torch.randn(5, 4, generator=generator), labels


def a_row(module: Callable[[], nn.Module] = Plain, **options: object) -> Row:
    options.setdefault("methods", {"forward": inputs})
    return Row(entry="Plain", module=module, **options)  # type: ignore[arg-type]


class Kept(Artefact):
    """Eager itself, its results changed by a function that also gets the number of the call."""

    def __init__(self, module: nn.Module, change: Callable[[Tensor, int], Tensor]) -> None:
        self.module, self.change, self.calls = module, change, 0

    def run(self, method: str, inputs: Inputs) -> Inputs:
        with torch.no_grad():
            results = flatten(getattr(self.module, method)(*inputs))
        self.calls += 1
        return tuple(self.change(result.clone(), self.calls) for result in results)

    def contract(self) -> str:
        return ""


class Fake(Backend):
    """Writes nothing of use, and answers with what eager says, changed."""

    name = "fake"
    suffix = ".fake"
    tolerance = 1e-3

    def __init__(
        self,
        change: Callable[[Tensor, int], Tensor] = lambda result, call: result,
        while_saving: Callable[[nn.Module], object] = lambda module: None,
    ) -> None:
        self.change, self.while_saving = change, while_saving
        self.module: nn.Module | None = None

    def save(self, source: Source, path: Path) -> None:
        self.while_saving(source.module)
        self.module = source.module
        path.write_bytes(b"12345")

    def load(self, path: Path) -> Artefact:
        assert path.read_bytes() == b"12345" and self.module is not None
        return Kept(self.module, self.change)


def statuses(records: list[Record]) -> dict[str, str]:
    return {record.content: record.status for record in records}


def only_reason(records: list[Record]) -> str:
    assert {record.status for record in records} == {"fail"}, records
    [reason] = {record.reason for record in records}
    return reason


def test_a_sound_backend_passes_on_every_content() -> None:
    speech = torch.linspace(-1, 1, 20)
    row = a_row(
        methods={"forward": inputs, "score": lambda g: (inputs(g)[0],)},
        speech={"score": lambda waveform: (waveform.reshape(5, 4),)},
    )
    records = check_row(row, [Fake()], speech)
    assert [(record.method, record.content) for record in records] == [
        ("forward", "example"),
        ("forward", "other"),
        ("score", "example"),
        ("score", "other"),
        ("score", "speech"),
    ]
    for record in records:
        assert (record.status, record.reason) == ("pass", "")
        assert (record.max_abs_error, record.sqnr_db, record.bytes) == (0.0, None, 5)
        assert record.seconds is not None and record.seconds >= 0
    assert summary(records) == {"pass": 5}


# Wrong modules, on real backends.


class BakedLabels(Plain):
    """The labels of the first batch become part of the graph when it is traced."""

    def forward(self, x: Tensor, labels: Tensor) -> Tensor:
        rows = torch.log_softmax(self.linear(x), 1)
        return -torch.stack([rows[i, k] for i, k in enumerate(labels.tolist())]).mean()


class KeptLabels(Plain):
    """Labels that the module keeps from the outside whenever a graph is made of it."""

    def __init__(self) -> None:
        super().__init__()
        self.kept = inputs(Generator().manual_seed(0))[1]

    def forward(self, x: Tensor, labels: Tensor) -> Tensor:
        graph = torch.jit.is_tracing() or torch.compiler.is_compiling()
        return torch.nn.functional.cross_entropy(self.linear(x), self.kept if graph else labels)


@pytest.mark.parametrize(
    ("name", "module"),
    [
        ("trace", BakedLabels),
        ("trace", KeptLabels),
        ("torch_export", KeptLabels),
        ("executorch_portable", KeptLabels),
    ],
)
def test_labels_baked_into_a_graph_fail_on_other_content(
    name: str, module: type[nn.Module]
) -> None:
    records = check_row(a_row(module), [usable(name)])
    assert statuses(records) == {"example": "pass", "other": "fail"}
    assert records[1].reason.startswith("differs by ")
    assert records[1].max_abs_error is not None and records[1].tolerance is not None
    assert records[1].max_abs_error > 100 * records[1].tolerance


class Constant(nn.Module):
    """Forgets its inputs; every backend agrees with eager about that."""

    def forward(self, x: Tensor, labels: Tensor) -> Tensor:
        return torch.ones(5, 4).sum() + 0 * labels.sum()


def test_a_result_that_content_does_not_change_is_an_error() -> None:
    for backend in (Fake(), usable("torchscript")):
        reason = only_reason(check_row(a_row(Constant), [backend]))
        assert reason == "the result of forward does not change on other content"


def test_one_constant_method_fails_its_row_even_if_the_other_is_sound() -> None:
    class HalfConstant(Plain):
        @torch.jit.export
        def score(self, x: Tensor) -> Tensor:
            return torch.zeros(len(x))

    row = a_row(HalfConstant, methods={"forward": inputs, "score": lambda g: inputs(g)[:1]})
    reason = only_reason(check_row(row, [Fake()]))
    assert reason == "the result of score does not change on other content"


class NotScriptable(Plain):
    def forward(self, x: Tensor, labels: Tensor) -> Tensor:
        return (lambda y: y.sum())(self.linear(x))


def test_a_converters_error_is_the_reason_in_one_line() -> None:
    reason = only_reason(check_row(a_row(NotScriptable), [usable("torchscript")]))
    assert "\n" not in reason and "Error: " in reason

    def refuse(module: nn.Module) -> None:
        raise NotImplementedError("\n  no kernel for foo\nsecond line")

    reason = only_reason(check_row(a_row(), [Fake(while_saving=refuse)]))
    assert re.fullmatch(r"NotImplementedError: no kernel for foo \(.*test_parity\.py:\d+\)", reason)


# Wrong backends.

WRONG = {
    "another shape": (lambda r, call: r[None], "gives shape [1], eager []"),
    "NaN": (lambda r, call: r * math.nan, "gives a result that is not finite"),
    "infinity": (lambda r, call: r + math.inf, "gives a result that is not finite"),
    "another second run": (lambda r, call: r + 1e-7 * call, "a second run gives another result"),
}


@pytest.mark.parametrize("kind", WRONG)
def test_a_wrong_result_fails_and_says_why(kind: str) -> None:
    change, reason = WRONG[kind]
    assert only_reason(check_row(a_row(), [Fake(change)])) == reason


def test_a_missing_result_fails() -> None:
    class Pair(Plain):
        def forward(self, x: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
            return x, labels

    class First(Fake):
        def load(self, path: Path) -> Artefact:
            assert self.module is not None
            artefact = Kept(self.module, self.change)
            whole = artefact.run
            artefact.run = lambda *a: whole(*a)[:1]  # type: ignore[method-assign]
            return artefact

    assert only_reason(check_row(a_row(Pair), [First()])) == "gives 1 tensors, eager 2"


class Scaled(nn.Module):
    """``x`` times a number, so that the largest result is known."""

    def __init__(self, factor: float, dtype: torch.dtype = torch.float32) -> None:
        super().__init__()
        self.factor, self.dtype = factor, dtype

    def forward(self, x: Tensor) -> Tensor:
        return (self.factor * x).to(self.dtype)


def ramp(generator: Generator) -> Inputs:
    """Between −1 and 1, −1 being in it."""
    x = 2 * torch.rand(8, generator=generator) - 1
    x[0] = -1.0
    return (x,)


@pytest.mark.parametrize(
    ("factor", "error", "tolerance", "status"),
    [
        (0.01, 0.9e-3, 1e-3, "pass"),
        (0.01, 1.1e-3, 1e-3, "fail"),
        (50.0, 0.049, 0.05, "pass"),
        (50.0, 0.051, 0.05, "fail"),
    ],
)
def test_the_tolerance_grows_with_eager_and_not_below_one(
    factor: float, error: float, tolerance: float, status: str
) -> None:
    row = a_row(lambda: Scaled(factor), methods={"forward": ramp})
    for record in check_row(row, [Fake(lambda r, call: r + error)]):
        assert record.tolerance == pytest.approx(tolerance)
        assert record.max_abs_error == pytest.approx(error, rel=1e-3)
        assert record.status == status
        assert bool(record.reason) == (status == "fail")


def test_whole_numbers_must_be_equal() -> None:
    row = a_row(lambda: Scaled(1e6, torch.int64), methods={"forward": ramp})
    assert {r.status for r in check_row(row, [Fake()])} == {"pass"}
    records = check_row(row, [Fake(lambda r, call: r + (torch.arange(8) == 3))])
    assert only_reason(records) == "differs by 1, tolerance 0"


def test_truth_values_must_be_equal() -> None:
    class Sign(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return x > 0

    row = a_row(Sign, methods={"forward": ramp})
    assert {r.status for r in check_row(row, [Fake()])} == {"pass"}
    assert {r.status for r in check_row(row, [Fake(lambda r, call: ~r)])} == {"fail"}


def test_sqnr_is_signal_over_error_in_db() -> None:
    row = a_row(lambda: Scaled(1.0), methods={"forward": ramp})
    for record in check_row(row, [Fake(lambda r, call: r * (1 + 1e-4))]):
        assert record.sqnr_db == pytest.approx(80.0, abs=0.1)
    [example, _] = check_row(row, [Fake(lambda r, call: r + 1e-3 * (torch.arange(8) == 2))])
    power = float(ramp(Generator().manual_seed(0))[0].square().sum())
    assert example.sqnr_db == pytest.approx(10 * math.log10(power / 1e-6), abs=0.1)


def test_eager_that_is_not_finite_fails() -> None:
    row = a_row(lambda: Scaled(math.inf), methods={"forward": ramp})
    assert only_reason(check_row(row, [Fake()])) == "eager is not finite"


# Saving that leaves traces.


def change_weight(module: nn.Module) -> None:
    with torch.no_grad():
        module.linear.bias[0] += 1e-7


def test_saving_changes_a_copy_and_not_the_module() -> None:
    module = Plain().eval()
    before = module.linear.bias.detach().clone()
    changed: list[nn.Module] = []

    def changing(copy: nn.Module) -> None:
        change_weight(copy)
        changed.append(copy)

    records = check_row(a_row(lambda: module), [Fake(while_saving=changing)])
    assert {r.status for r in records} == {"pass"}
    assert torch.equal(module.linear.bias, before)
    assert changed and changed[0] is not module
    assert not torch.equal(changed[0].linear.bias, before)  # type: ignore[union-attr]


@pytest.mark.parametrize(
    "change", [lambda module: torch.rand(3), lambda module: module.linear.train()]
)
def test_random_state_and_modes_are_put_back_by_save(change: Callable[[nn.Module], object]) -> None:
    assert {r.status for r in check_row(a_row(), [Fake(while_saving=change)])} == {"pass"}


def test_traces_that_save_did_not_clear_fail(monkeypatch: pytest.MonkeyPatch) -> None:
    def careless(backend: Backend, source: Source, path: Path) -> None:
        backend.save(source, path)

    monkeypatch.setattr(check, "save", careless)
    for change in (lambda module: torch.rand(3), lambda module: module.linear.train()):
        reason = only_reason(check_row(a_row(), [Fake(while_saving=change)]))
        assert reason == "saving changed the module or the random state"


# No comparison.


def test_a_backend_that_is_not_installed_is_skipped_with_a_hint() -> None:
    class NotThere(Fake):
        package, extra = "no_such_package", "magic"

    for record in check_row(a_row(), [NotThere()]):
        assert record.status == "skipped"
        assert record.reason == (
            "no_such_package is not installed: pip install 'scriptable-speech[magic]'"
        )


def test_a_waiver_is_no_pass_and_names_the_issue() -> None:
    row = a_row(waivers={"fake": Waiver("has no kernel", "https://example.org/1")})
    for record in check_row(row, [Fake()]):
        assert record.status == "waived"
        assert record.reason == "has no kernel (https://example.org/1)"
    assert summary(check_row(row, [Fake()])) == {"waived": 2}


@pytest.mark.parametrize("on_device", [False, True])
def test_what_cannot_run_here_is_written_and_not_run(on_device: bool) -> None:
    class Elsewhere(Fake):
        runnable, not_run_reason = False, "runs on a device only"

        def load(self, path: Path) -> Artefact:
            raise AssertionError("must not be loaded")

    records = check_row(a_row(on_device=on_device), [Elsewhere()])
    assert len(records) == (2 if on_device else 0)
    for record in records:
        assert (record.status, record.reason) == ("not_run", "runs on a device only")
        assert record.bytes == 5


@pytest.mark.parametrize("name", LOWERED)
def test_the_real_ones_that_cannot_run_here_say_so(name: str) -> None:
    backend = usable(name)
    assert not backend.runnable and backend.not_run_reason
