"""A project that is open read-only: pages show, what writes is disabled or refused in words, exports go elsewhere."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import numpy as np
import pytest
from starlette.applications import Starlette
from starlette.testclient import TestClient
from streamlit.testing.v1 import AppTest

from app.cli import main
from app.components.lock import REASON
from app.routes import table as routes
from app.server import workbench
from app.server.workbench import OpenProject, Workbench
from engine.errors import ProjectReadOnly
from engine.importers.scan import ImportSource
from engine.project.opened import Project
from engine.records.labels import Decision
from tests.made_round import make_round
from tests.read_only import read_only_copy
from tests.ready_project import ReadyProjects, grey

MAIN = Path(__file__).parents[2] / "app" / "main.py"
FOLDERS = [*["left"] * 6, *["right"] * 6, *["_unlabeled"] * 8]
SPOTS = grey(12, {f"{folder}/{number}.png": 12 * number for number, folder in enumerate(FOLDERS)})
HARMLESS = {
    "go_review",
    "go_train",
    "compare",
    "another_recommended",
    "another_own",
    "goal_step_import",
    "goal_step_tab",
}
"""Keys of buttons that lead elsewhere, or draw something anew, and change nothing in a project."""
PAGES = ("import_images", "train_rounds", "inspect_map", "review_labels", "check_quality", "read_ledger",
         "export_dataset")  # fmt: skip
ELSEWHERE = ("alternative_", "goal_step", "measure_first", "review_", "look_", "measure_", "ask_")
"""How the keys of buttons begin that fill a form or lead to a queue."""


@pytest.fixture
def spots(ready: ReadyProjects, tmp_path: Path) -> Path:
    """Grey images, some labeled, a batch decided, one complete round with two epochs."""
    root = ready.copy(SPOTS, tmp_path / "spots")
    with Project.open(root) as project:
        share = np.linspace(0.55, 0.95, len(FOLDERS))
        said = np.stack([share, 1 - share], 1)
        make_round(project, said, heldout=[9, 20], epochs=[said, said])
        project.store.record_batch(
            [Decision("one", 1, 0, "label", "left"), Decision("two", 2, 0, "label", "left")], "b"
        )
    return root


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Workbench]:
    """A workbench that was started with --read-only."""
    found = workbench.use(Workbench(tmp_path / "home", read_only=True))
    yield found
    found.close()
    workbench._current = None


@pytest.fixture
def opened(bench: Workbench, spots: Path) -> OpenProject:
    return bench.open(spots)


def files_of(root: Path) -> dict[str, tuple[int, int]]:
    """Size and time of each file; SQLite's own index of its log is made by whoever reads."""
    return {
        str(path): (path.stat().st_size, path.stat().st_mtime_ns)
        for path in root.rglob("*")
        if path.is_file() and not path.name.endswith(("-shm", "-wal"))
    }


@pytest.mark.parametrize("page", PAGES)
def test_a_page_shows_and_every_button_that_writes_is_disabled(opened: OpenProject, page: str) -> None:
    before = files_of(opened.project.root)
    shown = AppTest.from_file(str(MAIN), default_timeout=120).run()
    shown.switch_page(f"pages/{page}.py").run()
    assert not shown.exception
    assert not shown.error, [one.value for one in shown.error]
    for button in shown.button:
        harmless = button.key in HARMLESS or str(button.key).startswith(ELSEWHERE)
        assert harmless or button.disabled, f"{button.key}: {button.label}"
        why = (REASON, "Starling was started with --read-only.")
        assert not button.disabled or harmless or button.help in why, f"{button.key}: {button.help}"
    assert files_of(opened.project.root) == before


def test_what_is_drawn_above_every_page_says_why_nothing_can_be_saved(opened: OpenProject) -> None:
    shown = AppTest.from_file(str(MAIN), default_timeout=120).run()
    [said] = [one.value.replace("\\", "") for one in shown.warning]
    assert said.startswith("**Read-only**: Starling was started with --read-only.")
    assert "`starling export PROJECT FILE` writes an export elsewhere" in said


EXPECTED = {
    "train_rounds": "start_round", "inspect_map": "compute_map", "export_dataset": "run_export",
    "read_ledger": "undo_b",
}  # fmt: skip


@pytest.mark.parametrize("page", EXPECTED)
def test_the_same_buttons_work_where_the_project_can_be_written(spots: Path, tmp_path: Path, page: str) -> None:
    bench = workbench.use(Workbench(tmp_path / "home"))
    try:
        bench.open(spots).engine.stop()
        shown = AppTest.from_file(str(MAIN), default_timeout=120).run()
        shown.switch_page(f"pages/{page}.py").run()
        assert [one.disabled for one in shown.button if one.key == EXPECTED[page]] == [False]
        assert not [one.value for one in shown.warning if "Read-only" in one.value]
    finally:
        bench.close()
        workbench._current = None


WRITES: list[tuple[str, object]] = [
    ("decisions", {"decisions": [{"uid": "u", "image_id": 5, "base_version": 0, "action": "label", "label": "left"}]}),
    ("undo", {"uid": "u"}),
    ("classes", {"name": "new"}),
    ("map/moving", {"round": 1, "action": "start"}),
    ("upload?name=a.zip", b"PK"),
]


