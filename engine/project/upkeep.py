"""The desk of upkeep: a check of everything the project holds, and a repair of what can be made again.

What is made from the originals or the ledger can: labels in force, thumbnails, caches, maps, checks. Originals, the
ledger and what a round wrote cannot: each problem with those says what to do.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from engine.errors import RESTORE_FILES, MapError, ProjectReadOnly, RoundError, StarlingError
from engine.images import array_cache, feature_parts, thumbnails
from engine.jobs import check, fixed_map, moving_map, parent
from engine.jobs.fixed_map_sources import DIGESTS as MAP_DIGESTS
from engine.project import given_predictions
from engine.project.workspace import Workspace, quiet
from engine.records.progress import Progress
from engine.records.rounds import COMPLETE_STATES, RESUMABLE_STATES, MapState, RoundRecord
from engine.rounds.folder import digests, files, identity, results
from engine.rounds.folder.digests import FROM_BACKUP, ROUND

POLL_SECONDS = 0.5
REPAIR = "starling doctor PROJECT --repair"
_MADE_AGAIN = "It is made anew when it is needed."


@dataclass(frozen=True)
class Finding:
    """Something that is damaged, or that has no digest.

    Attributes:
        text: what, in full sentences, with what to do where it cannot be mended.
        mend: makes it again, may raise a StarlingError or OSError; None where nothing here can.
        damage: whether it is damaged; else it has no digest, because an earlier version wrote it, and may be sound.
    """

    text: str
    mend: Callable[[], object] | None = None
    damage: bool = True


@dataclass(frozen=True)
class Health:
    """What a check of a project found.

    Attributes:
        problems: what is damaged, a sentence or two each.
        notes: what has no digest and so could not be checked.
        repaired: what was damaged or had no digest, and was made again or given one.
        mendable: how many of the problems a repair can mend.
    """

    problems: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    repaired: tuple[str, ...] = ()
    mendable: int = 0


class Upkeep:
    """What keeps one project sound; a copy of its database is `Store.backup`."""

    def __init__(self, workspace: Workspace) -> None:
        self._workspace = workspace
        self._root, self._store = workspace.root, workspace.store

    def doctor(self, progress: Progress = quiet, *, repair: bool = False) -> Health:
        """Check the database, the ledger's chain, the rounds' files, originals, thumbnails, caches, maps and checks.

        Args:
            progress: told how far it is.
            repair: make again what can be, and give a digest to what has none.

        Raises:
            ProjectReadOnly: it is to be repaired, and the project is open read-only.
        """
        if repair and self._store.read_only:
            raise ProjectReadOnly(
                "The project cannot be repaired: it is open read-only", value=self._root, way_out="Make it writable."
            )
        problems: list[str] = []
        notes: list[str] = []
        repaired: list[str] = []
        mendable = 0
        for finding in self._findings(progress):
            flaw = _mended(finding) if repair and finding.mend is not None else ""
            if repair and finding.mend is not None and not flaw:
                repaired.append(finding.text)
            elif finding.damage:
                problems.append(f"{finding.text} {flaw}".strip())
                mendable += finding.mend is not None
            else:
                notes.append(f"{finding.text} {flaw}".strip())
        return Health(tuple(problems), tuple(notes), tuple(repaired), mendable)

    def _findings(self, progress: Progress) -> Iterator[Finding]:
        progress("Checking the database", 0, 0)
        yield from self._database()
        records = self._store.rounds()
        for done, record in enumerate(records):
            progress("Checking rounds", done, len(records))
            if record.state in COMPLETE_STATES:
                yield from self._round(record)
            elif record.state in RESUMABLE_STATES and record.report is None:
                folder = self._workspace.round_folder(record.number)
                yield from (Finding(f"round {record.number}: {flaw}") for flaw in ROUND.find_flaws(folder))
        yield from self._images(progress)
        progress("Checking caches, maps and checks", 0, 0)
        yield from self._caches()
        yield from self._maps()
        for record in records:
            yield from self._moving(record.number)
        yield from self._checks()

    # --- the database -----------------------------------------------------------------------------------------

    def _database(self) -> Iterator[Finding]:
        for problem in self._store.verify():
            mend = None
            if problem.startswith("labels: "):
                mend = self._store.rebuild_projection
            elif problem.startswith("classes: ") and self._store.classes_can_be_ordered():
                mend = self._store.reorder_classes
            yield Finding(problem, mend)
        for what in self._store.unsealed():
            yield Finding(f"No digest: {what}.", self._store.seal_all, damage=False)
        uids = {record.number: record.uid for record in self._store.rounds()}
        for folder, why in identity.strangers(self._root, uids).items():
            if folder.name.isdecimal() and int(folder.name) in uids and ROUND.find_flaws(folder):
                continue  # the plan that says whose it is may be what is damaged, which the round's check tells
            yield Finding(f"folder {folder}: {why}; move it away, or leave it for a round of this number to do so")

    # --- rounds -----------------------------------------------------------------------------------------------

    def _round(self, record: RoundRecord) -> Iterator[Finding]:
        folder = self._workspace.round_folder(record.number)
        if record.live and record.report is None:
            return
        if not record.live and (folder / files.DIGESTS).exists():
            for flaw in ROUND.find_flaws(folder):
                yield Finding(f"round {record.number}: {flaw}")
        unusable = self._predictions_flaw(record, folder)
        if unusable is not None:
            yield Finding(f"round {record.number}: {unusable}")
        elif not record.live and not (folder / files.DIGESTS).exists():
            text = f"No digest: the files of round {record.number} but its predictions, which are sound."
            yield Finding(text, partial(digests.seal, folder), damage=False)

    def _predictions_flaw(self, record: RoundRecord, folder: Path) -> str | None:
        """What is wrong with a complete round's predictions, where its digests do not say so already."""
        named = "" if record.report is None else record.report.predictions.sha256
        try:
            found = results.final_predictions(folder)
        except RoundError:
            return f"Its predictions are gone: {folder}. {FROM_BACKUP}"
        except StarlingError as error:
            return None if (folder / files.DIGESTS).exists() else str(error)
        if not record.live and found.version != named:
            return f"Its predictions are not those that the database names: {folder}. {FROM_BACKUP}"
        return None

    # --- images -----------------------------------------------------------------------------------------------

    def _images(self, progress: Progress) -> Iterator[Finding]:
        items = self._workspace.items()
        undigested: list[str] = []
        for done, item in enumerate(items):
            if done % 500 == 0:
                progress("Checking originals and thumbnails", done, len(items))
            fault = thumbnails.verify_original(self._root, item.sha256)
            if fault:
                way_out = f"Import it again, or take it from a backup: {RESTORE_FILES}."
                yield Finding(f"image {item.id} ({item.name}): {fault}. {way_out}")
            flaw = thumbnails.thumbnail_flaw(self._root, item.sha256)
            if flaw == "damaged":
                text = f"image {item.id} ({item.name}): its thumbnail is damaged or of another image. {_MADE_AGAIN}"
                yield Finding(text, partial(thumbnails.make_thumbnail, self._root, item.sha256))
            elif flaw == "undigested":
                undigested.append(item.sha256)
        if undigested:
            text = f"No digest: the thumbnails of {len(undigested):,} images. {_MADE_AGAIN}"
            yield Finding(text, partial(self._make_thumbnails, undigested, progress), damage=False)
        try:
            given_predictions.read(self._root)
        except StarlingError as error:
            yield Finding(str(error))

    def _make_thumbnails(self, shas: list[str], progress: Progress) -> None:
        for done, sha256 in enumerate(shas):
            progress("Making thumbnails", done, len(shas))
            thumbnails.make_thumbnail(self._root, sha256)

    # --- what is made of them ---------------------------------------------------------------------------------

    def _caches(self) -> Iterator[Finding]:
        for path, how in array_cache.damaged_arrays(self._root).items():
            drop = partial(array_cache.drop_arrays, path)
            yield Finding(f"The image cache {path}: {how}. {_MADE_AGAIN}", drop)
        for path in feature_parts.damaged_parts(self._root):
            drop = partial(path.unlink, missing_ok=True)
            yield Finding(f"Kept features are damaged or of another network: {path}. {_MADE_AGAIN}", drop)

    def _maps(self) -> Iterator[Finding]:
        for folder in fixed_map.folders(self._root):
            if parent.state(folder).status != "ready":
                continue
            if (flaw := fixed_map.damage(folder)) is not None:
                yield Finding(flaw, partial(self._map_anew, folder))
            elif MAP_DIGESTS.known(folder) is None:
                seal = partial(fixed_map.seal, folder)
                yield Finding(f"No digest: the map {folder.name}.", seal, damage=False)

    def _map_anew(self, folder: Path) -> None:
        """Compute a map again; one that is not of the images there are now goes, a newer one takes its place."""
        items, spec = self._workspace.items(), self._workspace.array_spec()
        source = folder.name.rpartition("-")[0]
        if fixed_map.folder_of(self._root, items, source) == folder:
            fixed_map.start(self._root, items, spec, source)
            _wait(partial(fixed_map.state, self._root, items, source))
        else:
            shutil.rmtree(folder)

    def _moving(self, number: int) -> Iterator[Finding]:
        folder = self._workspace.round_folder(number)
        if moving_map.is_damaged(folder):
            yield Finding(f"The moving map of round {number} cannot be read.", partial(self._moving_anew, folder))

    def _moving_anew(self, folder: Path) -> None:
        moving_map.start(folder, fresh=True)
        _wait(partial(moving_map.state, folder))

    def _checks(self) -> Iterator[Finding]:
        for path in check.damaged(self._root):
            text = f"The result of a check is damaged: {path}. Check again on the quality page."
            yield Finding(text, partial(path.unlink, missing_ok=True))


def _mended(finding: Finding) -> str:
    """Mend what was found; return why it could not be, in words, "" where it could."""
    assert finding.mend is not None
    try:
        finding.mend()
    except StarlingError as error:
        return f"It could not be repaired: {error}"
    except OSError as error:
        return f"It could not be repaired: {error.strerror or error}."
    return ""


def _wait(state: Callable[[], MapState]) -> None:
    """Wait for a job.

    Raises:
        MapError: it failed or was cancelled.
    """
    while (now := state()).status == "running":
        time.sleep(POLL_SECONDS)
    if now.status != "ready":
        raise MapError("The map could not be computed", value=now.error or now.status, way_out="Start it on its page.")
