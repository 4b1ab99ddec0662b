"""Audits in a project: frozen labels, blind answers, second looks, a bound at each answer, acceptance by threshold."""

from __future__ import annotations

import csv
import io
import json
import zipfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from engine.errors import ConfigError, LedgerError
from engine.exporters.collect import ExportOptions
from engine.project.labels import new_uid
from engine.project.opened import Project
from engine.project.review.ref import QueueRef
from engine.quality.audit import statement
from engine.quality.betting import ConfidenceSequence, threshold
from engine.quality.frozen import along, frozen_digest
from engine.quality.standing import ASSUMED_MISS
from engine.records.labels import Action, Decision
from tests.auditing import answer_audit, answer_item, frozen_label, next_item
from tests.made_round import make_round
from tests.ready_project import ReadyProjects, noisy_pets

LABELED, FREE = 20, 100


@pytest.fixture
def project(ready: ReadyProjects, tmp_path: Path) -> Iterator[Project]:
    """20 labeled images (every other one a cat), 100 without a label."""
    with Project.open(ready.copy(noisy_pets(LABELED, FREE, ("cat", "dog")), tmp_path / "pets")) as opened:
        yield opened


@pytest.fixture
def number(project: Project) -> int:
    """A round: 60 free images predicted cat at .99, 30 dog at .9, 10 cat at .6."""
    table = project.store.label_table()
    cat = iter([0.99] * 60 + [0.1] * 30 + [0.6] * 10)
    p = np.array([{"cat": 0.9, "dog": 0.2}[label] if label else next(cat) for label in table.label])
    return make_round(project, np.stack([p, 1 - p], 1))


def decide(project: Project, image_id: int, label: str | None, action: Action = "label", actor: str = "local") -> str:
    """Decide on one image in front, as the review does outside of an audit."""
    table, uid = project.store.label_table(), new_uid()
    version = int(table.version[table.rows(np.array([image_id]))[0]])
    [ack] = project.labels.decide([Decision(uid, image_id, version, action, label, actor, seconds=1.0)])
    assert ack.status == "saved"
    return uid


def other(label: str) -> str:
    return {"cat": "dog", "dog": "cat"}[label]


def counted(project: Project) -> tuple[int, int, int, int]:
    """Of audit 1: random answers and wrong ones among them, images looked at and found wrong."""
    total = project.audits.get(1).total
    return total.random, total.wrong, total.looked, total.found


def last_cats(project: Project) -> Iterator[int]:
    """Images frozen as cats, those that come last in the order of audit 1 first."""
    audit, label = project.audits.get(1), frozen_label(project, 1)
    ids = audit.frozen.image_ids
    yield from (int(i) for i in ids[along(ids, audit.record.salt)][::-1] if label(int(i)) == "cat")


# freezing ---------------------------------------------------------------------------------------------------------


def test_a_freeze_takes_every_label_of_an_export_and_can_be_computed_from_it(project: Project, number: int) -> None:
    free = project.store.image_ids()[LABELED:].tolist()
    decide(project, free[0], "dog")
    decide(project, free[1], None, "reject")
    decide(project, free[2], None, "skip")
    audit = project.audits.freeze(rate=0.02, actor="anna")
    assert audit.frozen.per_source() == {"imported": 20, "human": 1, "pseudo": 97}
    assert (audit.record.rate, audit.record.actor, audit.place, audit.threshold) == (0.02, "anna", 1, 20.0)
    everything = frozenset({"imported", "human", "pseudo"})
    options = ExportOptions("csv", everything, min_confidence=0.0, unlabeled=False)
    answer_audit(project, 1, 20, frozen_label(project, 1))  # the same labels, some of them by another source
    rows = list(csv.DictReader(io.StringIO(project.exports.write(options, target=project.root / "a.csv").read_text())))
    source = dict(zip(audit.frozen.image_ids.tolist(), audit.frozen.source_code.tolist(), strict=True))
    lines = [
        (int(row["image_id"]), row["sha256"], row["label"], audit.frozen.sources[source[int(row["image_id"])]])
        for row in rows
    ]
    assert audit.record.digest == frozen_digest(sorted(lines))
    assert project.store.verify() == []


def test_one_audit_is_open_at_a_time_and_one_without_answers_costs_nothing(project: Project) -> None:
    project.audits.freeze()
    with pytest.raises(LedgerError, match="another audit is open"):
        project.audits.freeze()
    assert project.audits.close(1).state == "closed"
    assert project.audits.freeze().place == 1


