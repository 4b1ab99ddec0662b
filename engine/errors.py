"""All errors Starling raises on purpose. Each says its cause, the offending value, and the way out.

StarlingError
├── ConfigError            a setting is outside its range (also a ValueError)
├── ProjectError
│   ├── NotAProject        the folder holds no project
│   ├── ProjectExists      a project is already there
│   ├── ProjectInUse       another process has this project open
│   ├── ProjectReadOnly    the folder cannot be written
│   ├── SchemaTooNew       written by a newer Starling
│   └── ProjectCorrupt     a check of stored data failed
│       └── EntriesLost    the ledger ends before an entry that was written
├── ImportRefused          nothing of this import was written
│   ├── SourceMissing      the path does not exist
│   ├── ArchiveRefused     not a zip, empty, encrypted, or over a cap
│   └── NothingToImport    no readable image inside
├── DecodeError            one file is not an acceptable image
├── LedgerError
│   ├── StaleVersion       the image was changed since it was shown
│   └── NothingToUndo      no decision of this person is left to take back
├── RoundError
│   ├── RoundBlocked       the data do not allow this round
│   ├── RoundActive        another round is queued or running
│   ├── RoundState         the round is not in a state that allows this
│   ├── DeviceMissing      the device asked for is not on this machine
│   └── CheckpointCorrupt  a checkpoint does not match its hash
├── TrainingDiverged       the loss became NaN or infinite
├── MapError               the map cannot be computed from these features
├── ExportError            the export could not be completed; nothing is left behind
└── ServerError            the app could not start (port in use, no such address)
"""

RESTORE = "Restore the last backup: starling restore PROJECT BACKUP."
"""The way out of damage that only a backup can mend."""
RESTORE_FILES = "starling restore PROJECT BACKUP --files-only"
"""Puts back files that are missing or damaged and leaves the labels as they are."""


class StarlingError(Exception):
    """Root of all intended errors.

    Args:
        cause: what is wrong, one sentence without a final full stop.
        value: the offending value, shown after the cause; None shows nothing.
        way_out: what the person can do, one or more full sentences.
    """

    def __init__(self, cause: str, *, value: object = None, way_out: str = "") -> None:
        self.cause = cause
        self.value = value
        self.way_out = way_out
        text = cause if value is None else f"{cause}: {value}"
        super().__init__(f"{text}. {way_out}".strip() if way_out else f"{text}.")


def first_line(error: BaseException) -> str:
    """Return the first line of what some library's error says, at most 300 characters; its type where it is mute."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:300]


class ConfigError(StarlingError, ValueError):
    """A setting is outside its range."""


class ProjectError(StarlingError):
    """A project cannot be made, opened or trusted."""


class NotAProject(ProjectError):
    """The folder holds no project."""


class ProjectExists(ProjectError):
    """A project is already there."""


class ProjectInUse(ProjectError):
    """Another process has this project open, serves it, or is restoring it."""


class ProjectReadOnly(ProjectError):
    """The project's folder cannot be written."""


class SchemaTooNew(ProjectError):
    """The project was written by a newer Starling."""


class ProjectCorrupt(ProjectError):
    """A check of stored data failed."""


class EntriesLost(ProjectCorrupt):
    """The ledger ends before an entry that was written, or is another one."""


class ImportRefused(StarlingError):
    """The import was refused as a whole; nothing of it was written."""


class SourceMissing(ImportRefused):
    """The path to import does not exist."""


class ArchiveRefused(ImportRefused):
    """The archive is not a zip, is empty, encrypted, or over a cap."""


class NothingToImport(ImportRefused):
    """No readable image was found."""


class DecodeError(StarlingError):
    """One file is not an acceptable image."""


class LedgerError(StarlingError):
    """A decision cannot be recorded."""


class StaleVersion(LedgerError):
    """The image was changed since it was shown."""


class NothingToUndo(LedgerError):
    """No decision of this person is left to take back."""


class RoundError(StarlingError):
    """A round cannot be started, continued or read."""


class RoundBlocked(RoundError):
    """The data do not allow this round."""


class RoundActive(RoundError):
    """Another round of this project is queued or running."""


class RoundState(RoundError):
    """The round is not in a state that allows this."""


class DeviceMissing(RoundError):
    """The device asked for is not on this machine."""


class CheckpointCorrupt(RoundError):
    """A checkpoint does not match its hash."""


class TrainingDiverged(StarlingError):
    """The loss became NaN or infinite."""


class MapError(StarlingError):
    """The map cannot be computed from these features."""


class ExportError(StarlingError):
    """The export could not be completed; nothing is left behind."""


class ServerError(StarlingError):
    """The app could not start."""
