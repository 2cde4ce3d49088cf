"""A torch archive looked into before torch unpacks it."""

import zipfile
from pathlib import Path

import torch

from export.errors import ArtefactError

# Torch stores tensors as they are and deflates code alone: more than this is a bomb.
_MOST_RATIO = 20
_MOST_BYTES = 1 << 26


class TorchArchive:
    """The records of an archive, through torch's own reader: what is looked at is what is loaded.

    Raises:
        ArtefactError: if it is no zip archive, or would unpack to far more than its size.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            with zipfile.ZipFile(path) as archive:
                entries = archive.infolist()
        except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError) as error:
            raise ArtefactError(
                f"{path}: damaged, or not the format its name says ({error})"
            ) from error
        unpacked = sum(entry.file_size for entry in entries)
        if unpacked > max(_MOST_BYTES, _MOST_RATIO * path.stat().st_size):
            raise ArtefactError(f"{path}: would unpack to {unpacked >> 20} MB: not a scorer")
        if len({entry.filename for entry in entries}) < len(entries):
            raise ArtefactError(f"{path}: contains two records of one name")
        try:
            self._reader = torch._C.PyTorchFileReader(str(path))
            self.records: list[str] = self._reader.get_all_records()
        except Exception as error:  # whatever a damaged archive makes the reader raise
            line = (str(error).strip().splitlines() or [type(error).__name__])[0]
            raise ArtefactError(
                f"{path}: damaged, or not the format its name says ({line})"
            ) from error

    def bytes(self, record: str) -> bytes:
        """One record."""
        try:
            content: bytes = self._reader.get_record(record)
        except Exception as error:  # as above
            raise ArtefactError(f"{self.path}: {record} is damaged") from error
        return content

    def refuse(self, what: str) -> ArtefactError:
        """The error for an archive that does more than score."""
        return ArtefactError(
            f"{self.path}: {what}, which no scorer needs and which could do harm; "
            "if you trust where it comes from, give --trust"
        )
