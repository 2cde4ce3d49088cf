"""The battery: every row of the catalogue through every check that the contract promises.

Parity runs on all backends of this host; the other checks are eager and scripted. A new row
gets all of them by being there.
"""

import copy

import pytest
import torch
from torch import Tensor, nn

from export.backends import Inputs, flatten, select
from export.catalog import Row, rows
from export.parity.check import check_row, make_trials
from export.runtime.audio import read_waveform
from export.speech import HINT, speech_files

ROWS = rows()
DIFFERENTIABLE = [row for row in ROWS if row.differentiable and not row.detached]
PADDED = [row for row in ROWS if row.padding is not None]
TRAINED = [row for row in ROWS if list(row.build().parameters())]
HEARING = [row for row in ROWS if row.speech]


def by_id(row: Row) -> str:
    return row.id


@pytest.fixture(scope="module")
def speech() -> Tensor | None:
    files = speech_files()
    return read_waveform(files[0], 16000).waveform if files else None


@pytest.fixture(scope="module")
def runnable(pytestconfig: pytest.Config) -> list:
    asked = pytestconfig.getoption("--backend")
    return [b for b in select(asked) if asked or (b.runnable and not b.emulated)]


@pytest.mark.parametrize("row", ROWS, ids=by_id)
def test_saved_files_equal_eager(row: Row, runnable: list, speech: Tensor | None) -> None:
    """On real speech too where audio goes in; without it the test below says what was left out."""
    assert_parity(check_row(row, runnable, speech))


@pytest.mark.parametrize("row", HEARING, ids=by_id)
def test_real_speech_is_a_content_of_its_own(row: Row, speech: Tensor | None) -> None:
    if speech is None:
        pytest.skip(HINT)
    trials = {trial.content: trial for trial in make_trials(row, row.build(), speech)}
    for content in ("example", "other"):
        assert not torch.equal(trials["speech"].inputs[0], trials[content].inputs[0])
    assert all(bool(torch.isfinite(result).all()) for result in trials["speech"].expected)


def assert_parity(records: list) -> None:
    bad = [record for record in records if record.status not in ("pass", "waived")]
    lines = [f"{r.backend} {r.method} {r.content}: {r.status} {r.reason}" for r in bad]
    assert not bad, "\n".join(lines)
    assert any(record.status == "pass" for record in records)


@pytest.mark.parametrize("row", ROWS, ids=by_id)
def test_script_equals_eager_in_value_and_gradient(row: Row) -> None:
    module = row.build()
    scripted = torch.jit.script(module)
    names = [name for name, _ in module.named_parameters()]
    assert names == [name for name, _ in scripted.named_parameters()]
    for method in row.methods:
        inputs = row.draw(method, 2)
        expected, expected_gradients = run_with_gradients(row, module, method, inputs)
        actual, gradients = run_with_gradients(row, scripted, method, inputs)
        for result, reference in zip(actual, expected, strict=True):
            torch.testing.assert_close(result, reference, rtol=1e-6, atol=1e-6)
        assert gradients.keys() == expected_gradients.keys()
        for name, reference in expected_gradients.items():
            # Beside the largest, as a backend promises it: a state's gradients are in the hundreds.
            largest = max(1.0, float(reference.abs().max()))
            torch.testing.assert_close(gradients[name], reference, rtol=1e-5, atol=1e-6 * largest)


@pytest.mark.parametrize("row", DIFFERENTIABLE, ids=by_id)
def test_gradient_is_the_derivative(row: Row) -> None:
    """By the inputs and by every parameter."""
    module = row.build().double()
    inputs = as_float64(row.draw("forward", 3), row.differentiable)
    names = [name for name, _ in module.named_parameters()]

    def results(*given: Tensor) -> tuple[Tensor, ...]:
        parameters = dict(zip(names, given[len(inputs) :], strict=True))
        found = torch.func.functional_call(module, parameters, given[: len(inputs)])
        return tuple(r for r in flatten(found) if r.is_floating_point())

    assert torch.autograd.gradcheck(
        results,
        (*inputs, *module.parameters()),
        # So short a step that no maximum within changes its winner.
        eps=1e-8,
        # The finite difference is taken along one random direction: fast.
        fast_mode=True,
        raise_exception=True,
    )


@pytest.mark.parametrize("row", TRAINED, ids=by_id)
def test_training_moves_every_parameter(row: Row) -> None:
    """All but those that the row names, which the maths keeps still; the graph reaches them too."""
    module = row.build().double()
    _, gradients = run_with_gradients(row, module, "forward", as_float64(row.draw("forward", 3)))
    named = dict(module.named_parameters())
    assert row.idle.keys() | row.unused.keys() <= named.keys()
    assert not row.unused.keys() & gradients.keys(), "said to be unused, and the loss reaches it"
    for name in named.keys() - row.unused.keys():
        assert name in gradients, f"{name}: the loss does not reach it"
        size = float(gradients[name].abs().max())
        if name in row.idle:
            assert size < 1e-12, f"{name}: the row says that it is idle: {row.idle[name]}"
        else:
            # In float64 what is idle is below 1e-12; the deepest networks leave 1e-7 of the loss.
            assert size > 1e-9, f"{name}: its gradient is zero"