@pytest.mark.parametrize(("route", "body"), WRITES)
def test_routes_that_write_say_that_the_project_is_read_only(opened: OpenProject, route: str, body: object) -> None:
    client = TestClient(Starlette(routes=routes.ROUTES), base_url=f"http://testserver{opened.base}/")
    sent = {"content": body} if isinstance(body, bytes) else {"json": body}
    answer = client.post(route, **sent)  # type: ignore[arg-type]
    assert answer.status_code == 423, "neither refused for good nor taken: the browser keeps it"
    assert "The project is open read-only: Starling was started with --read-only" in answer.json()["message"]


def test_every_post_route_is_sorted_into_those_that_write_and_those_that_do_not(opened: OpenProject) -> None:
    client = TestClient(Starlette(routes=routes.ROUTES), base_url=f"http://testserver{opened.base}/")
    posts = {route.path.partition("{key}/")[2] for route in routes.ROUTES if "POST" in (route.methods or ())}
    locked = {path for path in posts if client.post(path, json={}).status_code == 423}
    assert locked == {"decisions", "undo", "classes", "map/moving", "upload"}
    assert posts - locked == {"queue", "figures", "context", "map/selection"}


def test_pictures_and_the_queue_are_served(opened: OpenProject) -> None:
    client = TestClient(Starlette(routes=routes.ROUTES), base_url=f"http://testserver{opened.base}/")
    assert client.get("thumb/1").content[8:12] == b"WEBP"
    assert client.get("image/1").status_code == 200
    assert client.get("queue?only=all").json()["total"] == len(FOLDERS)
    assert client.get("grid?only=all&round=1").status_code == 200


def test_nothing_is_started_or_made(bench: Workbench, opened: OpenProject) -> None:
    assert not opened.engine.alive
    assert not (opened.project.root / "app.lock").exists()
    for begin in (
        lambda: bench.create("new"),
        lambda: opened.project.maps.start("pixels"),
        lambda: opened.project.maps.start_moving(1),
        lambda: opened.project.checks.start("duplicates"),
        lambda: opened.project.imports.scan(ImportSource("folder", opened.project.root)),
        lambda: opened.deliveries.begin(ImportSource("folder", opened.project.root), uploaded=False),
        lambda: opened.project.training.queue("supervised", {}, {}),
    ):
        with pytest.raises(ProjectReadOnly):
            begin()


def test_a_project_on_a_disk_that_cannot_be_written_is_opened_read_only_with_a_notice(
    spots: Path, tmp_path: Path
) -> None:
    with read_only_copy(spots, tmp_path / "disk") as root, ExitStack() as stack:
        bench = workbench.use(Workbench(tmp_path / "home", live=True))
        stack.callback(lambda: setattr(workbench, "_current", None))
        stack.callback(bench.close)
        opened = bench.open(root)
        assert opened.read_only == f"Its folder cannot be written: {root}."
        shown = AppTest.from_file(str(MAIN), default_timeout=120).run()
        assert "Its folder cannot be written" in shown.warning[0].value
        for page in PAGES:
            shown = AppTest.from_file(str(MAIN), default_timeout=120).run()
            shown.switch_page(f"pages/{page}.py").run()
            assert not shown.exception, page
            assert not shown.error, (page, [one.value for one in shown.error])
        client = TestClient(Starlette(routes=routes.ROUTES), base_url=f"http://testserver{opened.base}/")
        assert client.post("decisions", json={"decisions": []}).status_code == 423
        assert client.get("thumb/1").content[8:12] == b"WEBP"


Run = Callable[..., str]


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """Run `starling …` and return what it printed, on one line."""

    def call(*arguments: object, ok: bool = True) -> str:
        monkeypatch.setattr(sys, "argv", ["starling", *map(str, arguments)])
        with pytest.raises(SystemExit) as ended:
            main.main()
        said = capsys.readouterr()
        assert (ended.value.code == 0) == ok, said
        return " ".join((said.out + said.err).split())

    return call


def test_commands_read_from_a_disk_that_cannot_be_written_and_write_elsewhere(
    run: Run, spots: Path, tmp_path: Path
) -> None:
    with read_only_copy(spots, tmp_path / "disk") as root:
        assert "20 images, 2 classes" in run("status", root)
        assert "Sound" in run("doctor", root)
        run("groups", root)
        run("revisions", root)
        run("goal", root)
        assert "Name a file elsewhere: starling export PROJECT FILE" in run("export", root, ok=False)
        run("export", root, tmp_path / "set.zip")
        assert (tmp_path / "set.zip").exists()
        assert "carries no certificate" in run("verify", tmp_path / "set.zip", ok=False), "it could be read"
        run("export", root, tmp_path / "set.csv", "--format", "csv")
        assert "copied" in run("backup", root, tmp_path / "kept")
        assert "Name a file elsewhere" in run("backup", root, "--labels-only", ok=False)
        run("backup", root, tmp_path / "labels.db", "--labels-only")
        for refused in (
            ("doctor", root, "--repair"),
            ("round", root),
            ("import", root, spots),
            ("goal", root, "--rate", "0.02"),
            ("revisions", root, "--name", "v1"),
        ):
            said = run(*refused, ok=False)
            assert "cannot be written" in said, said
            assert "Errno" not in said
            assert "Traceback" not in said
