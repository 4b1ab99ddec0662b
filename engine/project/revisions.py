"""Named revisions: what the labels were at an entry of the ledger, under a name, and what changed between two."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from datetime import UTC, datetime

from engine.errors import ConfigError
from engine.project.workspace import Workspace
from engine.records.labels import LedgerEntry
from engine.store import Store

NOW = "now"
"""Names the last entry of the ledger."""
_KEY = "revisions"
_LONGEST = 100


@dataclass(frozen=True, slots=True)
class Revision:
    """The state of the labels once an entry of the ledger was written.

    Attributes:
        name: as it was given; empty for one that is only a number.
        seq: the entry; 0 before any.
        hash: of that entry, which stands for all before it; empty before any.
        last_image: the image with the highest number that was there; None where nobody noted it.
        made: when it was named, ISO 8601; empty for one that is only a number.
    """

    name: str
    seq: int
    hash: str
    last_image: int | None = None
    made: str = ""


@dataclass(frozen=True, slots=True)
class Change:
    """One image whose label differs between two revisions.

    Attributes:
        name: the image's original path.
        before, after: its label; None for none.
        rejected: whether it was rejected in the later one, so that no export holds it.
        by, at, seq: who last changed it on the way, when and in which entry.
    """

    image_id: int
    name: str
    before: str | None
    after: str | None
    rejected: bool
    by: str
    at: str
    seq: int


class Revisions:
    """The named revisions of one project."""

    def __init__(self, workspace: Workspace) -> None:
        self._workspace = workspace
        self._lock = threading.Lock()

    def all(self) -> list[Revision]:
        """Return the named revisions, in the order in which they were named."""
        return [Revision(**one) for one in json.loads(self._store.meta(_KEY) or "[]")]

    def add(self, name: str, seq: int | None = None) -> Revision:
        """Give the labels of now, or as they were at an entry of the ledger, a name.

        Raises:
            ConfigError: the name is taken, empty, too long, a number or “now”, or there is no such entry.
        """
        name = name.strip()
        flawed = not name or len(name) > _LONGEST or not name.isprintable() or name.isdecimal() or name == NOW
        if flawed or ".." in name:
            raise ConfigError(
                "A revision cannot be called so", value=repr(name[:_LONGEST]), way_out="Try a word, such as v1."
            )
        with self._lock:
            known = self.all()
            if any(one.name == name for one in known):
                raise ConfigError("There is a revision of this name", value=name, way_out="Choose another name.")
            ids = self._store.label_table().image_ids
            last_image = int(ids[-1]) if seq is None and len(ids) else None
            found = self._numbered(self._store.head_seq() if seq is None else seq)
            made = datetime.now(UTC).isoformat(timespec="seconds")
            revision = Revision(name, found.seq, found.hash, last_image, made)
            self._store.set_meta(_KEY, json.dumps([asdict(one) for one in (*known, revision)]))
        return revision

    def get(self, text: str) -> Revision:
        """Return the revision of this name; “now” and the number of an entry of the ledger name one too.

        Raises:
            ConfigError: there is none, or the ledger is not the one of which the revision was named.
        """
        named = next((one for one in self.all() if one.name == text.strip()), None)
        if named is not None:
            if self._numbered(named.seq).hash != named.hash:
                raise ConfigError(
                    "The ledger is not the one of which this revision was named", value=named.name,
                    way_out="`starling doctor` says more.",
                )  # fmt: skip
            return named
        if text.strip() == NOW:
            return self._numbered(self._store.head_seq())
        if text.strip().isdecimal():
            return self._numbered(int(text))
        known = ", ".join([one.name for one in self.all()][-5:])
        raise ConfigError(
            "There is no revision of this name", value=text,
            way_out=f"Known: {known}." if known else "Name one with `starling revisions PROJECT --name NAME`.",
        )  # fmt: skip

    def diff(self, before: Revision, after: Revision) -> list[Change]:
        """Return the images whose label or rejection differs between two revisions, in image order.

        Raises:
            ConfigError: the first is later than the second.
        """
        if before.seq > after.seq:
            raise ConfigError(
                "The first revision is later than the second", value=f"{before.seq} and {after.seq}",
                way_out="Exchange them.",
            )  # fmt: skip
        old: dict[int, tuple[str | None, bool]] = {}
        state: dict[int, tuple[str | None, bool]] = {}
        behind: dict[int, LedgerEntry] = {}
        for entry in self._until(after.seq):
            now = (entry.label, entry.mark == "reject")
            if entry.seq <= before.seq:
                old[entry.image_id] = now
            elif now != state.get(entry.image_id, (None, False)):
                behind[entry.image_id] = entry
            state[entry.image_id] = now
        nothing = (None, False)
        changed = [number for number in sorted(behind) if old.get(number, nothing) != state[number]]
        names = {item.id: item.name for item in self._workspace.items()}
        return [
            Change(
                number, names[number], old.get(number, nothing)[0], *state[number], behind[number].actor,
                behind[number].time, behind[number].seq,
            )
            for number in changed
        ]  # fmt: skip

    @property
    def _store(self) -> Store:
        return self._workspace.store

    def _until(self, seq: int) -> Iterator[LedgerEntry]:
        for entry in self._store.entries():
            if entry.seq > seq:
                return
            yield entry

    def _numbered(self, seq: int) -> Revision:
        """The revision of an entry; ConfigError where there is none."""
        if seq == 0:
            return Revision("", 0, "")
        found = self._store.history(limit=1, before=seq + 1) if seq > 0 else []
        if not found or found[0].seq != seq:
            raise ConfigError(
                "The ledger has no such entry", value=seq, way_out=f"The last one is {self._store.head_seq():,}."
            )
        return Revision("", seq, found[0].hash)
