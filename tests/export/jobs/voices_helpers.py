"""Recordings of a few voices with a trial list, and a configuration of a verifier of them."""

from dataclasses import dataclass
from pathlib import Path

from artefact_helpers import voice, write_wav
from network_helpers import NETS

PITCHES = {"anna": 210.0, "bert": 95.0, "cleo": 150.0, "dana": 250.0}
TWO = ("--backend", "torchscript", "--backend", "torch_export")
COUNTERMEASURE = """countermeasure:
  encoder: {type: their_net.Level}
  loss: {type: RawScore}
"""
_LEVEL = '''

class Level(nn.Module):
    """A waveform [B, N] in; how loud it is [B, 1]."""

    def __init__(self):
        super().__init__()
        self.gain = nn.Parameter(torch.tensor(40.0))

    def forward(self, x):
        return self.gain * x.square().mean(1, keepdim=True)
'''


@dataclass(frozen=True)
class Voices:
    """A folder with ``audio/``, ``trials.txt`` of all pairs, and what configurations name."""

    folder: Path

    @property
    def trials(self) -> tuple[str, ...]:
        """The options of the trial list."""
        return (
            "--protocol",
            str(self.folder / "trials.txt"),
            "--audio",
            str(self.folder / "audio"),
        )

    def wav(self, name: str) -> Path:
        """A recording: its voice or ``fake``, a stroke, and its number."""
        return self.folder / "audio" / f"{name}.wav"

    def config(self, more: str = "", task: str = "verification") -> Path:
        """A configuration; ``more`` begins in line 5."""
        path = self.folder / "verifier.yaml"
        path.write_text(
            f"task: {task}\n"
            "frontend: {type: LogMel, n_mels: 8, n_fft: 512, center: false}\n"
            "encoder: {type: their_net.TimeFirst, input: BTF}\n"
            f"window: {{num_samples: 4000}}\n{more}"
        )
        return path

    def list_spoofs(self) -> None:
        """Add two quiet spoofs of each voice to the recordings and to the trial list."""
        lines = []
        for number, (speaker, pitch) in enumerate(PITCHES.items()):
            for k in range(2):
                write_wav(self.wav(f"fake/{speaker}{k}"), 0.4 * voice(9000, pitch + 3, number + k))
                lines.append(f"{speaker}/0 fake/{speaker}{k} spoof\n")
        with (self.folder / "trials.txt").open("a") as file:
            file.writelines(lines)


def record_voices(folder: Path) -> Voices:
    """Two recordings of each voice, all pairs, and the networks."""
    (folder / "their_net.py").write_text(NETS + _LEVEL)
    made, names = Voices(folder), []
    for number, (speaker, pitch) in enumerate(PITCHES.items()):
        for k in range(2):
            names.append(f"{speaker}/{k}")
            write_wav(made.wav(names[-1]), voice(9000, pitch + k, 10 * number))
    lines = [
        f"{a} {b} {'target' if a.split('/')[0] == b.split('/')[0] else 'nontarget'}\n"
        for i, a in enumerate(names)
        for b in names[i + 1 :]
    ]
    (folder / "trials.txt").write_text("".join(lines))
    return made
