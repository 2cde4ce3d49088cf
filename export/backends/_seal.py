"""The digest of a whole file: put in when it is saved, checked before any runtime sees it.

A file that is to be sealed holds the text ``"file_sha256": "0…0"`` with 64 zeros, in its contract.
The digest is the SHA-256 of the file with the zeros where they are; sealing writes it over them.
Where the file is a zip archive, whose checksums would then be wrong, it is written into the
archive's comment, as the same text once more: whichever stands last in the file counts. A package
is a folder: its digest is over its visible files, in the order of their paths, each as its path and
its size, ended by line feeds, and its bytes; the text stands in one of them.

It tells damage by accident. Who changes a file on purpose computes it anew.
"""

import hashlib
import re
from pathlib import Path

from export.errors import ArtefactError

FIELD = "file_sha256"
UNSEALED = "0" * 64

_ZIP = b"PK\x03\x04"
_END = b"PK\x05\x06"
_END_BYTES = 22
_TEXT = re.compile(rb'"file_sha256": ?"([0-9a-f]{64})"')


def seal(path: Path) -> None:
    """Write the digest into a file, or a package, that has a place for it; else change nothing."""
    for part in _parts(path):
        content = bytearray(part.read_bytes())
        found = _last(content)
        if found is None:
            continue
        if content.startswith(_ZIP):
            content = _with_comment(content)
            found = _last(content)
            assert found is not None
        start, end = found.span(1)
        content[start:end] = UNSEALED.encode()
        part.write_bytes(content)
        content[start:end] = _digest(path, part, (start, end)).encode()
        part.write_bytes(content)
        return


def check(path: Path) -> str | None:
    """The digest of a sealed file, once it was found right; None for one that holds none.

    Raises:
        ArtefactError: if the file is not the one that was sealed.
    """
    for part in _parts(path):
        found = _last(part.read_bytes())
        if found is None or found[1] == UNSEALED.encode():
            continue
        stated = found[1].decode()
        actual = _digest(path, part, found.span(1))
        if actual != stated:
            raise ArtefactError(
                f"{path}: damaged: its sha256 is {actual[:12]}..., and {stated[:12]}... when it "
                "was written; copy or export it again"
            )
        return stated
    return None


def _parts(path: Path) -> list[Path]:
    """The file itself, or the visible files of a package."""
    if path.is_file():
        return [path]
    if not path.is_dir():
        raise ArtefactError(f"{path}: is not a regular file")
    parts = []
    for part in sorted(path.rglob("*"), key=lambda p: p.relative_to(path).as_posix()):
        # Finder and archivers leave hidden files behind, which no runtime reads.
        if any(name.startswith(".") for name in part.relative_to(path).parts):
            continue
        if part.is_symlink() or not (part.is_dir() or part.is_file()):
            raise ArtefactError(f"{path}: contains a link or a device: {part.name}")
        if part.is_file():
            parts.append(part)
    return parts


def _last(content: bytes | bytearray) -> re.Match[bytes] | None:
    return next(reversed(list(_TEXT.finditer(content))), None)


def _digest(path: Path, sealed: Path, place: tuple[int, int]) -> str:
    """Over all parts, with zeros at ``place`` of the one that holds the digest."""
    digest = hashlib.sha256()
    for part in _parts(path):
        content = part.read_bytes()
        if path.is_dir():
            name = part.relative_to(path).as_posix()
            digest.update(f"{name}\n{len(content)}\n".encode())
        if part == sealed:
            content = content[: place[0]] + UNSEALED.encode() + content[place[1] :]
        digest.update(content)
    return digest.hexdigest()


def _with_comment(content: bytearray) -> bytearray:
    """A zip archive with an empty seal as its comment."""
    end = content.rfind(_END)
    if end != len(content) - _END_BYTES:
        raise ArtefactError("zip archive: has a comment, or no end")
    comment = f'{{"{FIELD}": "{UNSEALED}"}}'.encode()
    return content[:-2] + len(comment).to_bytes(2, "little") + comment