def test_without_any_label_there_is_nothing_to_freeze(project: Project) -> None:
    reject = [Decision(new_uid(), i, v, "reject") for i, v in _versions(project)]
    project.labels.decide(reject, "page")
    with pytest.raises(ConfigError, match="are none"):
        project.audits.freeze()


def _versions(project: Project) -> list[tuple[int, int]]:
    table = project.store.label_table()
    return list(zip(table.image_ids.tolist(), table.version.tolist(), strict=True))


def test_what_was_said_before_the_freeze_does_not_count(project: Project, number: int) -> None:
    decide(project, int(project.store.image_ids()[-1]), "dog")
    project.audits.freeze()
    assert counted(project) == (0, 0, 0, 0)


# asking -----------------------------------------------------------------------------------------------------------


def test_an_audit_goes_along_its_own_order_blind_and_an_answer_draws_its_image(project: Project, number: int) -> None:
    audit = project.audits.freeze()
    ids = audit.frozen.image_ids
    order = ids[along(ids, audit.record.salt)].tolist()
    items, total = project.queue.next(limit=7, ref=QueueRef.of_audit(1))
    assert ([item.image_id for item in items], total) == (order[:7], 120)
    assert all(
        (one.blind, one.prediction, one.label, one.source, one.top) == (True, None, None, None, ()) for one in items
    )
    assert project.store.audit_news(1, 0, 0).draws == [], "being looked at is no draw"
    label = frozen_label(project, 1)
    answer_item(project, items[0], label(order[0]))
    answer_item(project, items[2], label(order[2]))
    assert [one.image_id for one in project.store.audit_news(1, 0, 0).draws] == order[:3]
    assert counted(project) == (3, 1, 3, 1), "what was passed over counts as wrong"
    assert project.audits.get(1).unanswered == (order[1],)
    assert next_item(project, 1).image_id == order[1]
    answer_item(project, next_item(project, 1), label(order[1]))
    assert counted(project) == (3, 0, 3, 0)
    assert len(project.store.measured().image_ids) == 0, "the measured set has an order of its own"
    assert project.store.verify() == []


@pytest.mark.parametrize("action", ["skip", "unsure", "flag"])
def test_a_question_left_open_counts_as_wrong_until_it_is_answered(
    project: Project, number: int, action: Action
) -> None:
    project.audits.freeze()
    item = next_item(project, 1)
    answer_item(project, item, None, action)
    assert counted(project) == (1, 1, 1, 1)
    assert next_item(project, 1).image_id != item.image_id, "it does not come again at once"
    assert next_item(project, 1, "open").image_id == item.image_id
    assert project.queue.item(item.image_id).blind
    label = frozen_label(project, 1)(item.image_id)
    decide(project, item.image_id, label)
    assert counted(project) == (1, 1, 1, 1), "who sees the label is swayed by it"
    answer_item(project, next_item(project, 1, "open"), label)
    assert counted(project) == (1, 0, 1, 0)


def test_an_answer_taken_back_counts_as_wrong_until_it_is_given_again(project: Project, number: int) -> None:
    project.audits.freeze()
    item = next_item(project, 1)
    uid = answer_item(project, item, frozen_label(project, 1)(item.image_id))
    look = decide(project, next(last_cats(project)), "cat")
    assert counted(project) == (1, 0, 2, 0)
    for one in (uid, look):
        assert project.store.undo(new_uid(), "local", one)[0].status == "saved"
    assert counted(project) == (1, 1, 2, 2)
    assert project.store.verify() == []


def test_a_restart_goes_on_where_it_was(project: Project, number: int) -> None:
    project.audits.freeze()
    answer_audit(project, 1, 25, frozen_label(project, 1))
    following, before = next_item(project, 1), project.audits.get(1)
    project.close()
    with Project.open(project.root) as again:
        found = again.audits.get(1)
        assert (found.total.bets, found.left_wrong) == (before.total.bets, before.left_wrong)
        assert next_item(again, 1) == following


# second looks -----------------------------------------------------------------------------------------------------


