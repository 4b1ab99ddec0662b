"""The certificate of an export, and what is worked out again from its files: every tampering is noticed."""

from __future__ import annotations

import csv
import io
import json
import shutil
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from engine.errors import ExportError, LedgerError
from engine.exporters import EXPORTERS
from engine.exporters.collect import ExportOptions
from engine.exporters.evidence import CERTIFICATE, FROZEN, LEDGER, TABLE, TEXT, beside
from engine.project.labels import new_uid
from engine.project.opened import Project
from engine.project.quality.verify import verify
from engine.project.review.ref import QueueRef
from engine.quality import certificate
from engine.quality.betting import ConfidenceSequence
from engine.quality.certificate import Certificate
from engine.records.goal import Goal
from engine.records.labels import Decision
from tests.auditing import answer_audit
from tests.made_round import make_round
from tests.ready_project import ReadyProjects, noisy_pets

LABELED, FREE = 20, 100


@pytest.fixture
def project(ready: ReadyProjects, tmp_path: Path) -> Iterator[Project]:
    with made(ready, tmp_path / "pets") as opened:
        yield opened


@pytest.fixture(scope="module")
def honest(ready: ReadyProjects, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The export of an audit of 60 right answers."""
    with made(ready, tmp_path_factory.mktemp("honest") / "pets") as opened:
        return certified(opened)


def made(ready: ReadyProjects, root: Path) -> Project:
    """20 imported labels and 100 predictions, all of them cats but for every other imported one."""
    opened = Project.open(ready.copy(noisy_pets(LABELED, FREE, ("cat", "dog")), root))
    table = opened.store.label_table()
    p = np.array([{"cat": 0.95, "dog": 0.05}.get(label, 0.97) for label in table.label])
    make_round(opened, np.stack([p, 1 - p], 1))
    opened.goals.set(Goal(0.1), "ann")
    return opened


def truth_of(project: Project, wrong: int = 0) -> Callable[[int], str]:
    """The frozen labels are right, but for the first so many predictions."""
    now = project.goals.labels_now()
    truth = dict(zip(now.image_ids.tolist(), now.label.tolist(), strict=True))
    for image_id in now.image_ids[now.source == "pseudo"][:wrong].tolist():
        truth[image_id] = "dog"
    return lambda image_id: str(truth[image_id])


def certified(project: Project, answers: int = 60, wrong: int = 0, form: str = "imagefolder_zip") -> Path:
    """Freeze, audit and export."""
    truth = truth_of(project, wrong)
    number = project.audits.freeze(rate=0.1).number
    answer_audit(project, number, answers, truth)
    return project.exports.write(ExportOptions(form, audit=number))


def held(path: Path) -> list[str]:
    """What does not hold."""
    return [finding.what for finding in verify(path) if not finding.holds]


def read(path: Path, name: str = CERTIFICATE) -> bytes:
    with zipfile.ZipFile(path) as archive:
        return archive.read(name)


def certificate_of(path: Path) -> Certificate:
    return certificate.of_json(json.loads(read(path)))


def tampered(path: Path, name: str, change: Callable[[bytes], bytes]) -> Path:
    """A copy of a zip with one file changed."""
    target = path.with_name(f"tampered-{path.name}")
    with zipfile.ZipFile(path) as old, zipfile.ZipFile(target, "w") as new:
        for info in old.infolist():
            data = old.read(info)
            changed = change(data) if info.filename == name else data
            assert info.filename != name or changed != data
            new.writestr(info, changed)
    return target


def in_json(change: Callable[[dict[str, Any]], object]) -> Callable[[bytes], bytes]:
    def changed(data: bytes) -> bytes:
        value = json.loads(data)
        change(value)
        return json.dumps(value).encode()

    return changed


def in_table(column: str, value: str, row: int = -1) -> Callable[[bytes], bytes]:
    def changed(data: bytes) -> bytes:
        rows = list(csv.DictReader(io.StringIO(data.decode(), newline="")))
        rows[row][column] = value
        text = io.StringIO(newline="")
        writer = csv.DictWriter(text, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
        return text.getvalue().encode()

    return changed


def test_an_honest_export_holds_and_says_what_was_shown(honest: Path) -> None:
    path = honest
    assert held(path) == []
    found = certificate_of(path)
    assert found.reached
    assert found.freeze.labels == 120
    assert (found.total.random, found.total.wrong, found.contents.added, found.contents.left_out) == (60, 0, 0, 0)
    assert found.total.left_wrong is not None
    assert found.total.left_wrong <= 12
    assert {part.part: part.labels for part in found.sources} == {"source:imported": 20, "source:pseudo": 100}
    text = read(path, TEXT).decode()
    assert certificate.statement(found) in text
    assert "is reached" in text
    assert found.freeze.digest in text


def test_an_unpacked_folder_and_tables_hold_too(project: Project, tmp_path: Path) -> None:
    path = certified(project)
    with zipfile.ZipFile(path) as archive:
        archive.extractall(tmp_path / "folder")
    assert held(tmp_path / "folder") == []
    for form, exporter in EXPORTERS.items():
        export = project.exports.write(ExportOptions(form, audit=1), target=tmp_path / f"{form}{exporter.suffix}")
        assert held(export) == []
        if exporter.suffix == ".zip":
            with zipfile.ZipFile(export) as archive:
                archive.extractall(tmp_path / form)
            if beside(export).exists():
                assert held(beside(export)) == []
                with zipfile.ZipFile(beside(export)) as archive:
                    archive.extractall(tmp_path / form)
            assert held(tmp_path / form) == []
            (image,) = tmp_path.glob(f"{form}/**/001.png") if form != "webdataset" else tmp_path.glob(f"{form}/*.tar")
            data = bytearray(image.read_bytes())
            data[data.index(b"IDAT") + 9] ^= 1
            image.write_bytes(data)
            assert any("not the image of the table: image" in what for what in held(tmp_path / form))
        else:
            assert held(beside(export)) == []


def test_wrong_labels_found_are_exported_put_right_and_counted(project: Project) -> None:
    path = certified(project, answers=90, wrong=10)
    found = certificate_of(path)
    assert found.total.found > 0
    assert held(path) == []
    rows = {int(row["image_id"]): row for row in csv.DictReader(io.StringIO(read(path, TABLE).decode(), newline=""))}
    wrong = [one.image_id for one in found.answers if one.y and one.settled]
    assert wrong
    assert {rows[image_id]["label"] for image_id in wrong} == {"dog"}


def first_unseen(path: Path) -> tuple[int, int]:
    """An image that nobody looked at, and its place in the table."""
    seen = {one.image_id for one in certificate_of(path).answers}
    rows = list(csv.DictReader(io.StringIO(read(path, TABLE).decode(), newline="")))
    return next((int(row["image_id"]), at) for at, row in enumerate(rows) if int(row["image_id"]) not in seen)


LATER: dict[str, tuple[str, Callable[[Path], Callable[[bytes], bytes]]]] = {
    "an exported label": (TABLE, lambda path: in_table("label", "dog", first_unseen(path)[1])),
    "a frozen label": (FROZEN, lambda path: lambda data: data.replace(b",cat,pseudo", b",dog,pseudo", 1)),
    "an answer left out": (CERTIFICATE, lambda path: in_json(lambda it: it["answers"].pop())),
    "an answer added": (
        CERTIFICATE,
        lambda path: in_json(lambda it: it["answers"].append({**it["answers"][0], "image_id": first_unseen(path)[0]})),
    ),
    "what an answer found": (CERTIFICATE, lambda path: in_json(lambda it: it["answers"][0].update(y=1.0))),
    "the salt": (CERTIFICATE, lambda path: in_json(lambda it: it["freeze"].update(salt=it["freeze"]["salt"] + 1))),
    "N": (CERTIFICATE, lambda path: in_json(lambda it: it["freeze"].update(labels=1000))),
    "N of the bound": (CERTIFICATE, lambda path: in_json(lambda it: it["total"].update(labels=1000))),
    "the bound": (CERTIFICATE, lambda path: in_json(lambda it: it["total"].update(left_wrong=0))),
    "the threshold": (CERTIFICATE, lambda path: in_json(lambda it: it.update(threshold=5.0))),
    "q": (CERTIFICATE, lambda path: in_json(lambda it: it.update(missed=0.0))),
    "j": (CERTIFICATE, lambda path: in_json(lambda it: it.update(place=2))),
    "the goal reached": (CERTIFICATE, lambda path: in_json(lambda it: it.update(reached=False))),
    "the statement": (CERTIFICATE, lambda path: in_json(lambda it: it.update(statement="All are right."))),
    "the text": (TEXT, lambda path: lambda data: data.replace(b"At most ", b"At most 0", 1)),
    "the digest": (CERTIFICATE, lambda path: in_json(lambda it: it["freeze"].update(digest="0" * 64))),
    "the freeze's entry": (CERTIFICATE, lambda path: in_json(lambda it: it["freeze"].update(ledger_seq=1))),
    "the ledger": (LEDGER, lambda path: lambda data: data.replace(b'"label": "cat"', b'"label": "dog"', 1)),
    "the ledger's end": (LEDGER, lambda path: lambda data: data[: data.rstrip().rfind(b"\n") + 1]),
    "an image's checksum": (TABLE, lambda path: in_table("sha256", "0" * 64)),
}


@pytest.mark.parametrize("what", LATER)
def test_tampering_is_noticed(honest: Path, what: str) -> None:
    name, change = LATER[what]
    assert held(tampered(honest, name, change(honest))) != []


def test_another_image_in_its_place_is_noticed(honest: Path) -> None:
    with zipfile.ZipFile(honest) as archive:
        image = next(name for name in archive.namelist() if name.startswith("train/"))
    changed = held(tampered(honest, image, lambda data: data + b" "))
    assert changed == ["Missing, or not the image of the table: image 1"]


def test_a_second_file_of_one_name_is_noticed(honest: Path, tmp_path: Path) -> None:
    path = Path(shutil.copy(honest, tmp_path))
    with zipfile.ZipFile(path, "a") as archive, pytest.warns(UserWarning, match="Duplicate"):
        archive.writestr(TEXT, read(path, TEXT))
    assert held(path) == [f"{TEXT} is twice in the archive"]


def test_an_answer_that_waits_for_its_second_look_is_wrong_and_not_put_right(project: Project) -> None:
    """Its frozen label may be wrong, and the label in force as well: it is found, and still left."""
    truth, number = truth_of(project), project.audits.freeze(rate=0.1).number
    answer_audit(project, number, 30, truth)
    answer_audit(project, number, 1, lambda image_id: "cat" if truth(image_id) == "dog" else "dog")
    path = project.exports.write(ExportOptions(audit=number))
    found, total = certificate_of(path), project.audits.get(number).total
    assert (found.total.found, found.total.unsettled) == (1, 1)
    assert total.left_wrong == total.sequence.left_wrong(total.missed) + 1 == found.total.left_wrong
    assert held(path) == []


def test_labels_that_changed_without_a_look_are_counted_as_wrong(project: Project) -> None:
    before = certificate_of(certified(project))
    seen = {one.image_id for one in before.answers}
    table = project.store.label_table()
    free = [int(i) for i in table.image_ids[table.undecided] if int(i) not in seen][:3]
    batch = [
        Decision(new_uid(), one, 0, "accept", "dog", round=1, confidence=0.5, batch="tiles", seen_seconds=1.0)
        for one in free
    ]
    assert {ack.status for ack in project.labels.decide(batch, "tiles")} == {"saved"}
    path = project.exports.write(ExportOptions(audit=1))
    after = certificate_of(path)
    assert after.contents.changed == tuple(free)
    assert before.total.left_wrong is not None
    assert after.total.left_wrong == before.total.left_wrong + 3
    assert "3 labels have changed since the freeze" in certificate.statement(after)
    assert held(path) == []


def test_an_export_of_some_images_claims_nothing_of_their_share(project: Project) -> None:
    certified(project)
    some = frozenset(project.store.image_ids().tolist()[::2])
    path = project.exports.write(ExportOptions(images=some, audit=1))
    found = certificate_of(path)
    assert found.contents.left_out > 0
    assert not found.reached
    assert "of the share wrong among the exported ones nothing is claimed" in certificate.statement(found)
    assert held(path) == []


def test_an_image_rejected_in_the_audit_does_not_take_the_claim_away(project: Project) -> None:
    truth, number = truth_of(project), project.audits.freeze(rate=0.1).number
    item = project.queue.next(
        limit=1, ref=__import__("engine.project.review.ref", fromlist=["QueueRef"]).QueueRef.of_audit(number)
    )[0][0]
    decision = Decision(new_uid(), item.image_id, item.version, "reject", seconds=1.0)
    project.labels.decide([decision], asked={item.image_id: item.asked or ""})
    answer_audit(project, number, 80, truth)
    path = project.exports.write(ExportOptions(audit=number))
    found = certificate_of(path)
    assert found.contents.left_out == 0
    assert held(path) == []


def test_no_bound_is_stated_before_twenty_answers(project: Project) -> None:
    path = certified(project, answers=7)
    found = certificate_of(path)
    assert found.total.left_wrong is None
    assert (
        certificate.statement(found) == "7 of the first 20 random answers to 120 frozen labels, 0 wrong: no bound yet."
    )
    assert held(path) == []


def test_an_export_without_an_audit_carries_no_certificate(project: Project) -> None:
    path = project.exports.write(ExportOptions())
    with zipfile.ZipFile(path) as archive:
        assert not {CERTIFICATE, TEXT, FROZEN} & set(archive.namelist())
    with pytest.raises(ExportError, match="no certificate"):
        verify(path)


def test_a_later_table_of_the_same_name_drops_the_evidence_of_the_earlier(project: Project, tmp_path: Path) -> None:
    table = tmp_path / "set.csv"
    plain = project.exports.write(ExportOptions("csv"), target=table)
    assert not beside(plain).exists()
    number = project.audits.freeze(rate=0.1).number
    answer_audit(project, number, 3, truth_of(project))
    project.exports.write(ExportOptions("csv", audit=number), target=table)
    assert beside(table).is_file()
    nothing = ExportOptions("csv", frozenset(), unlabeled=True)
    project.exports.write(nothing, target=table)
    assert not beside(table).exists()


FIXTURES = Path(__file__).parent / "fixtures"


def test_certificates_of_the_first_method_are_worked_out_again_by_it(tmp_path: Path) -> None:
    """Each bound of a class by itself; the same claim under the later method does not follow."""
    for name in ("certificate_1.csv", "certificate_1.csv.certificate.zip"):
        shutil.copy(FIXTURES / name, tmp_path)
    path = tmp_path / "certificate_1.csv"
    assert held(path) == []
    assert any(finding.what.startswith("By method 1: each bound") for finding in verify(path))
    with zipfile.ZipFile(beside(path)) as archive:
        stored = json.loads(archive.read(CERTIFICATE))
    assert "table" not in stored
    stored |= {"format_version": 2, "table": 4, "method_version": 2}
    stored["freeze"] |= {"trusted": None, "before": 0}
    changed = tampered(beside(path), CERTIFICATE, lambda _: json.dumps(stored).encode())
    changed.replace(beside(path))
    assert any("“classes” of the certificate" in what for what in held(path))


def test_bounds_of_classes_and_sources_are_a_table_that_needs_more_evidence_and_the_goal_does_not(
    honest: Path,
) -> None:
    found = certificate_of(honest)
    assert (found.table, found.threshold) == (len(found.classes) + len(found.sources), 20.0)
    cats = next(one for one in found.classes if one.part == "class:cat")
    alone, tabled = (
        ConfidenceSequence.replay(cats.labels, [(n, "random", 1, 0.0) for n in range(cats.random)], needed)
        for needed in (20.0, 20.0 * found.table)
    )
    assert (cats.found, cats.upper) == (0, tabled.upper)
    assert tabled.upper > alone.upper
    text = read(honest, TEXT).decode()
    assert f"These {found.table} bounds hold together, each where E reaches {20 * found.table}" in text
    assert "says nothing of images of the class that are called otherwise" in " ".join(text.split())
    assert any(f"By method 2: the {found.table} bounds" in finding.what for finding in verify(honest))


def trusted_export(project: Project, answers: int) -> tuple[Path, int]:
    """Confirm the first 30 predictions, freeze what nobody looked at, audit it and export everything."""
    table, truth = project.store.label_table(), truth_of(project)
    seen = [int(i) for i in table.image_ids[table.undecided]][:30]
    looks = [Decision(new_uid(), one, 0, "accept", truth(one), round=1, confidence=0.97, seconds=1.0) for one in seen]
    assert {ack.status for ack in project.labels.decide(looks)} == {"saved"}
    number = project.audits.freeze(rate=0.1, trusting=True).number
    answer_audit(project, number, answers, truth)
    return project.exports.write(ExportOptions(audit=number)), number


def test_answers_taken_as_the_truth_are_stated_and_the_goal_is_a_share_of_all(project: Project) -> None:
    """90 of 120 labels are audited, and 12 may be wrong: a tenth of all."""
    path, number = trusted_export(project, 25)
    audit, found = project.audits.get(number), certificate_of(path)
    assert (audit.labels, audit.total.whole, audit.missed, audit.added) == (90, 120, 0.0, 0)
    assert (found.freeze.trusted, found.freeze.labels, found.contents.added, found.missed) == (30, 90, 0, 0.0)
    left = ConfidenceSequence.replay(90, audit.total.bets, 20.0).upper
    assert audit.left_wrong == left == found.total.left_wrong
    assert audit.reached(left / 120)
    assert not audit.reached((left - 1) / 120)
    words = certificate.statement(found)
    assert f"At most {left} of 120 labels are wrong" in words
    assert "takes the answers of people as the truth: 30 labels" in words
    assert held(path) == []
    assert project.store.verify() == []


@pytest.mark.parametrize("number", [29, None])
def test_another_number_of_trusted_labels_is_noticed(project: Project, number: int | None) -> None:
    path, _ = trusted_export(project, 21)
    assert held(tampered(path, CERTIFICATE, in_json(lambda it: it["freeze"].update(trusted=number)))) != []


def test_an_honest_audit_cannot_be_passed_off_as_one_that_trusts(honest: Path) -> None:
    change = in_json(lambda it: (it["freeze"].update(trusted=0), it.update(missed=0.0)))
    assert any("digest" in what for what in held(tampered(honest, CERTIFICATE, change)))


def test_an_audit_gone_on_with_keeps_its_labels_order_and_place(project: Project) -> None:
    truth, number = truth_of(project), project.audits.freeze(rate=0.1).number
    answer_audit(project, number, 25, truth)
    following = project.queue.next(limit=3, ref=QueueRef.of_audit(number))[0]
    before = project.audits.get(number)
    project.audits.close(number)
    with pytest.raises(LedgerError, match="closed"):
        project.audits.close(number)
    again = project.audits.reopen(number)
    assert (again.open, again.place, again.record.digest) == (True, 1, before.record.digest)
    assert project.queue.next(limit=3, ref=QueueRef.of_audit(number))[0] == following
    answer_audit(project, number, 15, truth)
    assert project.audits.get(number).total.random == 40
    with pytest.raises(LedgerError, match="another audit is open"):
        project.audits.reopen(number)
    assert held(project.exports.write(ExportOptions(audit=number))) == []
    assert project.store.verify() == []
