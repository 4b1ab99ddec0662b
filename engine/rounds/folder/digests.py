"""What a round's files were when the round ended; see `engine.digests`.

Rounds that run, those whose worker was killed, and those of earlier versions have no digests. Logs, locks and the
moving map, which is another job's, are left out.
"""

from __future__ import annotations

from pathlib import Path, PurePosixPath

from engine.digests import Digests
from engine.errors import RESTORE_FILES
from engine.files import PARTIAL
from engine.rounds.folder import files

FROM_BACKUP = f"Take its files from a backup ({RESTORE_FILES}), or train another round."
ROUND = Digests("the round", FROM_BACKUP, grow=frozenset({files.EVENTS}))
"""To events.jsonl the worker's last words are added afterwards."""
_LEFT_OUT = frozenset({files.LOCK, files.LOG, files.DIGESTS})
_LEFT_OUT_FOLDERS = frozenset({files.CONTROL, files.MOVING})


def seal(folder: Path) -> None:
    """Write down what the files of a round that has ended are. Raises OSError, e.g. where the disk is full."""
    paths = (path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())
    ROUND.seal(folder, [name for name in paths if _belongs(name)])


def _belongs(name: str) -> bool:
    top = PurePosixPath(name).parts[0]
    return name not in _LEFT_OUT and top not in _LEFT_OUT_FOLDERS and not name.endswith(PARTIAL)
