import os
import shutil
import sqlite3
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import pytest

from engine.errors import ConfigError, NotAProject, ProjectCorrupt, ProjectExists, ProjectReadOnly
from engine.records.labels import Decision
from engine.store import Store
from tests.engine.store.store_samples import start_python

# Opens what it needs once as it is, then as a user who may not write there, even where the tests run as root.
AS_NOBODY = """
import os, sys, tempfile
from engine.errors import ProjectReadOnly
from engine.store import Store
url = sys.argv[1]
with tempfile.TemporaryDirectory() as folder:
    Store.create(f"sqlite:///{folder}/warm.db", "warm").close()
if os.geteuid() == 0:
    os.setgid(65534)
    os.setuid(65534)
with Store.open(url, read_only=True) as store:
    print(store.head_seq(), store.states([5])[0].label, store.verify())
try:
    Store.open(url)
except ProjectReadOnly as error:
    print(error)
"""


@pytest.fixture
def shelf() -> Iterator[Path]:
    """A folder that any user may enter (pytest's own may be entered by its owner alone)."""
    folder = Path(tempfile.mkdtemp(prefix="starling-test-"))
    folder.chmod(0o755)
    yield folder
    folder.chmod(0o755)
    shutil.rmtree(folder)


def read_as_nobody(folder: Path) -> list[str]:
    for path in folder.iterdir():
        path.chmod(0o444)
    folder.chmod(0o555)
    process = start_python(AS_NOBODY, f"sqlite:///{folder / 'project.db'}")
    output, errors = process.communicate(timeout=60)
    assert process.returncode == 0, errors
    return output.splitlines()


@pytest.mark.skipif(os.name != "posix", reason="needs folder permissions")
def test_a_project_in_a_read_only_folder_can_be_read(store: Store, tmp_path: Path, shelf: Path) -> None:
    store.record([Decision("u1", 5, 0, "label", "fox")])
    store.close()
    shutil.copy(tmp_path / "project.db", shelf)
    told = read_as_nobody(shelf)
    assert told[0] == "3 fox []"
    assert told[1].startswith("the project cannot be written")
    assert "read-only" in told[1]


@pytest.mark.skipif(os.name != "posix", reason="needs folder permissions")
def test_commits_left_in_the_log_of_a_read_only_folder_are_read(store: Store, tmp_path: Path, shelf: Path) -> None:
    store.record([Decision("u1", 5, 0, "label", "fox")])
    for name in ("project.db", "project.db-wal"):  # as a killed process leaves them
        shutil.copy(tmp_path / name, shelf)
    assert (shelf / "project.db-wal").stat().st_size > 0
    assert read_as_nobody(shelf)[0] == "3 fox []"


def test_a_new_project_is_empty_and_sound(url: str) -> None:
    with Store.create(url, "Vögel im März") as store:
        assert (store.name, store.classes(), store.counts().images) == ("Vögel im März", (), 0)
        assert (store.head_seq(), store.history(), store.rounds(), store.active_round()) == (0, [], [], None)
        assert len(store.label_table().image_ids) == 0
        assert store.verify() == []


def test_a_project_is_not_made_over_another(store: Store, url: str) -> None:
    with pytest.raises(ProjectExists):
        Store.create(url, "again")
    assert (store.name, len(store.image_ids())) == ("demo", 8)


def test_of_two_that_make_the_same_project_at_once_one_is_refused(url: str) -> None:
    def make(_: int) -> str:
        try:
            Store.create(url, "demo").close()
        except ProjectExists:
            return "refused"
        return "made"

    with ThreadPoolExecutor(4) as pool:
        assert sorted(pool.map(make, range(4))) == ["made", "refused", "refused", "refused"]


@pytest.mark.parametrize("read_only", [False, True])
def test_a_file_that_is_not_there_is_not_made_by_opening_it(url: str, tmp_path: Path, read_only: bool) -> None:
    with pytest.raises(NotAProject):
        Store.open(url, read_only=read_only)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("read_only", [False, True])
def test_a_file_that_is_no_database_is_refused(url: str, tmp_path: Path, read_only: bool) -> None:
    (tmp_path / "project.db").write_bytes(b"not a database at all" * 400)
    with pytest.raises(ProjectCorrupt):
        Store.open(url, read_only=read_only)


def test_a_database_of_something_else_is_refused(url: str, tmp_path: Path) -> None:
    with closing(sqlite3.connect(tmp_path / "project.db")) as connection, connection:
        connection.execute("CREATE TABLE songs (title)")
    with pytest.raises(NotAProject):
        Store.open(url)
    with pytest.raises(ProjectExists, match="something else"):
        Store.create(url, "demo")
    with closing(sqlite3.connect(tmp_path / "project.db")) as connection:
        assert connection.execute("SELECT name FROM sqlite_master").fetchall() == [("songs",)]


def test_a_project_whose_making_was_cut_short_can_be_made_again(url: str, tmp_path: Path) -> None:
    (tmp_path / "project.db").touch()
    with Store.create(url, "demo") as store:
        assert store.verify() == []


@pytest.mark.parametrize("bad", ["sqlite://", "sqlite:///:memory:", "no url"])
def test_a_url_that_names_no_file_is_refused(bad: str) -> None:
    with pytest.raises(ConfigError):
        Store.open(bad)


def test_a_missing_folder_is_named_when_a_project_is_made(tmp_path: Path) -> None:
    with pytest.raises(ProjectReadOnly, match="not saved"):
        Store.create(f"sqlite:///{tmp_path}/missing/project.db", "demo")


@pytest.mark.parametrize("name", ["100%", "a b#c?d", "ärger", "%(x)s"])
def test_a_folder_may_have_any_name(tmp_path: Path, name: str) -> None:
    (tmp_path / name).mkdir()
    file = tmp_path / name / "project.db"
    Store.create(f"sqlite:///{file}", "demo").close()
    with Store.open(f"sqlite:///{file}") as store:
        store.backup(file.with_name("copy.db"))
    assert file.exists()
    assert sorted(path.name for path in file.parent.iterdir()) == ["copy.db", "project.db", "project.db-head"]
