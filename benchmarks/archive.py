"""Bulk scoring against its own parts, and pairs against a bare matrix product.

Run as ``python -m benchmarks.archive``: prints the figures of docs/bulk.md and writes them to
``build/archive.json``. Takes some minutes; the machine must be quiet.
"""

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Annotated, Any, Optional

import typer

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)

_TURNS = 3
_ENVIRONMENT = {**os.environ, "OMP_NUM_THREADS": "1"}
_ALONE = """
import sys, time
from pathlib import Path
from export.backends import backend_of
from export.runtime.scorer import load_scorer

artefact, listed = map(Path, sys.argv[1:])
backend_of(artefact).use_one_thread()
scorer = load_scorer(artefact)
paths = [Path(line) for line in listed.read_text().splitlines()]
scorer.score_file(paths[0])
start = time.perf_counter()
for path in paths:
    scorer.score_file(path)
print((time.perf_counter() - start) / len(paths))
"""


def _bulk(*arguments: object) -> list[str]:
    return [sys.executable, "-m", "export", "bulk", *map(str, arguments)]


def _alone(artefact: Path, listed: Path) -> float:
    """Seconds a recording for ``score_file`` and nothing else."""
    words = [sys.executable, "-W", "ignore", "-c", _ALONE, str(artefact), str(listed)]
    ran = subprocess.run(words, env=_ENVIRONMENT, check=True, capture_output=True, text=True)
    return float(ran.stdout.splitlines()[-1])


def _whole(artefact: Path, listed: Path, out: Path, jobs: int) -> dict[str, Any]:
    words = _bulk(artefact, listed, "--out", out, "--jobs", jobs)
    subprocess.run(words, env=_ENVIRONMENT, check=True, capture_output=True)
    found: dict[str, Any] = json.loads((out / "summary.json").read_text())
    return found


def throughput(artefact: Path, recordings: list[Path], folder: Path) -> dict[str, Any]:
    """The command with one and two workers, against the loop over ``score_file``.

    All three take turns, and the best of each counts: a machine is never equally fast for long.
    """
    listed = folder / "list.txt"
    listed.write_text("".join(f"{path}\n" for path in recordings))
    alone, one, two = [], [], []
    for turn in range(_TURNS):
        alone.append(_alone(artefact, listed))
        one.append(_whole(artefact, listed, folder / f"one{turn}", 1))
        two.append(_whole(artefact, listed, folder / f"two{turn}", 2))
    by_itself = min(alone)
    rates = [[run["this_start"]["recordings_per_second"] for run in runs] for runs in (one, two)]
    single, double = map(max, rates)
    stages = one[rates[0].index(single)]["seconds_by_stage"]
    return {
        "recordings": len(recordings),
        "audio_hours": one[0]["audio_hours"],
        "alone_ms": [1e3 * seconds for seconds in alone],
        "stages_ms": {k: 1e3 * v / len(recordings) for k, v in stages.items()},
        "one_worker_per_s": rates[0],
        "two_workers_per_s": rates[1],
        "of_alone": single * by_itself,
        "overhead_ms": 1e3 * (1 / single - by_itself),
        "speed_up_of_two": double / single,
        "megabytes_per_worker": [
            max(run["this_start"]["megabytes_per_worker"] for run in runs) for runs in (one, two)
        ],
    }