def test_an_answer_that_differs_is_asked_again_later_and_the_label_stands_if_the_second_agrees(
    project: Project, number: int
) -> None:
    project.audits.freeze()
    label = frozen_label(project, 1)
    item = next_item(project, 1)
    answer_item(project, item, other(label(item.image_id)))
    assert (counted(project), project.audits.get(1).seconds) == ((1, 1, 1, 1), (item.image_id,))
    assert project.queue.item(item.image_id).label is None, "whoever opens it again sees nothing either"
    asked = answer_audit(project, 1, 10, label)
    assert item.image_id not in asked, "not at once"
    again = next_item(project, 1)
    assert (again.image_id, again.why) == (item.image_id, item.why), "and nothing says that it is asked again"
    answer_item(project, again, label(item.image_id))
    assert (counted(project), project.audits.get(1).seconds) == ((11, 0, 11, 0), ())
    [state] = project.store.states([item.image_id])
    assert state.label == label(item.image_id), "the label stands"


def test_a_label_is_wrong_where_neither_look_agrees_and_the_second_is_in_force(project: Project, number: int) -> None:
    project.audits.freeze()
    label = frozen_label(project, 1)
    item = next_item(project, 1)
    answer_item(project, item, other(label(item.image_id)))
    answer_audit(project, 1, 10, label)
    answer_item(project, next_item(project, 1), None, "reject")
    found = project.audits.get(1)
    assert (counted(project), found.seconds, found.unanswered) == ((11, 1, 11, 1), (), ())
    assert found.wrong_ids == (item.image_id,)
    [state] = project.store.states([item.image_id])
    assert (state.mark, project.store.verify()) == ("reject", [])


def test_a_second_look_is_taken_by_another_person_where_one_is_active(project: Project, number: int) -> None:
    project.audits.freeze()
    label = frozen_label(project, 1)
    first = next_item(project, 1, actor="anna")
    answer_item(project, first, other(label(first.image_id)), actor="anna")
    answer_audit(project, 1, 10, label, actor="anna")
    assert next_item(project, 1, actor="anna").image_id == first.image_id, "nobody else is there"
    decide(project, next(last_cats(project)), "cat", actor="ben")
    assert next_item(project, 1, actor="anna").image_id != first.image_id
    assert next_item(project, 1, actor="ben").image_id == first.image_id
    assert next_item(project, 1, "open", actor="anna").image_id == first.image_id


def test_a_look_that_would_change_a_label_takes_a_second_one_too(project: Project, number: int) -> None:
    project.audits.freeze()
    cats = last_cats(project)
    agreed, differing = next(cats), next(cats)
    decide(project, agreed, "cat")
    decide(project, differing, "dog")
    assert (counted(project), project.audits.get(1).seconds) == ((0, 0, 2, 1), (differing,))
    assert project.store.audit(1).ordinal is None, "a look is no answer"
    decide(project, differing, "cat")
    assert project.audits.get(1).seconds == (differing,), "a second look is blind"
    answer_item(project, next_item(project, 1, "open"), "cat")
    assert (counted(project), project.audits.get(1).seconds) == ((0, 0, 2, 0), ())
    assert project.store.verify() == []


def test_what_was_decided_in_a_batch_was_not_looked_at(project: Project, number: int) -> None:
    project.audits.freeze()
    free = project.store.image_ids()[LABELED:].tolist()
    decisions = [Decision(new_uid(), image_id, 0, "accept", "cat", round=number) for image_id in free[:5]]
    project.labels.decide(decisions, "page")
    assert counted(project) == (0, 0, 0, 0)


# the bound --------------------------------------------------------------------------------------------------------


def test_below_twenty_answers_only_what_was_seen_is_said_then_a_bound_at_each(project: Project, number: int) -> None:
    project.audits.freeze(rate=0.1)
    label = frozen_label(project, 1)
    answer_audit(project, 1, 7, label)
    assert statement(project.audits.get(1)) == "120 labels, 7 of the first 20, 0 wrong"
    answer_audit(project, 1, 12, label)
    assert not project.audits.get(1).total.shown
    lefts = []
    for _ in range(20, 41):
        answer_audit(project, 1, 1, label)
        lefts.append(project.audits.get(1).left_wrong)
    found = project.audits.get(1)
    replayed = ConfidenceSequence.replay(120, found.total.bets, 20.0)
    assert (found.total.upper, found.missed) == (replayed.upper, ASSUMED_MISS)
    assert found.left_wrong == replayed.left_wrong(ASSUMED_MISS) == lefts[-1]
    assert lefts == sorted(lefts, reverse=True)
    assert statement(found).startswith(f"120 labels, 40 answered, 0 wrong: at most {lefts[-1]} of 120 left wrong (")
    assert not found.reached((lefts[-1] - 1) / 120)
    assert found.reached(lefts[-1] / 120)