@pytest.mark.parametrize("row", PADDED, ids=by_id)
@pytest.mark.parametrize("garbage", [float("nan"), float("inf"), -1e30])
def test_garbage_in_padding_reaches_neither_value_nor_gradient(row: Row, garbage: float) -> None:
    assert row.padding is not None
    module = row.build()
    clean = list(row.draw("forward", 4))
    length = clean[row.padding.length].clone()
    length[0] = 0.0
    clean[row.padding.length] = length
    dirty = list(clean)
    for index in row.padding.inputs:
        dirty[index] = fill_padding(clean[index], length, garbage)
    expected, expected_gradients = run_with_gradients(row, module, "forward", tuple(clean))
    actual, gradients = run_with_gradients(row, module, "forward", tuple(dirty))
    assert gradients.keys() == expected_gradients.keys()
    pairs = zip(
        (*actual, *gradients.values()), (*expected, *expected_gradients.values()), strict=True
    )
    for result, reference in pairs:
        assert bool(torch.isfinite(result).all())
        torch.testing.assert_close(result, reference, rtol=0, atol=0)


@pytest.mark.parametrize("row", ROWS, ids=by_id)
def test_forward_leaves_inputs_and_state_as_they_were(row: Row) -> None:
    module = row.build()
    before = copy.deepcopy(module.state_dict())
    for method in row.methods:
        inputs = row.draw(method, 5)
        kept = tuple(x.clone() for x in inputs)
        with torch.no_grad():
            getattr(module, method)(*inputs)
        assert all(map(torch.equal, inputs, kept))
    after = module.state_dict()
    assert before.keys() == after.keys()
    assert all(torch.equal(before[name], after[name]) for name in before)


@pytest.mark.parametrize("row", ROWS, ids=by_id)
def test_a_script_has_the_whole_state(row: Row) -> None:
    # What is missing there is neither saved by state_dict nor moved to another device or dtype.
    state, scripted = row.build().state_dict(), torch.jit.script(row.build()).state_dict()
    assert state.keys() == scripted.keys()
    assert all(torch.equal(state[name], scripted[name]) for name in state)


@pytest.mark.parametrize("row", [row for row in ROWS if "score" in row.methods], ids=by_id)
def test_score_of_a_batch_equals_the_scores_of_its_items(row: Row) -> None:
    module = row.build().double()
    inputs = as_float64(row.draw("score", 6))
    with torch.no_grad():
        whole = flatten(module.score(*inputs))[0]
        items = [flatten(module.score(*only(inputs, row.score_batch, i)))[0] for i in range(2)]
    torch.testing.assert_close(whole[:2], torch.cat(items), rtol=1e-10, atol=1e-10)


def only(inputs: Inputs, batched: int, item: int) -> Inputs:
    """The inputs with one item left in the batched one."""
    return (*inputs[:batched], inputs[batched][item : item + 1], *inputs[batched + 1 :])


def run_with_gradients(
    row: Row, module: nn.Module, method: str, inputs: Inputs
) -> tuple[Inputs, dict[str, Tensor]]:
    """Results, and the gradients of a weighted sum of them, of what the graph reaches, by name.

    By all parameters, and by the differentiable inputs of ``forward``.
    """
    wanted = row.differentiable if method == "forward" else ()
    leaves = [
        x.detach().clone().requires_grad_(i in wanted and x.is_floating_point())
        for i, x in enumerate(inputs)
    ]
    results = flatten(getattr(module, method)(*leaves))
    named = {f"input {i}": x for i, x in enumerate(leaves) if x.requires_grad}
    named |= dict(module.named_parameters())
    # A plain sum would hide a gradient where the results of a method add up to a constant.
    total = sum(
        (r * torch.linspace(0.5, 1.5, r.numel(), dtype=r.dtype).reshape(r.shape)).sum()
        for r in results
        if r.requires_grad
    )
    found: tuple[Tensor | None, ...] = ()
    if isinstance(total, Tensor):
        found = torch.autograd.grad(total, list(named.values()), allow_unused=True)
    gradients = {name: g for name, g in zip(named, found, strict=False) if g is not None}
    return tuple(r.detach() for r in results), gradients


def as_float64(inputs: Inputs, differentiable: tuple[int, ...] = ()) -> Inputs:
    return tuple(
        x.double().requires_grad_(i in differentiable) if x.is_floating_point() else x
        for i, x in enumerate(inputs)
    )


def fill_padding(x: Tensor, length: Tensor, garbage: float) -> Tensor:
    """``x [B, T, *]`` with everything beyond the lengths replaced; integers are left alone."""
    if not x.is_floating_point():
        return x
    frames = x.shape[1]
    beyond = torch.arange(frames) >= torch.floor(length * frames + 0.5).unsqueeze(1)
    return x.masked_fill(beyond.reshape(*beyond.shape, *[1] * (x.dim() - 2)), garbage)
