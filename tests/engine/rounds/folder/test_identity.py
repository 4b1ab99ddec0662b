"""Whose folder a round's folder is, where a number was given twice."""

import os
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest

from engine.files import read_json, write_json
from engine.rounds.folder import files, plan
from engine.rounds.folder.events import read_events
from engine.rounds.folder.identity import folder_uid, make_room, strangers
from engine.rounds.folder.lock import WorkerBusy, lock_folder
from engine.rounds.live import end_live
from engine.rounds.supervisor import prepare

SETTINGS = {"algorithm": {}, "train": {"device": "cpu"}}


@pytest.fixture
def store(make_store):
    return make_store({"cat": 5, "dog": 5, None: 5})


def of_another_round(folder: Path, uid: str | None = "another") -> None:
    """Put what a complete round leaves into a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    write_json(folder / files.CONFIG, {"number": 1, "classes": ["cat", "owl"], "ledger_seq": 99, "uid": uid})
    pd.DataFrame({"image_id": [1], "role": ["train"]}).to_parquet(folder / files.LABELS)
    write_json(folder / files.REPORT, {"epochs": 77})


def test_a_round_is_planned_anew_where_the_folder_is_another_rounds(store, tmp_path, caplog):
    of_another_round(tmp_path / "rounds" / "0001")
    record = store.queue_round("pseudo_label", SETTINGS)
    folder = prepare.write_plan(store, record, tmp_path)
    found = plan.read_plan(folder)
    assert (found.classes, found.ledger_seq, found.uid) == (["cat", "dog"], record.ledger_seq, record.uid)
    assert len(pd.read_parquet(folder / files.LABELS)) == 15
    assert not (folder / files.REPORT).exists()
    [aside] = (tmp_path / "rounds").glob("aside-0001-*")
    assert read_json(aside / files.REPORT) == {"epochs": 77}
    assert aside.name in caplog.text
    [told] = read_events(folder / files.EVENTS)
    assert (told["type"], told["token"]) == ("recovery", record.token)
    assert aside.name in told["message"]


def test_a_resumed_round_keeps_its_folder(store, tmp_path):
    record = store.queue_round("pseudo_label", SETTINGS)
    folder = prepare.write_plan(store, record, tmp_path)
    (folder / "kept").touch()
    store.transition(1, "cancelled")
    again = store.transition(1, "queued")
    assert again.uid == record.uid
    prepare.write_plan(store, again, tmp_path)
    assert (folder / "kept").exists()
    assert plan.read_plan(folder).token == again.token


def test_a_round_from_before_there_were_uids_keeps_its_folder(store, tmp_path):
    record = replace(store.queue_round("pseudo_label", SETTINGS), uid=None)
    folder = prepare.write_plan(store, record, tmp_path)
    older = read_json(folder / files.CONFIG)
    del older["uid"]
    write_json(folder / files.CONFIG, older)
    (folder / "kept").touch()
    prepare.write_plan(store, record, tmp_path)
    assert (folder / "kept").exists()
    assert strangers(tmp_path, {1: None}) == {}


def test_a_folder_from_before_there_were_uids_is_not_a_new_rounds(store, tmp_path):
    of_another_round(tmp_path / "rounds" / "0001", uid=None)
    folder = prepare.write_plan(store, store.queue_round("pseudo_label", SETTINGS), tmp_path)
    assert not (folder / files.REPORT).exists()


def test_a_folder_in_which_a_worker_of_the_other_round_lives_is_not_moved(tmp_path):
    of_another_round(folder := tmp_path / "rounds" / "0001")
    handle = lock_folder(folder)
    with pytest.raises(WorkerBusy):
        make_room(tmp_path, 1, "mine")
    assert folder_uid(folder) == "another"
    os.close(handle)
    assert make_room(tmp_path, 1, "mine") is not None


def test_a_live_round_ends_with_its_own_report_not_with_that_of_the_folder(store, tmp_path):
    record = store.begin_live("live", SETTINGS)
    store.update_live(record.number, token=record.token, report={"epochs": 3}, seq=record.ledger_seq)
    of_another_round(folder := tmp_path / "rounds" / "0001")
    end_live(store, store.round(record.number), folder)
    report = store.round(record.number).report
    assert report is not None
    assert report.epochs == 3
