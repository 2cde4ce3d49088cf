"""Sharded heads equal the single-process ones, with two and with four gloo processes."""

from typing import Any

import pytest
import torch
import torch.multiprocessing as mp
from sharded_helpers import run_rank
from toolkits import deviation

from scriptable import AAMSoftmax, ArcMarginProduct_intertopk_subcenter, GE2ELoss
from scriptable.heads.sharded import class_range

TOLERANCE = {torch.float64: 1e-10, torch.float32: 1e-5}
HEADS = {
    "inter-top-k": (11, {}),
    "more top than classes": (5, {"k_top": 7, "K": 2}),
    "AAM": (9, {"K": 1, "k_top": 0, "fallback": "sine", "scale": 15.0}),
}
CRITERIA: dict[str, dict[str, Any]] = {
    "softmax": {},
    "contrast": {"loss_method": "contrast"},
    "floor": {"similarity_floor": 1e-6},
    "mean": {"reduction": "mean"},
}
Results = dict[tuple[str, torch.dtype], tuple[dict[str, Any], list[dict[str, Any]]]]


def make_jobs() -> dict[tuple[str, torch.dtype], dict[str, Any]]:
    """Inputs drawn anew; all go through one start of the processes, which takes seconds."""
    jobs = {}
    for dtype in TOLERANCE:
        for name, (classes, config) in HEADS.items():
            jobs[name, dtype] = {
                "kind": "head",
                "inputs": torch.randn(8, 6, dtype=dtype),
                "labels": torch.randint(classes, (8, 1)),
                "weight": torch.randn(classes * config.get("K", 3), 6, dtype=dtype),
                "margin": 0.3,
                "classes": classes,
                "config": config,
            }
        for name, config in CRITERIA.items():
            inputs = torch.randn(8, 3, 6, dtype=dtype)
            jobs[name, dtype] = {"kind": "ge2e", "inputs": inputs, "config": config}
    return jobs


@pytest.fixture(scope="module", params=[2, 4], ids=["two", "four"])
def results(request: Any, tmp_path_factory: pytest.TempPathFactory) -> Results:
    ranks, folder = request.param, tmp_path_factory.mktemp("ranks")
    jobs = make_jobs()
    mp.spawn(run_rank, args=(ranks, str(folder), list(jobs.values())), nprocs=ranks)
    by_rank = [torch.load(folder / f"{rank}.pt") for rank in range(ranks)]
    return {
        name: (job, [found[index] for found in by_rank])
        for index, (name, job) in enumerate(jobs.items())
    }


@pytest.mark.parametrize("dtype", TOLERANCE)
@pytest.mark.parametrize("name", HEADS)
def test_a_sharded_head_equals_the_whole_one(results: Results, name, dtype) -> None:
    job, found = results[name, dtype]
    head: Any = AAMSoftmax(6, job["classes"])
    if name != "AAM":
        head = ArcMarginProduct_intertopk_subcenter(6, job["classes"], **job["config"])
    head = head.to(dtype)
    head.load_state_dict({"weight": job["weight"]})
    if name != "AAM":
        head.mp.fill_(0.06)
    head.update(job["margin"])
    leaf = job["inputs"].clone().requires_grad_()
    loss = head(leaf, job["labels"])
    loss.backward()
    tolerance = TOLERANCE[dtype]
    for result in found:
        assert deviation(result["loss"], loss.detach()) <= tolerance
        assert deviation(result["score"], head.score(job["inputs"]).detach()) <= tolerance
        assert torch.equal(result["state"]["weight"], job["weight"])
        assert deviation(result["state"]["margin"], head.margin) == 0.0
    assert deviation(torch.cat([r["inputs"] for r in found]), leaf.grad) <= tolerance
    assert deviation(torch.cat([r["weight"] for r in found]), head.weight.grad) <= tolerance


@pytest.mark.parametrize("dtype", TOLERANCE)
@pytest.mark.parametrize("name", CRITERIA)
def test_ge2e_over_gathered_batches_equals_one_process(results: Results, name, dtype) -> None:
    job, found = results[name, dtype]
    criterion = GE2ELoss(**job["config"]).to(dtype)
    leaf = job["inputs"].clone().requires_grad_()
    loss = criterion(leaf)
    loss.backward()
    tolerance = TOLERANCE[dtype]
    for result in found:
        assert deviation(result["loss"], loss.detach()) <= tolerance
        assert deviation(result["w"], criterion.w.grad) <= tolerance
        assert deviation(result["b"], criterion.b.grad) <= tolerance
    assert deviation(torch.cat([r["inputs"] for r in found]), leaf.grad) <= tolerance


@pytest.mark.parametrize(("classes", "ranks"), [(11, 4), (4, 4), (7, 2)])
def test_every_class_is_on_one_rank(classes, ranks) -> None:
    ranges = [class_range(classes, rank, ranks) for rank in range(ranks)]
    held = [c for first, end in ranges for c in range(first, end)]
    assert held == list(range(classes))
    assert max(e - f for f, e in ranges) - min(e - f for f, e in ranges) <= 1
