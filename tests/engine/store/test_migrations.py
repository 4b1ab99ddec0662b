import sqlite3
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import Connection

from engine.errors import ProjectReadOnly, SchemaTooNew
from engine.records.labels import Asked, Decision, LabelState
from engine.records.quality import FrozenLabels
from engine.records.rounds import RoundReport
from engine.store import Store, migrate, unfinished
from engine.store.facts import batch_id
from engine.store.schema import metadata

FIXTURES = Path(__file__).parent / "fixtures"


def restore(fixture: Path, file: Path) -> None:
    with closing(sqlite3.connect(file)) as connection:
        connection.executescript(fixture.read_text())


@pytest.fixture
def old(tmp_path: Path) -> str:
    restore(FIXTURES / "schema_0001.sql", tmp_path / "project.db")
    return f"sqlite:///{tmp_path / 'project.db'}"


def tables(file: Path) -> set[str]:
    with closing(sqlite3.connect(file)) as connection:
        return {row[0] for row in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}


def test_an_older_project_is_upgraded_and_keeps_all_it_held(old: str) -> None:
    with Store.open(old) as store:
        assert store.name == "from 0001"
        assert store.states() == [
            LabelState(1, 3, "cat", "imported", mark="flag"),
            LabelState(2, 2, "dog", "confirmed", 1, 0.75, True),
        ]
        assert [entry.uid for entry in store.entries()] == ["import/0001/1", "u1", "u2"]
        assert store.round(1).report == RoundReport(epochs=3)
        assert store.truth() == {}
        assert store.record([Decision("u3", 3, 0, "label", "cat")])[0].seq == 4
        assert store.undo("z1", "anna")[0].status == "saved"
        assert store.verify() == []


def test_a_project_of_revision_0002_is_upgraded_and_takes_facts_and_audits(tmp_path: Path) -> None:
    restore(FIXTURES / "schema_0002.sql", tmp_path / "project.db")
    with Store.open(f"sqlite:///{tmp_path / 'project.db'}") as store:
        assert [entry.uid for entry in store.entries()][1:] == ["u1", "u2", "u3", "z1", "z1/1", "u4"]
        assert store.truth() == {2: "dog"}
        assert (store.batch_facts(), store.audits()) == ({}, [])
        [page] = store.batches()
        assert (page.batch, page.actor, page.decisions, page.undone, page.label) == ("page", "ben", 2, 2, "cat")
        table = store.label_table()
        audit = store.add_audit(
            actor="anna", scope="rule", round=1, thresholds={"cat": 0.5}, alpha=0.05, ledger_seq=table.head,
            frozen=FrozenLabels(np.array([3, 4]), np.zeros(2, np.int32), np.zeros(2, np.int8), ("cat",), ("pseudo",)),
        )  # fmt: skip
        facts = {"audit": audit.number, "bound": 0.25}
        batch = batch_id("audit", facts)
        store.accept_audit(1, [Decision("u5", 3, 6, "accept", "cat", "anna", 1, 0.5)], batch, facts)
        assert store.batch_facts() == {batch: facts}
        assert store.verify() == []


def test_a_project_of_revision_0003_is_upgraded_and_takes_groups(tmp_path: Path) -> None:
    restore(FIXTURES / "schema_0003.sql", tmp_path / "project.db")
    with Store.open(f"sqlite:///{tmp_path / 'project.db'}") as store:
        assert [audit.number for audit in store.past_audits()] == [1]
        assert store.groups().tolist() == [1, 2, 3, 4]
        store.set_groups({2: "scene", 4: "scene"}, "by hand")
        assert store.groups().tolist() == [1, 2, 3, 2]
        assert store.verify() == []


def test_a_project_of_revision_0005_is_upgraded_and_takes_groups(tmp_path: Path) -> None:
    restore(FIXTURES / "schema_0005.sql", tmp_path / "project.db")
    with Store.open(f"sqlite:///{tmp_path / 'project.db'}") as store:
        store.set_groups({2: "scene", 4: "scene"}, "by hand")
        assert store.groups().tolist() == [1, 2, 3, 2]
        assert store.verify() == []


def test_audits_of_revision_0006_are_read_as_what_they_said_and_new_ones_count_on(tmp_path: Path) -> None:
    restore(FIXTURES / "schema_0006.sql", tmp_path / "project.db")
    with Store.open(f"sqlite:///{tmp_path / 'project.db'}") as store:
        accepted, given_up = store.past_audits()
        assert (accepted.number, accepted.state, accepted.population, accepted.sample) == (1, "accepted", 4, 2)
        assert str(accepted.facts["statement"]).startswith("4 labels, 2 audited, 0 wrong")
        assert accepted.facts == store.batch_facts()[str(accepted.batch)]
        assert (given_up.number, given_up.state, given_up.facts) == (2, "abandoned", {})
        labels = FrozenLabels(np.array([7]), np.zeros(1, np.int32), np.zeros(1, np.int8), ("cat",), ("human",))
        head = store.label_table().head
        audit = store.add_audit(actor="ben", scope="export", alpha=0.05, frozen=labels, ledger_seq=head)
        assert audit.number == 3
        decision = Decision("b1", 7, 0, "label", "cat", seconds=1.0, asked=Asked(3, "all", (7,)))
        assert store.record([decision])[0].status == "saved"
        assert [entry.asked for entry in store.entries()][-2:] == [None, f"audit 3 {audit.digest[:32]} all"]
        assert store.audit(3).ordinal == 2, "one of the two before had an answer"
        assert store.verify() == []


