import hashlib
import json
import random
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest

from engine.errors import ProjectCorrupt, ProjectError
from engine.records.labels import Decision
from engine.store import Store

Make = Callable[..., Decision]


@pytest.fixture
def file(store: Store, decide: Make, tmp_path: Path) -> Path:
    """A closed project with a few decisions of every kind."""
    store.record([decide("u1", 5, "accept", "fox", round=1, confidence=0.75, actor="anna", seconds=2.5)])
    store.record_batch([decide("u2", 6, "label", "dog", seen_seconds=0.5), decide("u3", 1, "flag", None)], "page")
    store.undo("z1", "local", "page")
    store.close()
    return tmp_path / "project.db"


def run(file: Path, statement: str) -> None:
    with closing(sqlite3.connect(file)) as connection, connection:
        connection.execute(statement)


def problems(file: Path) -> list[str]:
    with Store.open(f"sqlite:///{file}", read_only=True) as opened:
        return opened.verify()


def integrity(file: Path) -> str:
    with closing(sqlite3.connect(file)) as connection:
        return str(connection.execute("PRAGMA integrity_check").fetchone()[0])


def test_a_sound_project_has_no_problems(file: Path) -> None:
    assert problems(file) == []


def test_each_hash_is_the_sha256_of_the_entry_and_the_hash_before(file: Path) -> None:
    with closing(sqlite3.connect(file)) as connection:
        connection.row_factory = sqlite3.Row
        rows = [dict(row) for row in connection.execute("SELECT * FROM annotations ORDER BY seq")]
    before = "0" * 64
    for row in rows:
        digest = row.pop("hash")
        for later in ("seen_seconds", "asked"):  # came with revisions 0005 and 0007: left out where they hold nothing
            if row[later] is None:
                del row[later]
        assert row["prev_hash"] == before
        text = json.dumps(row, sort_keys=True, separators=(",", ":"))
        assert hashlib.sha256(text.encode()).hexdigest() == digest
        before = digest
    assert len(rows) == 7


def test_a_flipped_bit_that_integrity_check_misses_breaks_the_chain(file: Path) -> None:
    data = file.read_bytes()
    assert data.count(b"acceptannafox") == 1
    file.write_bytes(data.replace(b"acceptannafox", b"acceptannagox"))  # f and g differ in one bit
    assert integrity(file) == "ok"
    assert problems(file) == ["ledger entry 3: its content does not match its hash"]


def test_no_flipped_bit_changes_what_is_read_without_being_found(file: Path, tmp_path: Path) -> None:
    data, rng = file.read_bytes(), random.Random(0)
    truth = read_everything(file)
    copy, changed, missed_by_sqlite = tmp_path / "copy.db", 0, 0
    rows_at = [data.find(text) for text in (b"annafox", b"train/0.png")]
    pages = sorted({at // 4096 for at in rows_at} | {len(data) // 4096 - 1})
    for _ in range(300):
        bit = rng.choice(pages) * 4096 * 8 + rng.randrange(4096 * 8)
        flipped = bytearray(data)
        flipped[bit // 8] ^= 1 << bit % 8
        copy.write_bytes(flipped)
        try:
            if read_everything(copy) == truth:
                continue
        except (ProjectError, TypeError, ValueError):
            assert not is_sound(copy)
            continue
        changed += 1
        missed_by_sqlite += integrity(copy) == "ok"
        assert not is_sound(copy), f"bit {bit} changed a row unnoticed"
    assert changed > 20
    assert missed_by_sqlite > 0  # else the chain proves nothing here


def read_everything(file: Path) -> list[object]:
    with Store.open(f"sqlite:///{file}", read_only=True) as opened:
        return [*opened.entries(), *opened.states(), *opened.images()]


def is_sound(file: Path) -> bool:
    try:
        return problems(file) == []
    except ProjectError:
        return False


@pytest.mark.parametrize(
    ("statement", "problem"),
    [
        ("DELETE FROM annotations WHERE seq = 4", "ledger entry 4: missing"),
        ("DELETE FROM annotations WHERE seq = 7", "entries after 6 are missing"),
        ("UPDATE annotations SET reviewed = 2 WHERE seq = 3", "ledger entry 3"),
        ("UPDATE annotations SET label = x'ff' WHERE seq = 3", "ledger entry 3: its content is damaged"),
        ("UPDATE current_labels SET label = 'dog' WHERE image_id = 5", "first that of image 5"),
        ("DELETE FROM current_labels WHERE image_id = 5", "first that of image 5"),
        ("UPDATE images SET sha256 = 'f' || substr(sha256, 2) WHERE id = 3", "import 1 do not match"),
        ("DELETE FROM images WHERE id = 8", "import 1 do not match"),
        ("INSERT INTO current_labels VALUES (99, 1, 'owl', NULL, NULL, NULL, 0, NULL)", "missing classes"),
        ("UPDATE meta SET value = 'x' WHERE key = 'ledger_head'", "head of the ledger is damaged"),
    ],
)
def test_a_changed_or_missing_row_is_named(file: Path, statement: str, problem: str) -> None:
    run(file, statement)
    assert problem in " | ".join(problems(file))


def test_the_projection_is_rebuilt_from_the_ledger(file: Path) -> None:
    with Store.open(f"sqlite:///{file}") as opened:
        truth, table = opened.states(), opened.label_table()
    run(file, "UPDATE current_labels SET label = 'dog', reviewed = 0")
    run(file, "DELETE FROM current_labels WHERE image_id = 1")
    with Store.open(f"sqlite:///{file}") as opened:
        assert opened.label_table().label[4] == "dog"
        opened.rebuild_projection()
        assert opened.states() == truth
        assert opened.label_table().label.tolist() == table.label.tolist()
        assert opened.verify() == []


def test_a_damaged_ledger_is_not_made_the_truth_by_a_rebuild(file: Path) -> None:
    run(file, "UPDATE annotations SET label = 'dog' WHERE seq = 3")
    with Store.open(f"sqlite:///{file}") as opened:
        before = opened.states()
        with pytest.raises(ProjectCorrupt, match="ledger entry 3"):
            opened.rebuild_projection()
        assert opened.states() == before


def test_a_damaged_head_stops_recording(file: Path) -> None:
    run(file, "UPDATE meta SET value = 'x' WHERE key = 'ledger_head'")
    with Store.open(f"sqlite:///{file}") as opened, pytest.raises(ProjectCorrupt, match="not saved"):
        opened.record([Decision("u9", 7, 0, "label", "cat")])


@pytest.fixture(autouse=True)
def _no_leftovers(tmp_path: Path) -> Iterator[None]:
    yield
    assert not list(tmp_path.glob("*.partial"))
