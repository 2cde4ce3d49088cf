"""What packs an APK, and what looks at one."""

import shutil
import struct
import zipfile
from pathlib import Path

import check_apk
import licences
import pack_apk
import pytest

ROOT = Path(__file__).resolve().parents[3]
needs_readelf = pytest.mark.skipif(
    shutil.which("readelf") is None, reason="no readelf: apt-get install binutils"
)


def elf(alignment: int) -> bytes:
    """A 64-bit ELF file of one segment."""
    header = b"\x7fELF\x02\x01\x01" + bytes(9)
    header += struct.pack("<HHIQQQIHHHHHH", 3, 183, 1, 0, 64, 0, 0, 64, 56, 1, 64, 0, 0)
    return header + struct.pack("<IIQQQQQQ", 1, 5, 0, 0, 0, 120, 120, alignment)


@pytest.fixture
def parts(tmp_path: Path) -> tuple[Path, Path, Path]:
    """Resources as aapt leaves them, a dex folder and a library folder."""
    resources = tmp_path / "resources.ap_"
    with zipfile.ZipFile(resources, "w", zipfile.ZIP_DEFLATED) as package:
        package.writestr("res/b.xml", "b" * 99)
        package.writestr("AndroidManifest.xml", "manifest" * 20)
        package.writestr("assets/model.pte", b"\0" * 4321, zipfile.ZIP_STORED)
        package.writestr("resources.arsc", b"\1" * 77, zipfile.ZIP_STORED)
    dex = tmp_path / "dex"
    dex.mkdir()
    (dex / "classes.dex").write_bytes(b"dex" * 50)
    libraries = tmp_path / "lib"
    for abi in ("x86_64", "arm64-v8a"):
        (libraries / abi).mkdir(parents=True)
        for name in ("liba.so", "libb.so"):
            (libraries / abi / name).write_bytes(elf(0x4000))
    return resources, dex, libraries


def test_the_same_parts_give_the_same_bytes(parts: tuple[Path, Path, Path], tmp_path: Path) -> None:
    pack_apk.pack(tmp_path / "one.apk", *parts)
    for path in tmp_path.rglob("*.so"):
        path.write_bytes(path.read_bytes())
    pack_apk.pack(tmp_path / "two.apk", *parts)
    assert (tmp_path / "one.apk").read_bytes() == (tmp_path / "two.apk").read_bytes()


def test_stored_entries_lie_where_android_wants_them(
    parts: tuple[Path, Path, Path], tmp_path: Path
) -> None:
    apk = tmp_path / "out.apk"
    pack_apk.pack(apk, *parts)
    with zipfile.ZipFile(apk) as package:
        assert package.testzip() is None
        stored = [one for one in package.infolist() if one.compress_type == zipfile.ZIP_STORED]
        names = {one.filename for one in stored}
    assert names >= {"resources.arsc", "assets/model.pte", "lib/arm64-v8a/liba.so"}
    assert not names & {"classes.dex", "AndroidManifest.xml", "res/b.xml"}
    for entry in stored:
        alignment = 16384 if entry.filename.endswith(".so") else 4
        assert check_apk.content_offset(apk, entry) % alignment == 0, entry.filename
    with zipfile.ZipFile(apk) as package:
        assert check_apk.place_faults(apk, package) == []


def test_what_cannot_be_mapped_is_seen(tmp_path: Path) -> None:
    apk = tmp_path / "out.apk"
    with zipfile.ZipFile(apk, "w") as package:
        package.writestr("resources.arsc", b"\1" * 77, zipfile.ZIP_DEFLATED)
        package.writestr("lib/x86_64/liba.so", elf(0x4000), zipfile.ZIP_DEFLATED)
        package.writestr("lib/x86_64/libb.so", elf(0x4000))
        package.writestr("assets/odd", b"odd")
    with zipfile.ZipFile(apk) as package:
        found = check_apk.place_faults(apk, package)
    assert found[:2] == ["resources.arsc: compressed", "lib/x86_64/liba.so: compressed"]
    assert found[2].startswith("lib/x86_64/libb.so: begins at ")
    assert len(found) == 3


@needs_readelf
@pytest.mark.parametrize(
    ("alignment", "fault"), [(0x4000, None), (0x10000, None), (0x1000, "0x1000")]
)
def test_small_pages_are_seen(tmp_path: Path, alignment: int, fault: str | None) -> None:
    path = tmp_path / "lib.so"
    path.write_bytes(elf(alignment))
    found = check_apk.library_faults(path, set())
    assert len(found) == (fault is not None)
    assert all(fault in line for line in found if fault)


def test_what_the_notices_leave_out_is_seen(tmp_path: Path) -> None:
    path = tmp_path / "out.apk"
    with zipfile.ZipFile(path, "w") as package:
        package.writestr("assets/licences.txt", licences.notices().replace("XNNPACK", "gone"))
    with zipfile.ZipFile(path) as package:
        found = check_apk.notice_faults(
            package, {"Lorg/scriptable/app/A;", "Lcom/stranger/B;"}, {"libfbjni.so", "libnew.so"}
        )
    assert found == [
        "notices: whose is libnew.so?",
        "notices: whose is Lcom/stranger/B;?",
        "notices: XNNPACK is missing",
    ]


def test_every_licence_has_its_text() -> None:
    text = licences.notices()
    for one in licences.components():
        assert f"{one['name']}\n{one['licence']}\nCopyright (c) {one['copyright'][0]}" in text
    for words in (
        "Apache License",
        "WITHOUT WARRANTY OF ANY KIND",
        "Neither the name",
        "mozilla.org",
    ):
        assert words in text


@pytest.mark.parametrize(
    "library",
    sorted({one["inside"]["library"] for one in licences.components() if "inside" in one}),
)
def test_what_is_said_to_be_inside_is(library: str) -> None:
    """On the library that was fetched: the table names no part that is not linked in."""
    aar = ROOT / "build" / "android" / "aars" / "executorch-android.aar"
    if not aar.exists():
        pytest.skip("no runtime: make test-android fetches it")
    with zipfile.ZipFile(aar) as package:
        content = package.read(f"jni/arm64-v8a/{library}")
    parts = [one for one in licences.components() if "inside" in one]
    assert parts
    for one in parts:
        assert one["inside"]["symbol"].encode() in content, one["name"]