def start_of(artefact: Path, recordings: list[Path], rows: int, folder: Path) -> float:
    """Seconds from the command to its first shard, of ten recordings, with a long manifest."""
    manifest, out = folder / f"{rows}.csv", folder / f"start{rows}"
    with manifest.open("w") as file:
        file.write("path,speaker,key\n")
        for n in range(rows):
            path = recordings[n] if n < 10 else f"/archive/part{n % 100:03}/recording{n:09}.wav"
            file.write(f"{path},s{n % 5000},spoof\n")
    words = _bulk(artefact, manifest, "--out", out, "--jobs", 1, "--shard-rows", 10)
    start = time.perf_counter()
    process = subprocess.Popen(
        words,
        env=_ENVIRONMENT,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    while process.poll() is None and not list((out / "shards").glob("*.parquet")):
        time.sleep(0.005)
    seconds = time.perf_counter() - start
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    return seconds


def pairs(rows: int, columns: int, size: int, cohort: int) -> dict[str, Any]:
    """Scoring all pairs of two sets by their numbers, in blocks, against the matrix product."""
    import torch

    from export.bulk.trials import BLOCK, PairScorer

    torch.manual_seed(0)
    vectors = torch.nn.functional.normalize(torch.randn(rows + columns, size))
    impostors = torch.nn.functional.normalize(torch.randn(cohort, size))

    def bare() -> None:
        for some in vectors[:rows].split(step):
            some @ vectors[rows:].T

    step = max(1, BLOCK // columns)
    others = torch.arange(rows, rows + columns, dtype=torch.int32)
    crossed = [
        (some.repeat_interleave(columns), others.repeat(len(some)))
        for some in torch.arange(rows, dtype=torch.int32).split(step)
    ]
    shuffled = [(a[order], b[order]) for a, b in crossed for order in [torch.randperm(len(a))]]

    def ours(scorer: PairScorer, blocks: Any) -> None:
        for enrol, test in blocks:
            scorer.score(enrol, test)

    normalised = PairScorer(vectors, impostors, 300)
    start = time.perf_counter()
    normalised._learn(torch.arange(len(vectors)))
    learned = time.perf_counter() - start
    plain = PairScorer(vectors)
    best = _best(bare)
    ratios = {
        f"{name}_{order}_of_matmul": best / _best(lambda s=scorer, b=blocks: ours(s, b))  # type: ignore[misc]
        for name, scorer in (("cosine", plain), ("as_norm", normalised))
        for order, blocks in (("crossed", crossed), ("shuffled", shuffled))
    }
    few = [tuple(torch.randint(len(vectors), (2, 1 << 18), dtype=torch.int32))]
    sparse = _best(lambda: ours(plain, few))
    count = rows * columns
    return {
        "pairs": count,
        "embedding_dim": size,
        "cohort": cohort,
        "threads": torch.get_num_threads(),
        "matmul_pairs_per_s": count / best,
        **ratios,
        "scattered_pairs_per_s": (1 << 18) / sparse,
        "cohort_recordings_per_s": len(vectors) / learned,
    }


def lists(folder: Path, rows: int = 1000, columns: int = 2000, size: int = 192) -> dict[str, float]:
    """Pairs a second from a list in a file to scores in a file, as text and as Parquet."""
    import pyarrow as arrow
    import pyarrow.csv
    import pyarrow.parquet
    import torch

    from export.bulk.trials import read_embeddings, score_pairs

    run = folder / "voices"
    (run / "shards").mkdir(parents=True)
    scoring = {"backend": "cosine", "normalisation": "none", "top_n": 0}
    contract = {"scoring": scoring, "decision": {"scale": 1.0, "offset": 0.0}}
    document = {"artefact": "", "task": "verification", "contract": contract}
    (run / "run.json").write_text(json.dumps(document))
    names = [f"recording{n:06}" for n in range(rows + columns)]
    vectors = torch.nn.functional.normalize(torch.randn(rows + columns, size))
    column = arrow.FixedSizeListArray.from_arrays(vectors.view(-1).numpy(), size)
    table = arrow.table({"path": names, "embedding": column})
    arrow.parquet.write_table(table, run / "shards" / "00000000.parquet")
    enrol = [name for name in names[:rows] for _ in range(columns)]
    listed = arrow.table({"enrol": enrol, "test": names[rows:] * rows})
    arrow.parquet.write_table(listed, folder / "pairs.parquet")
    plain = arrow.csv.WriteOptions(include_header=False, delimiter=" ", quoting_style="none")
    arrow.csv.write_csv(listed, folder / "pairs.txt", plain)
    embeddings = read_embeddings(run)
    found = {}
    for kind in ("txt", "parquet"):
        source, target = folder / f"pairs.{kind}", folder / f"scores.{kind}"
        start = time.perf_counter()
        done = score_pairs(embeddings, source, target, None, None)
        found[f"{kind}_pairs_per_s"] = done.pairs / (time.perf_counter() - start)
    return found


def _best(work: Any, rounds: int = 5) -> float:
    times = []
    for _ in range(rounds):
        start = time.perf_counter()
        work()
        times.append(time.perf_counter() - start)
    return min(times)


def _artefact(folder: Path) -> Path:
    """The scorer that the demo trains, untrained, with a contract."""
    import torch

    from export.backends import Source, all_backends, save
    from export.runtime.contract import Audio, Contract, Decision, Windows, weights_sha256
    from scriptable import LFCC, LightCNN, OCSoftmax, ScorePipeline

    torch.manual_seed(0)
    frontend = LFCC(n_lfcc=20, n_filter=20, log_lf=True, deltas=2)
    scorer = ScorePipeline(frontend, LightCNN(60, 64), OCSoftmax(64), num_samples=64600).eval()
    contract = Contract(
        model="benchmark",
        audio=Audio(sample_rate=16000),
        windows=Windows(num_samples=64600, hop=32300),
        decision=Decision(scale=1, offset=0, prior=0.5, threshold=0, operating_point="none"),
        versions={},
        weights_sha256=weights_sha256(scorer.state_dict()),
    )
    window = {"forward": (0.1 * torch.randn(1, 64600),)}
    path = folder / "scorer.xnnpack.pte"
    source = Source(scorer, window, contract.model_dump_json(indent=1))
    save(all_backends()["executorch_xnnpack"], source, path)
    return path


def _recordings(count: int, folder: Path) -> list[Path]:
    """Links to real speech, as often as it takes, so that each has a path of its own."""
    from export.speech import HINT, speech_files

    found = speech_files()
    if not found:
        typer.echo(HINT, err=True)
        raise typer.Exit(2)
    links = []
    for n in range(count):
        source = found[n % len(found)]
        links.append(folder / f"{n:06}{source.suffix}")
        links[-1].symlink_to(source.resolve())
    return links


@app.command()
def run(
    recordings: Annotated[int, typer.Option(help="How many to score.")] = 1000,
    manifest: Annotated[int, typer.Option(help="Rows of the long manifest.")] = 1_000_000,
    artifact: Annotated[
        Optional[Path], typer.Option(help="A saved scorer; by default the demo's, untrained.")
    ] = None,
    out: Annotated[Path, typer.Option(help="Where the JSON goes.")] = Path("build/archive.json"),
) -> None:
    """Measure what docs/bulk.md says."""
    import torch

    from export.files import replacing

    torch.set_num_threads(1)
    found: dict[str, Any] = {"load": os.getloadavg(), "processors": os.cpu_count()}
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        artefact = artifact or _artefact(folder)
        paths = _recordings(recordings, folder)
        found["throughput"] = throughput(artefact, paths, folder)
        found["lists"] = lists(folder)
        found["start_s"] = {n: start_of(artefact, paths, n, folder) for n in (100, manifest)}
    found["pairs"] = [pairs(1000, 10_000, size, 2000) for size in (192, 512)]
    found["load_after"] = os.getloadavg()
    with replacing(out) as made:
        made.write_text(json.dumps(found, indent=1) + "\n")
    typer.echo(json.dumps(found, indent=1))


if __name__ == "__main__":
    app()
