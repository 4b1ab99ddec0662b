"""Who is signed in: a browser that came with the access token gets a session of its own, which ends and can be revoked.

A cookie goes to every port of its host, so it never holds the token itself. Of a session only the SHA-256 of its secret
is kept, in the folder of the projects, so that a restart signs nobody out and `starling tokens` can end it.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import hashlib
import json
import os
import secrets
import threading
import time
from collections.abc import Collection, Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from engine.errors import ServerError
from engine.files import replacing

FILE = ".sessions.json"
LONGEST = 30 * 24 * 3600
"""Seconds after which a session ends, however much it is used."""
UNUSED = 7 * 24 * 3600
"""Seconds after which one ends that nobody uses."""
NOTED = 3600
"""Seconds between two notes of when a session was used."""
MOST = 1000
"""Sessions that are kept; beyond them the one unused the longest ends."""
_SECRET = 32
_UNWRITABLE = (errno.EACCES, errno.EPERM, errno.EROFS)


@dataclass(frozen=True, slots=True)
class Session:
    """A browser that is signed in: `id` names it, `digest` is the SHA-256 of its secret in hex; times are seconds since
    1970; `browser` is what it calls itself, `host` by which name it came."""

    id: str
    digest: str
    created: float
    used: float
    browser: str
    host: str

    def ends(self) -> float:
        """Return when it ends unless it is used again."""
        return min(self.created + LONGEST, self.used + UNUSED)


class Sessions:
    """The sessions of one folder of projects, shared by every process that serves it and by the command line.

    Of a folder that cannot be written they last as long as the process.

    Args:
        home: the folder; it is made when the first session begins.
    """

    def __init__(self, home: Path) -> None:
        self._path = home / FILE
        self._lock = threading.Lock()
        self._seen: object = None
        self._name = ""
        self._sessions: dict[str, Session] = {}

    @property
    def name(self) -> str:
        """What tells the cookies of two folders of projects apart."""
        with self._lock:
            self._look()
            if not self._name:
                with self._changing():
                    pass
            return self._name

    def all(self) -> list[Session]:
        """Return those that have not ended, the newest first."""
        with self._lock:
            self._look()
            return sorted(self._standing(), key=lambda one: -one.created)

    def begin(self, browser: str = "", host: str = "") -> str:
        """Begin a session and return its secret, which nobody else ever sees.

        Raises:
            ServerError: it cannot be kept.
        """
        secret, now = secrets.token_urlsafe(_SECRET), time.time()
        made = Session(secrets.token_hex(4), _digest(secret), now, now, _tidy(browser), _tidy(host))
        with self._lock, self._changing():
            self._sessions[made.digest] = made
        return secret

    def knows(self, secret: str) -> bool:
        """Return whether this is the secret of a session that has not ended."""
        with self._lock:
            self._look()
            digest, now = _digest(secret), time.time()
            found = self._sessions.get(digest)
            if found is None or found.ends() <= now:
                return False
            if now - found.used > NOTED:
                with contextlib.suppress(ServerError), self._changing():  # a full disk signs nobody out at once
                    if digest in self._sessions:
                        self._sessions[digest] = replace(found, used=now)
            return digest in self._sessions

    def knows_still(self, secret: str) -> bool:
        """Return whether this is the secret of a session, where that takes no more than a look at the file's time.

        Nothing is read, written or waited for: False says that `knows` is to be asked.
        """
        if not self._lock.acquire(blocking=False):
            return False
        try:
            found = self._sessions.get(_digest(secret))
            now = time.time()
            fresh = found is not None and now < found.ends() and now - found.used <= NOTED
            return fresh and self._stamp() == self._seen
        except OSError:
            return False
        finally:
            self._lock.release()

    def revoke(self, ids: Collection[str]) -> list[Session]:
        """End sessions by their ids, at once in every process; return those that there were."""
        with self._lock, self._changing():
            gone = [one for one in self._sessions.values() if one.id in ids]
            for one in gone:
                del self._sessions[one.digest]
        return gone

    def _standing(self) -> list[Session]:
        now = time.time()
        return [one for one in self._sessions.values() if one.ends() > now]

    def _stamp(self) -> tuple[int, int, int]:
        found = os.stat(self._path)
        return found.st_mtime_ns, found.st_ino, found.st_size

    def _look(self) -> None:
        """Read the file again where it was changed."""
        try:
            seen = self._stamp()
            if seen == self._seen:
                return
            kept = json.loads(self._path.read_text(encoding="utf-8"))
            sessions = [Session(**one) for one in kept["sessions"]]
            self._name, self._seen = str(kept["name"]), seen
            self._sessions = {one.digest: one for one in sessions}
        except FileNotFoundError:
            if self._seen is not None:  # somebody removed it
                self._seen, self._sessions = None, {}
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise ServerError(
                "The list of sessions cannot be read",
                value=self._path,
                way_out="Remove it; every browser signs in anew.",
            ) from error

    @contextlib.contextmanager
    def _changing(self) -> Iterator[None]:
        """Change the sessions with no other process in between, and keep what came of it."""
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            held = open(self._path.with_name(f"{FILE}.lock"), "w", encoding="utf-8")  # noqa: SIM115 - entered below
        except OSError as error:
            if error.errno not in _UNWRITABLE:
                raise _not_kept(self._path, error) from error
            yield
            self._name = self._name or secrets.token_hex(4)
            return
        with held:
            fcntl.flock(held, fcntl.LOCK_EX)
            self._look()
            yield
            self._name = self._name or secrets.token_hex(4)
            try:
                self._keep()
            except OSError as error:
                raise _not_kept(self._path, error) from error

    def _keep(self) -> None:
        kept = sorted(self._standing(), key=lambda one: -one.used)[:MOST]
        text = json.dumps({"name": self._name, "sessions": [asdict(one) for one in kept]}, indent=1)
        with replacing(self._path) as aside:
            with open(os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as out:
                out.write(text)
            found = os.stat(aside)
        self._sessions = {one.digest: one for one in kept}
        self._seen = (found.st_mtime_ns, found.st_ino, found.st_size)


def _not_kept(path: Path, error: OSError) -> ServerError:
    words = f"The session cannot be kept ({error.strerror})"
    return ServerError(words, value=path, way_out="Free some disk space, or see why.")


def _digest(secret: str) -> str:
    return hashlib.sha256(secret.encode(errors="surrogateescape")).hexdigest()


def _tidy(text: str) -> str:
    return "".join(one for one in text if one.isprintable())[:120]
