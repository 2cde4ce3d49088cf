"""What must hold of an APK before it is given to anyone, and the sizes of its parts.

    check_apk.py FILE.apk

Looks at the libraries (two ABIs, stored, at multiples of 16 KB, segments aligned to 16 KB, nothing
needed that is neither packed nor Android's), at the classes (every one that a library names), and
at the notices (nothing packed that they leave out). Needs readelf and dexdump.
"""

import re
import struct
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

from licences import components

PAGE = 16 * 1024
WORD = 4
ABIS = {"arm64-v8a", "x86_64"}
# Part of every Android.
SYSTEM = {"libc.so", "libm.so", "libdl.so", "liblog.so", "libandroid.so", "libz.so"}
OWN = {"Lorg/scriptable/app/MainActivity;", "Lorg/pytorch/executorch/Module;"}
CLASS_NAMED = re.compile(rb"(?<![\w/$])L?((?:org/pytorch/executorch|com/facebook/jni)/[\w/$]+)")
MAGIC = "Class descriptor  : '"


def _printed(*command: object) -> str:
    ran = subprocess.run([*map(str, command)], capture_output=True, text=True, check=True)
    return ran.stdout


def content_offset(apk: Path, entry: zipfile.ZipInfo) -> int:
    """Where the bytes of ``entry`` begin in the file."""
    with apk.open("rb") as file:
        file.seek(entry.header_offset + 26)
        name, extra = struct.unpack("<HH", file.read(4))
    return int(entry.header_offset + 30 + name + extra)


def library_faults(path: Path, packed: set[str]) -> list[str]:
    """What is wrong with one ELF file beside the libraries ``packed`` with it."""
    faults = []
    segments = [line.split() for line in _printed("readelf", "-lW", path).splitlines()]
    loads = [words for words in segments if words[:1] == ["LOAD"]]
    if not loads:
        faults.append("has no segment to load")
    for words in loads:
        if int(words[-1], 16) % PAGE:
            faults.append(f"has a segment aligned to {words[-1]}, expected a multiple of 0x4000")
    needed = re.findall(r"\(NEEDED\).*\[(.+)\]", _printed("readelf", "-dW", path))
    faults += [f"needs {name}" for name in needed if name not in packed | SYSTEM]
    return faults


def place_faults(apk: Path, package: zipfile.ZipFile) -> list[str]:
    """Libraries and resources that Android could not map from the file."""
    found = []
    for entry in package.infolist():
        name, library = entry.filename, entry.filename.startswith("lib/")
        if not library and name != "resources.arsc":
            continue
        at, alignment = content_offset(apk, entry), PAGE if library else WORD
        if entry.compress_type != zipfile.ZIP_STORED:
            found.append(f"{name}: compressed")
        elif at % alignment:
            found.append(f"{name}: begins at {at}, expected a multiple of {alignment}")
    return found


def notice_faults(package: zipfile.ZipFile, classes: set[str], libraries: set[str]) -> list[str]:
    """What is packed and not in the notices."""
    known = components()
    prefixes = tuple(f"L{prefix}/" for one in known for prefix in one.get("packages", ()))
    listed = {library for one in known for library in one.get("libraries", ())}
    found = [f"notices: whose is {name}?" for name in sorted(libraries - listed)]
    found += [
        f"notices: whose is {name}?" for name in sorted(classes) if not name.startswith(prefixes)
    ]
    text = package.read("assets/licences.txt").decode()
    return found + [
        f"notices: {one['name']} is missing" for one in known if one["name"] not in text
    ]


def faults(apk: Path) -> list[str]:
    """One line for each thing that is wrong."""
    found = []
    with zipfile.ZipFile(apk) as package, tempfile.TemporaryDirectory() as folder:
        libraries = [name for name in package.namelist() if name.startswith("lib/")]
        abis = {name.split("/")[1] for name in libraries}
        if abis != ABIS:
            found.append(f"ABIs: expected {sorted(ABIS)}, got {sorted(abis)}")
        classes = set(re.findall(f"{MAGIC}(.+)'", _printed("dexdump", apk)))
        found += [f"{name}: not in the dex files" for name in sorted(OWN - classes)]
        found += notice_faults(package, classes, {Path(name).name for name in libraries})
        found += place_faults(apk, package)
        for name in libraries:
            packed = {Path(other).name for other in libraries if other.split("/")[1] in name}
            path = Path(package.extract(name, folder))
            found += [f"{name}: {fault}" for fault in library_faults(path, packed)]
            named = {f"L{match.decode()};" for match in CLASS_NAMED.findall(path.read_bytes())}
            found += [
                f"{name}: names {one}, which is not in the dex files"
                for one in sorted(named - classes)
            ]
    return found


def sizes(apk: Path) -> list[str]:
    """Bytes in the file, by part."""
    parts: dict[str, int] = {}
    with zipfile.ZipFile(apk) as package:
        for entry in package.infolist():
            words = entry.filename.split("/")
            part = "/".join(words[:2]) if words[0] in ("lib", "assets") else words[0]
            parts[part] = parts.get(part, 0) + entry.compress_size
    rows = [f"{part} {size}" for part, size in sorted(parts.items(), key=lambda item: -item[1])]
    return [*rows, f"{apk.name} {apk.stat().st_size}"]


if __name__ == "__main__":
    given = Path(sys.argv[1])
    wrong = faults(given)
    for line in wrong:
        print(f"{given.name}: {line}", file=sys.stderr)
    if wrong:
        sys.exit(1)
    print("\n".join(sizes(given)))
