"""The HTML report: complete, escaped, self-contained, and whole for every input."""

import math
import re
import sys
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import pytest
import torch

from export.errors import MissingPackageError
from export.parity.record import Record, Status
from export.report import plots
from export.report.page import Report, Trials, render, write_html
from export.report.result import ArtefactSummary
from export.runtime.contract import Audio, Contract, Decision, Windows

_VOID = {"meta", "br", "wbr", "hr", "img", "link", "input", "col"}
_HOSTILE = "<script>alert(1)</script> \"'&{{ 7*7 }}</style>]]>"


class _Page(HTMLParser):
    """Checks that tags balance, and collects ids, attributes and text."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text: list[str] = []
        self.feed(html)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert len(dict(attrs)) == len(attrs), f"{tag} repeats an attribute"
        self.tags.append((tag, dict(attrs)))
        if tag not in _VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag
        self.text.append("" if tag in ("code", "b", "span") else " ")

    def handle_data(self, data: str) -> None:
        if not self.open or self.open[-1] != "style":
            self.text.append(data)

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.tags if name == tag]

    def words(self) -> str:
        return " ".join("".join(self.text).split())


def _record(
    backend: str = "lite", status: Status = "pass", error: float | None = 1e-7, **more: object
) -> Record:
    fields: dict = {"entry": "mse_loss", "variant": "lengths", "method": "forward"}
    fields |= {"content": "example", "reason": "", "max_abs_error": error}
    fields |= {"tolerance": None if error is None else 1e-5}
    return Record(backend=backend, status=status, **{**fields, **more})


def _contract(**decision: object) -> Contract:
    values: dict = {"scale": 2.0, "offset": -0.5, "prior": 0.5, "threshold": 0.25}
    values |= {"operating_point": "EER on 40 recordings", **decision}
    return Contract(
        model="LogMel + Encoder + OCSoftmax",
        audio=Audio(sample_rate=16000),
        windows=Windows(num_samples=64000, hop=32000),
        decision=Decision(**values),
        versions={"torch": "2.14.1"},
        weights_sha256="0f" * 32,
    )


def _trials(count: int = 40, gap: float = 1.0) -> Trials:
    generator = torch.Generator().manual_seed(0)
    labels = torch.arange(count) % 2
    scores = torch.randn(count, generator=generator) + gap * labels
    return Trials(scores, 2.0 * scores - 0.5, labels)


def _full() -> Report:
    return Report(
        title="Demo",
        records=[
            _record(),
            _record(content="other", error=4e-6),
            _record("coreml", "waived", None, reason="no op (https://example.org/issues/7)"),
            _record("trace", "fail", 3e-5, reason="differs by 3e-05, tolerance 1e-05"),
            _record("trace", "fail", 3e-5, content="other", reason="also wrong"),
            _record("executorch_vulkan", "not_run", None, reason="runs on a device only"),
            _record("torch_export", "skipped", None, reason="not installed"),
        ],
        versions={"torch": "2.14.1"},
        artefacts=[
            ArtefactSummary("scorer.ptl", "lite", 123456, 3.0),
            ArtefactSummary("scorer.vulkan.pte", "executorch_vulkan", 99, None, "no device"),
        ],
        eager_ms=2.0,
        contract=_contract(),
        trials=_trials(),
        notes=["The corpus is synthetic."],
    )


@pytest.mark.parametrize(
    "absent",
    [
        {},
        {"artefacts": ()},
        {"eager_ms": None},
        {"eager_ms": 0.0},
        {"contract": None},
        {"trials": None},
        {"trials": None, "contract": None},
        {"notes": ()},
        {"records": ()},
        {"records": (), "versions": {}, "artefacts": (), "trials": None, "contract": None},
    ],
)
def test_every_part_may_be_absent(absent: dict) -> None:
    report = replace(_full(), **absent)
    page = _Page(render(report))
    headings = {a.get("id") for a in page.all("h2")}
    assert ("artefacts" in headings) == bool(report.artefacts)
    assert ("trials" in headings) == (report.trials is not None)
    assert ("contract" in headings) == (report.contract is not None)
    assert ("notes" in headings) == bool(report.notes)


def test_verdict_counts_a_waiver_as_no_pass() -> None:
    words = _Page(render(_full())).words()
    assert "2 of 7 comparisons pass" in words
    assert "2 fail: not every artefact equals eager" in words
    for tile in ("✓ 2 pass", "✗ 2 fail", "⚑ 1 waived", "– 1 skipped", "○ 1 not run"):
        assert tile in words


@pytest.mark.parametrize(
    ("records", "expected"),
    [
        ([_record()], "Every artefact equals eager PyTorch within its tolerance."),
        ([_record(), _record("a", "not_run", None)], "No comparison fails. Not proven: 1 not run."),
        ([_record("a", "skipped", None)], "Nothing was compared."),
        ([], "Nothing was compared."),
    ],
)
def test_verdict_words(records: list[Record], expected: str) -> None:
    assert expected in _Page(render(Report("T", records, {}))).words()


def test_a_cell_shows_its_worst_content_in_words_and_numbers() -> None:
    html = render(_full())
    assert re.search(
        r'class="pass-3"[^>]*>.{0,60}✓</span> <span class="say">pass</span><small>4e-6 / 1e-5', html
    )
    assert re.search(
        r'class="fail-1"[^>]*>.{0,60}✗</span> <a href="#fail-1"><span class="say">fail</span></a>',
        html,
    )
    page = _Page(html)
    assert {"fail-1", "fail-2"} <= {a.get("id") for a in page.all("tr")}
    for reason in ("differs by 3e-05, tolerance 1e-05", "also wrong", "runs on a device only"):
        assert reason in page.words()


def test_a_failing_cell_does_not_show_the_numbers_of_a_passing_content() -> None:
    records = [_record(), _record("lite", "fail", None, content="other", reason="crashed")]
    html = render(Report("T", records, {}))
    assert "<small>no number</small>" in html
    assert "1e-7 /" not in html
    assert "example: pass, error 1e-7; other: fail" in html


@pytest.mark.parametrize(
    ("error", "tolerance", "shade"),
    [
        (0.0, 0.0, "pass-1"),
        (0.0, 1e-5, "pass-1"),
        (9e-7, 1e-5, "pass-2"),
        (1e-5, 1e-5, "pass-4"),
        (2e-5, 1e-5, "fail-1"),
        (1.0, 0.0, "fail-2"),
        (math.inf, 1e-5, "fail-2"),
        (None, None, "fail-2"),
    ],
)
def test_shade_follows_error_over_tolerance(
    error: float | None, tolerance: float | None, shade: str
) -> None:
    status: Status = "pass" if shade.startswith("pass") else "fail"
    html = render(Report("T", [_record("lite", status, error, tolerance=tolerance)], {}))
    assert f'<td class="{shade}"' in html


def test_rows_with_failures_come_first() -> None:
    records = [_record(entry="fine"), _record("lite", "fail", 1.0, entry="broken", reason="x")]
    words = _Page(render(Report("T", records, {}))).words()
    assert words.index("broken[lengths].forward") < words.index("fine[lengths].forward")


def test_hostile_strings_are_text() -> None:
    h = _HOSTILE
    fields = {"entry": h, "variant": h, "method": h, "reason": h}
    report = Report(
        title=h,
        records=[_record(h, s, None, **fields) for s in ("fail", "waived", "skipped", "pass")],
        versions={h: h},
        artefacts=[ArtefactSummary(h, h, 1, None, h)],
        contract=_contract(operating_point=h),
        notes=[h, "javascript:alert(1)", "caf\udce9"],
    )
    html = render(report)
    page = _Page(html)
    assert not page.all("script")
    assert "<script" not in html
    assert page.words().count("alert(1)</script>") >= 10
    assert "{{ 7*7 }}" in page.words()


def test_page_is_self_contained() -> None:
    html = render(_full())
    page = _Page(html)
    for tag, attributes in page.tags:
        assert "src" not in attributes
        for name in ("href", "xlink:href"):
            if name in attributes and tag != "a":
                assert str(attributes[name]).startswith("#"), (tag, attributes)
    assert not page.all("link") and not page.all("script")
    assert "@import" not in html
    assert all(part.startswith("#") for part in re.findall(r"url\(([^)]*)\)", html))
    links = [a["href"] for a in page.all("a") if not str(a["href"]).startswith("#")]
    assert links == ["https://example.org/issues/7"]


def test_page_is_accessible() -> None:
    page = _Page(render(_full()))
    assert page.all("html")[0]["lang"] == "en"
    ids = [a["id"] for _, a in page.tags if "id" in a]
    assert len(ids) == len(set(ids))
    for _, attributes in page.tags:
        names = [str(attributes.get("href", "#main")).removeprefix("#")]
        names += str(attributes.get("aria-labelledby", "main")).split()
        assert all(name in ids for name in names if not name.startswith("http")), attributes
    assert page.all("a")[0]["href"] == "#main"
    assert len(page.all("caption")) == len(page.all("table"))
    assert all(a.get("scope") in ("col", "row", "rowgroup") for a in page.all("th"))
    assert len(page.all("svg")) == len(page.all("title")) - 1 == len(page.all("desc")) == 3
    scrollers = [a for a in page.all("div") if "scroll" in str(a.get("class", "")).split()]
    assert all(a.get("tabindex") == "0" and a.get("aria-label") for a in scrollers)
    labels = {str(a["aria-label"]) for a in scrollers}
    assert len(labels) == len(scrollers)
    assert not labels & set(re.findall(r"<h2[^>]*>([^<]*)</h2>", render(_full())))


def _luminance(colour: str) -> float:
    parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


@pytest.mark.parametrize("scheme", [0, 1], ids=["light", "dark"])
def test_text_has_contrast(scheme: int) -> None:
    blocks = re.findall(r":root \{(.*?)\}", render(_full()), flags=re.DOTALL)
    colours = dict(re.findall(r"--([\w-]+): (#\w{6})", blocks[scheme]))

    def contrast(one: str, other: str) -> float:
        high, low = sorted((_luminance(colours[one]), _luminance(colours[other])), reverse=True)
        return (high + 0.05) / (low + 0.05)

    grounds = ["paper", "panel", "waived", "stripe", "idle", *(f"pass-{i}" for i in range(1, 5))]
    pairs = [("ink", ground) for ground in grounds]
    pairs += [(text, ground) for text in ("muted", "link") for ground in ("paper", "panel")]
    pairs += [("on-fail", "fail-1"), ("on-fail", "fail-2")]
    assert {pair: contrast(*pair) for pair in pairs if contrast(*pair) < 4.5} == {}
    lines = [(name, "paper") for name in ("bonafide", "spoof", "mark", "focus", "fail-edge")]
    assert {pair: contrast(*pair) for pair in lines if contrast(*pair) < 3.0} == {}


def test_artefacts_show_size_latency_and_ratio() -> None:
    words = _Page(render(_full())).words()
    assert "lite scorer.ptl 123 kB 3 ms 1.50×" in words
    assert "executorch_vulkan scorer.vulkan.pte 99 B — — no device" in words


def test_contract_is_readable() -> None:
    words = _Page(render(_full())).words()
    for text in (
        "Mono waveform at 16000 Hz, in windows of 64000 samples (4 s), one every 32000 samples.",
        "LLR = 2 · score − 0.5 nats.",
        "Bona fide when LLR ≥ 0.25, else spoof (EER on 40 recordings).",
        "sinc_interp_hann",
        "0f" * 32,
    ):
        assert text in words


@pytest.mark.parametrize(
    ("scores", "labels"),
    [
        ([], []),
        ([0.5], [1]),
        ([0.5, 0.7, 0.9], [0, 0, 0]),
        ([0.1, 0.9], [0, 1]),
        ([0.9, 0.1], [0, 1]),
        ([0.5, 0.5, 0.5], [0, 1, 1]),
        ([0.1, math.nan, 0.9], [0, 1, 1]),
        ([-math.inf, 0.0, math.inf], [0, 0, 1]),
        ([math.inf, -math.inf], [0, 1]),
        ([-1e4, 1e4, 1e-30], [0, 1, 1]),
        ([1e30, 1e30], [0, 1]),
        ([0.1, 0.9], [0, 2]),
    ],
)
@pytest.mark.parametrize("threshold", [0.25, 1e30, -50.0])
def test_odd_trials_do_not_crash(scores: list[float], labels: list[int], threshold: float) -> None:
    values = torch.tensor(scores)
    trials = Trials(values, 2 * values, torch.tensor(labels, dtype=torch.int64))
    html = render(Report("T", [], {}, contract=_contract(threshold=threshold), trials=trials))
    assert "nan" not in "".join(re.findall(r"<svg.*?</svg>", html, flags=re.DOTALL))
    words = _Page(html).words()
    assert ("Equal error rate" in words) != ("No error rates" in words)


def test_error_rates_are_those_of_the_trials() -> None:
    trials = Trials(torch.tensor([0.1, 0.4, 0.3, 0.8]), torch.zeros(4), torch.tensor([0, 0, 1, 1]))
    words = _Page(render(Report("T", [], {}, contract=_contract(), trials=trials))).words()
    assert "Equal error rate 50.00%" in words
    assert "Cllr of the calibrated LLR 1.000 bit" in words
    assert "Bona fide rejected at the contract's threshold 100.00% (2 of 2)" in words
    assert "Spoof accepted at the contract's threshold 0.00% (0 of 2)" in words


def test_separated_classes_say_so() -> None:
    words = _Page(render(replace(_full(), trials=_trials(gap=50.0)))).words()
    assert "Equal error rate 0.00%" in words
    assert "fully separated" in words


def test_output_is_deterministic_and_leaves_matplotlib_as_it_was() -> None:
    import matplotlib

    before = dict(matplotlib.rcParams)
    assert render(_full()) == render(_full())
    assert dict(matplotlib.rcParams) == before


def test_plots_follow_the_theme() -> None:
    html = render(_full())
    for svg in re.findall(r"<svg.*?</svg>", html, flags=re.DOTALL):
        colours = set(re.findall(r"(?<!, )#[0-9a-f]{6}\b", svg)) - {"#ffffff"}
        assert colours == set()
        assert "var(--ink" in svg


def test_many_trials_stay_small() -> None:
    assert len(render(Report("T", [], {}, trials=_trials(60_000)))) < 600_000


@pytest.mark.parametrize("package", ["jinja2", "matplotlib"])
def test_missing_package_names_the_extra(
    package: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(
        MissingPackageError, match=rf"{package}.*pip install 'scriptable-speech\[cli\]'"
    ):
        write_html(_full(), tmp_path / "report.html")
    assert list(tmp_path.iterdir()) == []


def test_write_replaces_whole_files_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "new" / "report.html"
    write_html(replace(_full(), notes=["file caf\udce9.wav"]), path)
    first = path.read_text("utf-8")
    assert first.startswith("<!doctype html>")
    monkeypatch.setattr(Path, "write_bytes", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        write_html(_full(), path)
    assert path.read_text("utf-8") == first
    assert [p.name for p in path.parent.iterdir()] == ["report.html"]


def test_figures_can_be_saved_as_png(tmp_path: Path) -> None:
    trials = _trials()
    figure = plots.det_figure(trials.llrs, trials.labels, 0.25)
    figure.savefig(tmp_path / "det.png")
    assert (tmp_path / "det.png").stat().st_size > 1000
