"""`starling import` of what holds more than one image a file: what it asks, and how that is answered."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

from app.cli.main import app
from engine.project.opened import Project
from tests.engine.importers.container_samples import tarred
from tests.engine.importers.import_samples import folder, png
from tests.engine.importers.test_archives_in_archives import PACKERS
from tests.engine.importers.test_frames import animation, video


def run(*arguments: object) -> str:
    result = CliRunner().invoke(app, [str(one) for one in arguments])
    assert result.exit_code == 0, result.output
    return " ".join(result.output.split())


def test_frames_are_asked_for_and_set(tmp_path: Path) -> None:
    source = folder(tmp_path / "set", {"cat/a.gif": animation("GIF"), "dog/b.gif": animation("GIF", [1, 2, 3])})
    assert "--all-questions shows more: Frames to take" in run("import", tmp_path / "pets", source, "--dry-run")
    told = run("import", tmp_path / "pets", source, "--dry-run", "--all-questions")
    assert "--set frames=first: the first frame alone (taken)" in told
    assert "--set frames=every:N: every n-th frame" in told
    assert "--set frames=every:2: every n-th frame (taken)" in run(
        "import", tmp_path / "pets", source, "--dry-run", "--set", "frames=every:2"
    )
    assert "Imported 5 images with 5 labels" in run("import", tmp_path / "pets", source, "--set", "frames=every:2")
    assert "Imported 0 images with 0 labels" in run("import", tmp_path / "pets", source, "--set", "frames=every:2")
    with Project.open(tmp_path / "pets") as project:
        assert sorted(project.store.group_names().values()) == ["cat/a.gif"] * 3 + ["dog/b.gif"] * 2
        assert project.store.groups_set()[0].how == "frames of one file"
    refused = CliRunner().invoke(app, ["import", str(tmp_path / "pets"), str(source), "--set", "frames=all"])
    assert "Choose one of first, every:N, seconds:N" in str(refused.exception)


def test_a_video_by_itself_is_imported(tmp_path: Path) -> None:
    pytest.importorskip("av")
    clip = video(tmp_path / "clip.mp4")
    assert "Imported 2 images" in run("import", tmp_path / "one", clip)
    assert "Imported 4 images" in run("import", tmp_path / "other", clip, "--set", "frames=every:5")


@pytest.mark.parametrize("ending", [".tar.gz", ".tar.bz2", ".tar.xz"])
def test_a_packed_tar_by_itself_is_imported(tmp_path: Path, ending: str) -> None:
    path = tmp_path / f"pets{ending}"
    path.write_bytes(PACKERS[ending]({"in.tar": tarred({"cat/1.png": png(1), "dog/2.png": png(2)})}))
    assert "Imported 2 images with 2 labels" in run("import", tmp_path / "pets", path)


def test_a_dry_run_asks_what_is_in_doubt_and_says_how_to_see_the_rest(tmp_path: Path) -> None:
    files = {f"{at}.png": png(at) for at in range(4)}
    rows = "".join(f"{at}.png,{('cat', 'Cat')[at % 2]},{at},x\n" for at in range(4))
    source = folder(tmp_path / "set", {**files, "labels.csv": f"filename,label,note,more\n{rows}".encode()})
    told = run("import", tmp_path / "pets", source, "--dry-run")
    assert "--set merge=keep: keep them apart (taken)" in told
    assert "--set label_column" not in told
    assert "without a doubt; --all-questions shows more: Column of labels.csv" in told
    assert "classes: Cat (2), cat (2)" in told
    assert "check class Cat: almost the same as “cat”" in told
    every = run("import", tmp_path / "pets", source, "--dry-run", "--all-questions")
    assert "--set label_column=note" in every
    assert "without a doubt" not in every
    answered = run("import", tmp_path / "pets", source, "--dry-run", "--set", "label_column=more")
    assert "--set label_column=more: more: x, x, x, x (taken)" in answered


def test_a_dry_run_names_some_of_many_classes(tmp_path: Path) -> None:
    source = folder(tmp_path / "set", {f"class{at:02d}/{at}.png": png(at) for at in range(20)})
    told = run("import", tmp_path / "pets", source, "--dry-run")
    assert "class11 (1) and 8 more" in told
    assert "… and 8 more to check" in told
    assert "class19 (1)" in run("import", tmp_path / "pets", source, "--dry-run", "--all-questions")
