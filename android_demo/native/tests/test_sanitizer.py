"""A build with the address and undefined behaviour sanitizers, on good input and on hostile."""

import os
import random
import struct
import subprocess
from pathlib import Path

import pytest
import soundfile
import torch
from artefact_helpers import Artefacts, voice
from native_helpers import Program, built

from export.errors import InputError
from export.runtime.audio import read_waveform

MUTANTS = 1000
EXTREMES = (0, 1, 2, 3, 0x7F, 0x80, 0xFF, 0x7FFF, 0x8000, 0xFFFF, 0x7FFFEFFF, 0xFFFFFFFF)


def test_speech_and_vectors(
    full: Path, artefacts: Artefacts, vectors: Path, speech: list[Path], sanitized: Program
) -> None:
    golden = sorted(vectors.glob("*.wav"))
    for model, files in ((full, speech), (artefacts.path("executorch_portable"), golden)):
        ran = sanitized("--json", model, *files)
        assert ran.code == 0, ran.err
        assert all(line.startswith("note: ") for line in ran.err.splitlines()), ran.err


def seeds(folder: Path) -> list[bytes]:
    """Headers of several kinds before 0.1 s of sound."""
    made = []
    for name, subtype, channels, rate in (
        ("a.wav", "PCM_16", 1, 16000),
        ("b.wav", "PCM_16", 2, 44100),
        ("c.wav", "PCM_24", 1, 48000),
        ("d.wav", "FLOAT", 2, 8000),
        ("e.wav", "PCM_U8", 1, 11025),
        ("f.flac", "PCM_16", 1, 22050),
        ("g.aiff", "PCM_16", 1, 16000),
        ("h.au", "PCM_16", 2, 16000),
        ("i.w64", "PCM_16", 1, 16000),
        ("j.rf64", "PCM_16", 1, 16000),
        ("k.ogg", "VORBIS", 1, 16000),
        ("l.nist", "PCM_16", 1, 16000),
        ("m.caf", "PCM_16", 1, 16000),
        ("n.mp3", "MPEG_LAYER_III", 1, 16000),
    ):
        sound = torch.stack([voice(rate // 10, seed=c, rate=rate) for c in range(channels)], 1)
        kind = name.rpartition(".")[2].upper()
        soundfile.write(folder / name, sound.numpy(), rate, subtype=subtype, format=kind)
        made.append((folder / name).read_bytes())
    riff = made[0]
    made.append(riff[:36] + b"LIST" + struct.pack("<I", 10) + bytes(10) + riff[36:])
    return made


def mutate(content: bytes, draw: random.Random) -> bytes:
    """Bytes, fields or the length of the first 80 bytes, changed."""
    mutant = bytearray(content)
    for _ in range(draw.randint(1, 3)):
        place = draw.randrange(4, 80)
        kind = draw.randrange(4)
        if kind == 0:
            mutant[place] ^= 1 << draw.randrange(8)
        elif kind == 1:
            mutant[place] = draw.randrange(256)
        elif kind == 2:
            size = draw.choice((2, 4))
            value = draw.choice(EXTREMES) % (1 << 8 * size)
            mutant[place : place + size] = value.to_bytes(size, "little")
        else:
            del mutant[draw.randrange(4, len(mutant)) :]
            return bytes(mutant)
    return bytes(mutant)


def test_a_thousand_mutated_headers(tmp_path: Path) -> None:
    """No finding; and what is read, and what is refused, is the same in Python."""
    program = built("native-sanitize", "read_audio")
    # Debian's libvorbis keeps what it had of a header that it refuses; libmpg123 talks to stderr.
    ignored = tmp_path / "leaks.txt"
    ignored.write_text("leak:vorbis_info_init\n")
    draw, made = random.Random(2), seeds(tmp_path)
    paths = [tmp_path / f"mutant{number}" for number in range(MUTANTS)]
    for path in paths:
        path.write_bytes(mutate(draw.choice(made), draw))
    ran = subprocess.run(
        [str(program), "16000"],
        input="".join(f"{path}\n" for path in paths),
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "LSAN_OPTIONS": f"suppressions={ignored}:print_suppressions=0"},
    )
    ours = [line for line in ran.stderr.splitlines() if not line.startswith("[src/libmpg123/")]
    assert (ran.returncode, [line for line in ours if line]) == (0, [])
    lines = ran.stdout.splitlines()
    assert len(lines) == MUTANTS
    accepted = 0
    for path, line in zip(paths, lines, strict=True):
        try:
            waveform = read_waveform(path, 16000).waveform.double()
        except InputError as error:
            assert line.startswith(f"error: {path}: "), (line, error)
            continue
        accepted += 1
        assert line.startswith("ok "), (line, path)
        length, total, squares = line.split()[1:]
        assert int(length) == len(waveform)
        assert float(total) == pytest.approx(float(waveform.sum()), rel=1e-6, abs=1e-3)
        assert float(squares) == pytest.approx(float(waveform.square().sum()), rel=1e-6, abs=1e-6)
    assert MUTANTS / 10 < accepted < MUTANTS * 9 / 10
