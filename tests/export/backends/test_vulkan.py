"""Lowering for Vulkan with the pattern graphs kept from one lowering to the next."""

from pathlib import Path

import pytest
from artefact_helpers import usable

from export import backends
from export.backends import Source
from export.catalog import find


def test_kept_pattern_graphs_give_the_same_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    backend = usable("executorch_vulkan")
    [row] = find(["cosine_score"])[:1]
    source = Source(row.build(), {name: row.draw(name, 0) for name in row.methods})
    for name in ("first", "again"):
        backends.save(backend, source, tmp_path / f"{name}.vulkan.pte")
    from executorch.backends.vulkan.patterns import fusable_patterns

    makers = {n: e.get_graphs_fn for n, e in fusable_patterns.items() if e.get_graphs_fn}
    assert makers
    assert all(maker.cache_info().hits > 0 for maker in makers.values())
    for name, maker in makers.items():
        monkeypatch.setattr(fusable_patterns[name], "get_graphs_fn", maker.__wrapped__)
    backends.save(backend, source, tmp_path / "anew.vulkan.pte")
    contents = {path.read_bytes() for path in tmp_path.iterdir()}
    assert len(list(tmp_path.iterdir())) == 3
    assert len(contents) == 1
