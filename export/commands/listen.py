"""``python -m export listen``."""

import json
import sys
from collections.abc import Iterator
from dataclasses import asdict
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Annotated, Any

import typer

from export.commands._app import app, note, out
from export.commands.score import TRUST
from export.errors import InputError
from export.text import printable

_EXPECTED = "pipe in 16-bit PCM, mono, without a header"
# Of a WAV file, which would be heard as a click, and of what is compressed, as noise.
_HEADERS = (b"RIFF", b"RF64", b"fLaC", b"OggS")


@app.command()
def listen(
    artifact: Annotated[Path, typer.Argument(help="A saved scorer, of any backend.")],
    as_json: Annotated[
        bool, typer.Option("--json", help="Print one JSON object for each chunk.")
    ] = False,
    trust: Annotated[bool, TRUST] = False,
) -> None:
    """Score the microphone, or 16-bit PCM on stdin, chunk by chunk as it comes.

    What is piped in is mono, little-endian, without a header, at the sample rate of the contract.
    A scorer of windows gives the score of the last window: every 160 ms if it was exported with
    --live cached, else at every hop of its windows.
    Without a pipe the microphone is heard until Ctrl-C (pip install 'scriptable-speech[listen]').

    Example: scriptable listen build/demo-streaming/stream_scorer.xnnpack.pte
    """
    from export.runtime.live import load_live_scorer

    scorer = load_live_scorer(artifact, trust)
    note(*scorer.notes)
    rate = scorer.contract.audio.sample_rate
    show = Lines(rate, as_json)
    # None where whoever started this closed it.
    if sys.stdin is None:
        raise InputError(f"stdin: is closed; {_EXPECTED}")
    blocks = _microphone(rate) if sys.stdin.isatty() else _pipe(sys.stdin.buffer)
    try:
        for block, at in blocks:
            for verdict in scorer.hear(block, at):
                show(asdict(verdict))
    except KeyboardInterrupt:
        pass
    finally:
        show.finish()
    if scorer.restarts:
        note(f"the stream began anew {scorer.restarts} times, after long gaps")
    if scorer.position == 0:
        raise InputError(f"stdin: no samples; {_EXPECTED}")


class Lines:
    """A line for each verdict; on a terminal one line that is written over."""

    def __init__(self, rate: int, as_json: bool) -> None:
        self._rate = rate
        self._json = as_json
        self._over = out.is_terminal and not as_json
        self._shown = 0

    def __call__(self, verdict: dict[str, Any]) -> None:
        """Show one."""
        if self._json:
            self._write(json.dumps(verdict, allow_nan=False) + "\n")
            return
        seconds, llr = verdict["samples"] / self._rate, verdict["llr"]
        number = "       -" if llr is None else f"{llr:8.3f}"
        why = f"  ({printable(verdict['reason'])})" if verdict["reason"] else ""
        line = f"{seconds:9.2f} s  LLR {number}  {verdict['decision']}{why}"
        if self._over:
            line = line[: max(20, out.width - 1)]
            self._write("\r" + line.ljust(self._shown))
            self._shown = len(line)
        else:
            self._write(line + "\n")

    def finish(self) -> None:
        """Leave the last line standing."""
        if self._over and self._shown:
            self._write("\n")

    def _write(self, text: str) -> None:
        out.file.write(text)
        out.file.flush()


def _pipe(stream: Any) -> Iterator[tuple[Any, int | None]]:
    """Samples as they come; half a sample at the end is left out.

    Raises:
        InputError: if it begins with the header of an audio file.
    """
    import numpy as np
    import torch

    begins = stream.read(4)
    if begins in _HEADERS:
        raise InputError(f"stdin: begins with {begins.decode()}, as a file does; {_EXPECTED}")
    rest = b""
    for data in chain([begins], iter(partial(stream.read1, 1 << 16), b"")):
        data = rest + data
        whole = len(data) // 2 * 2
        rest = data[whole:]
        samples = np.frombuffer(data[:whole], dtype="<i2").astype(np.float32) / 32768.0
        yield torch.from_numpy(samples), None


def _microphone(rate: int) -> Iterator[tuple[Any, int | None]]:
    """Samples of the default device, with the place of those that follow a loss."""
    import queue

    import numpy as np
    import torch

    from export.extras import require

    try:
        device = require("sounddevice")
    except OSError as error:
        raise InputError(f"microphone: {error}; pipe in 16-bit PCM instead") from error
    heard: queue.Queue[tuple[bytes, float, bool]] = queue.Queue()

    def take(data: Any, frames: int, time: Any, status: Any) -> None:
        heard.put((bytes(data), time.inputBufferAdcTime, bool(status.input_overflow)))

    try:
        stream = device.RawInputStream(samplerate=rate, channels=1, dtype="int16", callback=take)
    except device.PortAudioError as error:
        raise InputError(f"microphone: {error}; pipe in 16-bit PCM instead") from error
    position, begin = 0, 0.0
    with stream:
        while True:
            data, time, lost = heard.get()
            samples = np.frombuffer(data, dtype="<i2").astype(np.float32) / 32768.0
            begin = begin or time
            # The device's clock is asked only after a loss: it jitters by some samples.
            at = max(position, round((time - begin) * rate)) if lost else None
            position = (position if at is None else at) + len(samples)
            yield torch.from_numpy(samples), at
