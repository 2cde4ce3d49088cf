"""An APK of what the other tools made: the same bytes each time, ready for pages of 16 KB.

    pack_apk.py OUT.apk RESOURCES.ap_ DEX_FOLDER LIBRARY_FOLDER

Libraries are stored as they are, each at a multiple of 16 KB: Android maps them from the APK. What
aapt stored stays stored, at multiples of 4. Order and times do not depend on the file system.
"""

import struct
import sys
import zipfile
from pathlib import Path

PAGE = 16 * 1024
WORD = 4
EPOCH = (1981, 1, 1, 1, 1, 2)
# The extra field in which Android's tools note an alignment; apksigner keeps what it says.
ALIGNMENT_FIELD = 0xD935
LOCAL_HEADER = 30


def _padding(offset: int, name: str, alignment: int) -> bytes:
    """The extra field that brings the content behind a header at ``offset`` to its place."""
    start = offset + LOCAL_HEADER + len(name.encode()) + 6
    zeros = -start % alignment
    return struct.pack("<HHH", ALIGNMENT_FIELD, 2 + zeros, alignment) + bytes(zeros)


def _add(apk: zipfile.ZipFile, name: str, content: bytes, stored: bool) -> None:
    entry = zipfile.ZipInfo(name, EPOCH)
    entry.create_system = 0
    entry.compress_type = zipfile.ZIP_STORED if stored else zipfile.ZIP_DEFLATED
    if stored:
        alignment = PAGE if name.endswith(".so") else WORD
        entry.extra = _padding(apk.start_dir, name, alignment)
    apk.writestr(entry, content, compresslevel=9)


def pack(out: Path, resources: Path, dex: Path, libraries: Path) -> None:
    """Write ``out`` from aapt's package, ``classes*.dex`` and ``ABI/*.so``."""
    with zipfile.ZipFile(out, "w") as apk:
        with zipfile.ZipFile(resources) as package:
            for entry in sorted(package.infolist(), key=lambda entry: entry.filename):
                stored = entry.compress_type == zipfile.ZIP_STORED
                _add(apk, entry.filename, package.read(entry), stored)
        for path in sorted(dex.glob("classes*.dex")):
            _add(apk, path.name, path.read_bytes(), stored=False)
        for path in sorted(libraries.glob("*/*.so")):
            name = f"lib/{path.parent.name}/{path.name}"
            _add(apk, name, path.read_bytes(), stored=True)


if __name__ == "__main__":
    pack(*map(Path, sys.argv[1:]))