def test_rounds_of_revision_0008_have_no_uid_and_new_ones_have(tmp_path: Path) -> None:
    restore(FIXTURES / "schema_0008.sql", tmp_path / "project.db")
    with Store.open(f"sqlite:///{tmp_path / 'project.db'}") as store:
        assert [record.uid for record in store.rounds()] == [None, None]
        uid = store.queue_round("pseudo_label", {}).uid
        assert uid is not None
        assert len(uid) == 32
        assert store.frozen_labels(4).suspicion is not None
        assert store.verify() == []


def test_a_project_of_revision_0009_is_upgraded_and_takes_what_is_done_in_parts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    restore(FIXTURES / "schema_0009.sql", tmp_path / "project.db")
    monkeypatch.setattr(unfinished, "PART", 2)
    with Store.open(f"sqlite:///{tmp_path / 'project.db'}") as store:
        assert [record.uid is None for record in store.rounds()] == [True, True, False]
        states = store.states()
        given = [Decision(f"b/{one.image_id}", one.image_id, one.version, "flag") for one in states]
        assert {ack.status for ack in store.record_batch(given, "b")} == {"saved"}
        assert len(given) > 2
        assert store.verify() == []


def test_a_copy_from_before_the_upgrade_is_kept(old: str, tmp_path: Path) -> None:
    Store.open(old).close()
    [copy] = (tmp_path / "backups").iterdir()
    assert "truth" in tables(tmp_path / "project.db")
    assert "truth" not in tables(copy)
    with closing(sqlite3.connect(copy)) as connection:
        assert connection.execute("SELECT count(*) FROM annotations").fetchone() == (3,)
    Store.open(old).close()
    assert len(list((tmp_path / "backups").iterdir())) == 1


def test_an_upgrade_that_fails_leaves_the_old_project(
    old: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = migrate.upgrade

    def fail_at_the_end(connection: Connection, revision: str = "head") -> None:
        whole(connection, revision)
        raise RuntimeError("pulled plug")

    monkeypatch.setattr(migrate, "upgrade", fail_at_the_end)
    with pytest.raises(RuntimeError, match="pulled plug"):
        Store.open(old)
    assert "truth" not in tables(tmp_path / "project.db")
    monkeypatch.undo()
    with Store.open(old) as store:
        assert store.verify() == []


def test_an_older_project_is_not_changed_by_opening_it_read_only(old: str, tmp_path: Path) -> None:
    with pytest.raises(ProjectReadOnly, match="older Starling"):
        Store.open(old, read_only=True)
    assert "truth" not in tables(tmp_path / "project.db")


@pytest.mark.parametrize("read_only", [False, True])
def test_a_project_of_a_newer_starling_is_refused_untouched(
    store: Store, url: str, tmp_path: Path, read_only: bool
) -> None:
    store.close()
    with closing(sqlite3.connect(tmp_path / "project.db")) as connection, connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999'")
    with pytest.raises(SchemaTooNew, match=r"9999.*Update Starling"):
        Store.open(url, read_only=read_only)
    assert not (tmp_path / "backups").exists()


def test_the_migrations_end_at_the_tables_the_program_uses(store: Store) -> None:
    with store._database.read() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        assert compare_metadata(context, metadata) == []
        assert migrate.revision_of(connection) == migrate.newest()


def test_every_older_revision_has_a_fixture() -> None:
    fixtures = {path.stem.removeprefix("schema_") for path in FIXTURES.glob("schema_*.sql")}
    scripts = {path.name[:4] for path in Path(migrate.__file__).parent.glob("migrations/versions/*.py")}
    assert fixtures == scripts - {migrate.newest()}


def test_a_project_of_revision_0004_keeps_its_measured_set(tmp_path: Path) -> None:
    restore(FIXTURES / "schema_0004.sql", tmp_path / "project.db")
    with Store.open(f"sqlite:///{tmp_path / 'project.db'}") as store:
        [drawn] = store.measured().image_ids.tolist()
        assert store.apart().tolist() == [drawn]
        assert [entry.uid for entry in store.entries() if entry.image_id == drawn][-1] == "m1"
        assert store.verify() == []


def test_audits_of_revision_0007_keep_their_answers_and_those_from_before_are_counted(tmp_path: Path) -> None:
    """One of the two older audits has an answer in its sample, so that the third is the second with one."""
    restore(FIXTURES / "schema_0007.sql", tmp_path / "project.db")
    with Store.open(f"sqlite:///{tmp_path / 'project.db'}") as store:
        [audit] = store.audits()
        assert (audit.number, audit.state, audit.ordinal) == (3, "closed", 2)
        frozen, drawn = store.frozen_labels(3), store.measured()
        assert (frozen.suspicion, frozen.trusted, frozen.whole) == (None, None, 7)
        assert (drawn.label.tolist(), np.isnan(drawn.suspicion).tolist()) == ([None], [True])
        assert len(store.audit_news(3, 0, 0).draws) == 3
        assert store.reopen_audit(3).state == "open"
        assert store.verify() == []
