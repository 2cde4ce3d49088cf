"""Is an audio file whole? What its container says about its length, held against its size.

libsndfile shortens a file that ends early without a word in most formats, and of files that were
joined end to end it reads the first alone.
"""

import mmap
import os
import struct
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

# Writers that stream to a pipe cannot know the length and leave a placeholder of about this size.
_STREAMED = 0x7FFFF000
_UNCHECKED = "completeness not checked: "
NO_LENGTH = _UNCHECKED + "its header states no length"
_NO_MEANS = _UNCHECKED + "not done for this format"
_FLAC_STARTS = (b"fLaC\x00\x00\x00\x22", b"fLaC\x80\x00\x00\x22")


class Incomplete(Exception):
    """The file ends early, or goes on with another one."""


@dataclass(frozen=True)
class Container:
    """What is known of a whole file."""

    note: str = ""
    """What could not be checked."""
    patches: dict[int, bytes] = field(default_factory=dict)
    """Bytes to be read in the place of those at an offset: lengths that the writer left open."""


def examine(path: Path) -> Container:
    """Look at the container of a file that is not empty.

    Raises:
        Incomplete: if bytes that its header promises are missing, or more than one recording is in
            it.
    """
    with path.open("rb") as file:
        size = file.seek(0, os.SEEK_END)
        start = _behind_id3(file)
        file.seek(start)
        head = file.read(64)
        file.seek(start)
        if head[:4] in (b"RIFF", b"RIFX", b"RF64", b"BW64") and head[8:12] == b"WAVE":
            return _riff(file, size, ">" if head[:4] == b"RIFX" else "<")
        if head[:4] == b"FORM":
            return _sized(size, *_form(file))
        if head[:4] == b"riff" and head[24:28] == b"wave":
            return _sized(size, *_w64(file, size))
        if head[:4] in (b".snd", b"dns."):
            order = ">" if head[:4] == b".snd" else "<"
            begin, length = struct.unpack(f"{order}2I", head[4:12].ljust(8, b"\0"))
            return Container(NO_LENGTH) if length == 0xFFFFFFFF else _sized(size, begin, length)
        if head[:4] == b"caff":
            return _caf(file, size)
        if head[:7] == b"NIST_1A":
            return _nist(file, size)
        if head[:4] == b"OggS":
            return _ogg(file, size)
        if head[:4] == b"fLaC":
            return _flac(path, start, head)
        if len(head) > 4 and head[0] == 0xFF and head[1] & 0xE0 == 0xE0:
            return _mp3(file, size, start)
    return Container(_NO_MEANS)


def _sized(size: int, begin: int, length: int) -> Container:
    missing = begin + length - size
    if missing > 0:
        raise Incomplete(
            f"truncated, {missing} bytes of audio that its header promises are missing; "
            "copy or download the file again"
        )
    return Container()


def _behind_id3(file: BinaryIO) -> int:
    """Where an ID3v2 tag at the start ends."""
    file.seek(0)
    head = file.read(10)
    if len(head) < 10 or head[:3] != b"ID3":
        return 0
    size = 0
    for byte in head[6:10]:
        size = size << 7 | byte & 0x7F
    return 10 + size


def _chunks(file: BinaryIO, order: str, at: int) -> Iterator[tuple[bytes, int, int]]:
    """Name, first byte and size of each chunk from ``at`` on."""
    while True:
        file.seek(at)
        head = file.read(8)
        if len(head) < 8:
            return
        name, size = struct.unpack(f"{order}4sI", head)
        yield name, at + 8, size
        at += 8 + size + size % 2


def _riff(file: BinaryIO, size: int, order: str) -> Container:
    whole = None
    for name, begin, length in _chunks(file, order, 12):
        if name == b"ds64":
            file.seek(begin + 8)
            whole = int.from_bytes(file.read(8), "little")
        if name != b"data":
            continue
        if whole is not None and length == 0xFFFFFFFF:
            return _sized(size, begin, whole)
        if length >= _STREAMED:
            return Container(NO_LENGTH)
        if length == 0 and size > begin and not _chunks_to_the_end(file, order, begin, size):
            left = struct.pack(f"{order}I", min(size - begin, _STREAMED - 1))
            return Container(NO_LENGTH, {begin - 4: left})
        return _sized(size, begin, length)
    return Container()


