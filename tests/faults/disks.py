"""Disks that fill up: a small one of the process's own, or a limit on the size of its files.

A small tmpfs gives the true fault (ENOSPC) where the system lets us mount one in a namespace. The
limit works everywhere (EFBIG) and can be raised from outside while the process runs.
"""

import os
import resource
import shutil
import signal
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

from tests.faults.process import Dozor

ROOM = 256 * 1024
_UNSHARE = ["unshare", "--user", "--mount", "--map-root-user"]


class Disk(Protocol):
    """Where the database lies, and how to fill it and to give space back."""

    def before(self) -> Sequence[str]:
        """What runs before the served process."""

    def fill(self, dozor: Dozor) -> None:
        """From now on (nearly) nothing more can be written."""

    def free(self, dozor: Dozor) -> None:
        """Give space back."""


class FileLimit:
    """No file of the process may grow by more than a little."""

    def before(self) -> Sequence[str]:
        """Nothing: the limit is set while it runs."""
        return ()

    def fill(self, dozor: Dozor) -> None:
        """Limit to the largest file and some room."""
        largest = max(file.stat().st_size for file in dozor.folder.glob("dozor.db*"))
        self._limit(dozor, largest + ROOM)

    def free(self, dozor: Dozor) -> None:
        """No limit any more."""
        self._limit(dozor, resource.RLIM_INFINITY)

    @staticmethod
    def _limit(dozor: Dozor, size: int) -> None:
        hard = resource.prlimit(dozor.pid, resource.RLIMIT_FSIZE)[1]
        resource.prlimit(dozor.pid, resource.RLIMIT_FSIZE, (size, hard))


class SmallDisk:
    """A tmpfs of 24 MiB over the data folder, seen by the process alone; filled up by a file."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def before(self) -> Sequence[str]:
        """Mount, copy what is there onto it, go on."""
        script = (
            'cp -a "$0" "$0.kept" && mount -t tmpfs -o size=24m tmpfs "$0" && '
            'cp -a "$0.kept/." "$0" && exec "$@"'
        )
        return [*_UNSHARE, "sh", "-c", script, str(self._folder)]

    def fill(self, dozor: Dozor) -> None:
        """Write until there is no space."""
        try:
            with self._filler(dozor).open("wb", buffering=0) as filler:
                while filler.write(b"\0" * 65536):
                    pass
        except OSError:
            return

    def free(self, dozor: Dozor) -> None:
        """Remove the file."""
        self._filler(dozor).unlink()

    @staticmethod
    def _filler(dozor: Dozor) -> Path:
        return seen(dozor) / "filler"


def seen(dozor: Dozor) -> Path:
    """The data folder as the served process sees it."""
    return Path(f"/proc/{dozor.pid}/root{dozor.folder}")


def copy_of(dozor: Dozor, folder: Path) -> Dozor:
    """A Dozor, not served, on a copy of the database as a crash at this moment would leave it."""
    os.kill(dozor.pid, signal.SIGSTOP)
    try:
        for name in ("dozor.db", "dozor.db-wal"):
            shutil.copy(seen(dozor) / name, folder / name)
    finally:
        os.kill(dozor.pid, signal.SIGCONT)
    return dozor.on(folder, f"sqlite:///{folder / 'dozor.db'}")


def mounts_allowed() -> bool:
    """Whether a namespace with a mount of one's own is to be had here."""
    if shutil.which("unshare") is None:
        return False
    attempt = [*_UNSHARE, "mount", "-t", "tmpfs", "tmpfs", "/mnt"]
    return subprocess.run(attempt, capture_output=True, check=False).returncode == 0
