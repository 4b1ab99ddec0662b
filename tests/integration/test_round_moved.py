"""A planned round runs wherever its project is mounted."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pandas as pd

from engine.files import read_json
from engine.rounds.folder import files
from engine.rounds.folder.plan import round_folder
from engine.rounds.supervisor.prepare import write_plan
from tests.integration.conftest import make_project

REPOSITORY = Path(__file__).resolve().parents[2]
TRAIN = {"device": "cpu", "threads": 1, "epochs": 1, "steps_per_epoch": 2, "batch_size": 8}


def test_a_project_that_moved_after_the_plan_trains_and_finishes(tmp_path: Path) -> None:
    store = make_project(tmp_path / "here", 60, 30)
    record = store.queue_round("pseudo_label", {"algorithm": {}, "train": TRAIN})
    write_plan(store, record, tmp_path / "here")
    store.close()
    (tmp_path / "here").rename(tmp_path / "there")
    folder = round_folder(tmp_path / "there", record.number)
    assert str(tmp_path) not in json.dumps(read_json(folder / files.CONFIG))
    command = [sys.executable, "-m", "engine.rounds.worker", str(folder)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    ended = subprocess.run(command, cwd=REPOSITORY, env=environment, capture_output=True, timeout=300, check=False)
    assert ended.returncode == 0, ended.stderr.decode()
    assert len(pd.read_parquet(folder / files.FINAL)) == 60
    assert str(tmp_path) not in (folder / files.REPORT).read_text()
    assert not (tmp_path / "here").exists()
    assert list((tmp_path / "there" / "cache").glob("arrays-*.npy"))