def _chunks_to_the_end(file: BinaryIO, order: str, at: int, size: int) -> bool:
    """Whether what follows an empty chunk is chunks, and no audio that its writer did not count."""
    for name, begin, length in _chunks(file, order, at):
        if not name.isascii() or not name.decode().isprintable() or begin + length > size:
            return False
        at = begin + length + length % 2
    return at >= size


def _form(file: BinaryIO) -> tuple[int, int]:
    """AIFF, AIFF-C, 8SVX, 16SV."""
    for name, begin, length in _chunks(file, ">", 12):
        if name in (b"SSND", b"BODY"):
            return begin, length
    return 0, 0


def _w64(file: BinaryIO, size: int) -> tuple[int, int]:
    at = 40
    # A chunk of more than there is has none behind it, and is no place to seek.
    while at + 24 <= size:
        file.seek(at)
        head = file.read(24)
        length = int.from_bytes(head[16:], "little")
        if head[:4] == b"data":
            return at, length
        at += max(24, length + -length % 8)
    return 0, 0


def _caf(file: BinaryIO, size: int) -> Container:
    at = 8
    while at + 12 <= size:
        file.seek(at)
        head = file.read(12)
        name, length = struct.unpack(">4sq", head)
        if name == b"data":
            return Container(NO_LENGTH) if length < 0 else _sized(size, at + 12, length)
        at += 12 + max(0, length)
    return Container()


def _nist(file: BinaryIO, size: int) -> Container:
    lines = file.read(1024).decode("latin-1").split("\n")
    fields = {part[0]: part[2] for line in lines if len(part := line.split()) == 3}
    try:
        count, channels, width = (
            int(fields[name]) for name in ("sample_count", "channel_count", "sample_n_bytes")
        )
        begin = int(lines[1])
    except (KeyError, ValueError, IndexError):
        return Container(NO_LENGTH)
    if "shorten" in fields.get("sample_coding", ""):
        return Container(_NO_MEANS)
    return _sized(size, begin, count * channels * width)


def _ogg(file: BinaryIO, size: int) -> Container:
    """Pages from end to end; each stream's last one is marked, and one begins behind no other's."""
    at, begun, open_streams = 0, False, set[int]()
    while at < size:
        file.seek(at)
        head = file.read(27)
        lacing = file.read(head[26]) if len(head) == 27 else b""
        if head[:4] != b"OggS" or len(head) < 27 or len(lacing) < head[26]:
            raise Incomplete("truncated or damaged: no page of Ogg where one should begin")
        kind, serial = head[5], int.from_bytes(head[14:18], "little")
        if kind & 2:
            if begun:
                raise Incomplete("contains several recordings, one after the other; split it first")
            open_streams.add(serial)
        else:
            begun = True
        if kind & 4:
            open_streams.discard(serial)
        at += 27 + len(lacing) + sum(lacing)
    if at > size or open_streams:
        raise Incomplete("truncated: the last page of Ogg is missing; copy or download it again")
    return Container()


def _flac(path: Path, start: int, head: bytes) -> Container:
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
        if any(content.find(begin, start + 4) >= 0 for begin in _FLAC_STARTS):
            raise Incomplete("contains several recordings, one after the other; split it first")
    known = any(head[22:26]) or (len(head) > 21 and head[21] & 0x0F)
    return Container() if known else Container(NO_LENGTH)


def _mp3(file: BinaryIO, size: int, start: int) -> Container:
    """A length stands in the first frame where the encoder wrote one."""
    file.seek(start)
    frame = file.read(64)
    first, mono = frame[1] & 0x18 == 0x18, frame[3] & 0xC0 == 0xC0
    side = (17 if mono else 32) if first else (9 if mono else 17)
    at = 4 + side + (0 if frame[1] & 1 else 2)
    tag = frame[at : at + 16]
    flags = int.from_bytes(tag[4:8], "big")
    if tag[:4] not in (b"Xing", b"Info") or not flags & 2:
        return Container(NO_LENGTH)
    place = 12 if flags & 1 else 8
    length = int.from_bytes(tag[place : place + 4], "big")
    file.seek(start + length)
    behind = file.read(3)
    if behind == b"ID3" or (len(behind) > 1 and behind[0] == 0xFF and behind[1] & 0xE0 == 0xE0):
        raise Incomplete("contains several recordings, one after the other; split it first")
    return _sized(size, start, length)