def test_all_looked_at_leaves_nothing_wrong(project: Project, number: int) -> None:
    project.audits.freeze()
    answer_audit(project, 1, 120, frozen_label(project, 1))
    found = project.audits.get(1)
    assert (found.total.unseen, found.total.upper, found.left_wrong) == (0, 0, 0)
    assert project.queue.next(limit=5, ref=QueueRef.of_audit(1)) == ([], 0)


def test_later_audits_with_answers_need_stronger_evidence(project: Project, number: int) -> None:
    for answered, place in ((2, 1), (0, 2), (1, 2), (1, 3)):
        audit = project.audits.freeze()
        answer_audit(project, audit.number, answered, frozen_label(project, audit.number))
        found = project.audits.get(audit.number)
        assert (found.place, found.threshold) == (place, threshold(audit=place))
        project.audits.close(audit.number)
    assert [record.ordinal for record in project.audits.records()] == [3, 2, None, 1]
    assert project.store.verify() == []


def test_a_class_has_a_queue_whose_answers_are_looks_for_all_labels(project: Project, number: int) -> None:
    def classes() -> dict[str, tuple[int, int, bool]]:
        return {part.part.name: (part.labels, part.random, part.shown) for part in project.audits.get(1).classes}

    project.audits.freeze()
    label = frozen_label(project, 1)
    asked = answer_audit(project, 1, 20, label, "class:cat")
    assert {label(image_id) for image_id in asked} == {"cat"}
    assert classes() == {"cat": (80, 20, True), "dog": (40, 0, False)}
    assert counted(project) == (0, 0, 20, 0)
    assert [part.random for part in project.audits.get(1).sources] == [0, 0]
    cats = sum(label(image_id) == "cat" for image_id in answer_audit(project, 1, 5, label))
    assert counted(project) == (5, 0, 25, 0)
    assert classes() == {"cat": (80, 20 + cats, True), "dog": (40, 5 - cats, False)}
    assert sum(part.random for part in project.audits.get(1).sources) == 5
    assert project.store.verify() == []


def test_labels_that_a_model_changed_meanwhile_add_to_the_bound(project: Project, number: int) -> None:
    project.audits.freeze()
    label = frozen_label(project, 1)
    answer_audit(project, 1, 30, label)
    before = project.audits.get(1)
    make_round(project, np.tile([0.9, 0.1], (LABELED + FREE, 1)))  # cat of all
    found = project.audits.get(1)
    looked = {one.image_id for one in found.answers}
    changed = [i for i in found.frozen.image_ids[LABELED:].tolist() if label(i) == "dog" and i not in looked]
    assert found.changed == len(changed) > 0
    assert found.left_wrong == min(before.left_wrong + len(changed), found.total.unseen)
    assert {part.part.name: part.changed for part in found.classes} == {"cat": 0, "dog": len(changed)}
    decide(project, changed[0], "dog")
    assert project.audits.get(1).changed == len(changed) - 1


def test_what_came_or_went_since_the_freeze_is_told(project: Project, number: int) -> None:
    image_id = int(project.store.image_ids()[-1])
    decide(project, image_id, None, "skip")
    project.audits.freeze()
    decide(project, image_id, "cat")
    free = project.store.image_ids()[LABELED : LABELED + 2].tolist()
    project.labels.decide([Decision(new_uid(), i, 0, "reject") for i in free], "page")
    found = project.audits.get(1)
    assert (found.labels, found.added, found.gone, found.changed) == (119, 1, 2, 0)


def test_how_often_people_err_is_measured_by_human_labels_that_chance_drew(project: Project) -> None:
    for image_id in project.store.image_ids().tolist():
        decide(project, image_id, "cat")
    assert project.audits.freeze().frozen.per_source() == {"human": 120}
    answer_audit(project, 1, 19, "cat")
    found = project.audits.get(1)
    assert (found.people.asked, found.missed, found.missed_is_measured) == (19, ASSUMED_MISS, False)
    answer_audit(project, 1, 2, "dog")
    found = project.audits.get(1)
    assert (found.people.asked, found.people.share) == (21, pytest.approx(2 / 42))
    assert found.missed_is_measured
    assert found.missed == found.people.upper > found.people.share


