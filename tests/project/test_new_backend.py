"""A new backend is one file: tables and tests find it without an edit elsewhere."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PLAIN = '''
"""torch.export again, under another name."""

from export.backends.torch_export import TorchExport


class Plain(TorchExport):
    """The same file."""

    name = "plain"
    suffix = ".plain.pt2"
    rank = 25


BACKEND = Plain()
'''
LOOK = """
import artefact_helpers as helpers
from pathlib import Path
from export.backends import all_backends, backend_of

print(*all_backends())
print(*helpers.RUNNABLE)
print("plain" in helpers.VERIFIED, backend_of(Path("scorer.plain.pt2")).name)
"""


def test_one_file_is_all(tmp_path: Path) -> None:
    for name in ("export", "scriptable"):
        ignored = shutil.ignore_patterns("__pycache__")
        shutil.copytree(ROOT / name, tmp_path / name, ignore=ignored)
    (tmp_path / "export" / "backends" / "plain.py").write_text(PLAIN)
    ran = subprocess.run(
        [sys.executable, "-c", LOOK],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(tmp_path), str(ROOT / "tests")])},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
    listed, runnable, rest = ran.stdout.splitlines()
    assert listed.split()[:4] == ["torchscript", "trace", "plain", "lite"]
    assert runnable.split()[:4] == listed.split()[:4]
    assert rest == "True plain"