# accepting by a rule ----------------------------------------------------------------------------------------------


def test_a_rule_is_accepted_as_soon_as_the_bound_shows_and_one_undo_takes_it_back(
    project: Project, number: int
) -> None:
    audits = project.audits
    audit = audits.start_rule(audits.rule_at(number, 0.9))
    assert (audit.labels, audit.record.scope, audit.frozen.per_source()) == (90, "rule", {"pseudo": 90})
    label = frozen_label(project, 1)
    answer_audit(project, 1, 19, label)
    with pytest.raises(ConfigError, match="too few random answers for a bound: 19 of 20"):
        audits.accept(1)
    assert not audits.covers(number, 0.9)
    answer_audit(project, 1, 1, label)
    assert audits.covers(number, 0.9)
    assert not audits.covers(number, 0.8)
    found = audits.get(1)
    batch, count = audits.accept(1)
    assert count == found.rest == 70
    assert project.store.counts().accepted_by_threshold == 70
    facts = project.store.batch_facts()[batch]
    assert facts["rest_bound"] == pytest.approx(min(found.left_wrong, 70) / 70)
    assert (facts["kind"], facts["digest"], facts["audited"]) == ("audit", found.record.digest, 20)
    archive = project.exports.write(ExportOptions("imagefolder_zip"))
    with zipfile.ZipFile(archive) as files:
        manifest = json.loads(next(files.read(name) for name in files.namelist() if name.endswith("manifest.json")))
        rows = list(csv.DictReader(io.StringIO(files.read("metadata.csv").decode())))
    assert manifest["batches"][batch] == facts
    by_rule = [row for row in rows if row["label_source"] == "accepted_by_threshold"]
    told = {(row["batch"], row["audit"], float(row["bound"]), row["reviewed"]) for row in by_rule}
    assert (len(by_rule), told) == (70, {(batch, "1", facts["rest_bound"], "false")})
    assert (audits.records()[0].state, audits.records()[0].batch) == ("closed", batch)
    assert all(ack.status == "saved" for ack in project.store.undo(new_uid(), "local", batch))
    assert project.store.counts().labeled == LABELED + 20
    assert project.store.verify() == []


def test_labels_given_meanwhile_are_not_overwritten_by_the_accepted_audit(project: Project, number: int) -> None:
    audits = project.audits
    audits.start_rule(audits.rule_at(number, 0.9))
    answer_audit(project, 1, 20, frozen_label(project, 1))
    meanwhile = next(last_cats(project))
    decide(project, meanwhile, "dog")
    assert audits.accept(1)[1] == 69
    [state] = project.store.states([meanwhile])
    assert state.label == "dog"


def test_only_a_rule_is_accepted_and_nothing_to_accept_is_said(project: Project, number: int) -> None:
    with pytest.raises(ConfigError, match="accept no prediction"):
        project.audits.start_rule(project.audits.rule_at(number, 1.0))
    project.audits.freeze()
    with pytest.raises(ConfigError, match="Only predictions of a rule"):
        project.audits.accept(1)


def test_a_closed_audit_keeps_what_it_said_and_takes_no_more_answers(project: Project, number: int) -> None:
    project.audits.start_rule(project.audits.rule_at(number, 0.9))
    label = frozen_label(project, 1)
    answer_audit(project, 1, 25, label)
    item = next_item(project, 1)
    said = statement(project.audits.get(1))
    assert project.audits.close(1).facts["statement"] == said
    answer_item(project, item, label(item.image_id))
    assert project.audits.get(1).total.random == 25, "a card still in front becomes a plain answer"
    assert project.queue.next(limit=5, ref=QueueRef.of_audit(1)) == ([], 0)
    assert project.audits.covers(number, 0.9), "what was shown stays shown"
    assert project.audits.opened() is None


def test_an_audit_of_a_round_whose_files_are_gone_can_be_read_and_closed(project: Project, number: int) -> None:
    project.audits.start_rule(project.audits.rule_at(number, 0.9))
    answer_audit(project, 1, 20, frozen_label(project, 1))
    said = statement(project.audits.get(1))
    (project.workspace.round_folder(number) / "predictions" / "final.parquet").unlink()
    project.close()
    with Project.open(project.root) as again:
        assert statement(again.audits.get(1)) == said
        assert again.audits.close(1).facts["statement"] == said
