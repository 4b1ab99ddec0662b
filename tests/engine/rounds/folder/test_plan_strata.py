from pathlib import Path

import numpy as np
import pandas as pd

from engine.files import read_json
from engine.records.imports import FoundImage
from engine.rounds.folder import files
from engine.rounds.supervisor import prepare
from engine.rounds.worker.recorder import RoundRecorder


def queue(store):
    return store.queue_round("pseudo_label", {"algorithm": {}, "train": {"device": "cpu"}})


def promoted(store, root, probabilities, classes):
    """Promote a round with these final predictions (N, K) of all images, ids ascending; return its folder."""
    record = queue(store)
    folder = prepare.write_plan(store, record, root)
    recorder = RoundRecorder(folder, "t")
    ids = store.image_ids()
    digest = recorder.final_predictions(ids, np.full(len(ids), "unlabeled", object), probabilities, calibrated=True)
    recorder.json(files.REPORT, {"predictions": {"sha256": digest}})
    recorder.json(files.CONFIG, read_json(folder / files.CONFIG) | {"classes": classes})
    recorder.close()
    store.transition(record.number, "running")
    store.transition(record.number, "finished", report={})
    store.transition(record.number, "promoted")
    return folder


SAID = np.eye(3, dtype=np.float32)[[0, 1, 2, 0, 1, 2, 0, 1, 2, 0]]


def strata_of(store, root):
    frame = pd.read_parquet(prepare.write_plan(store, queue(store), root) / files.LABELS)
    assert frame["stratum"].dtype == np.int16
    return frame["stratum"].tolist()


def test_without_a_round_in_force_no_image_has_a_stratum(make_store, tmp_path):
    assert strata_of(make_store({"cat": 3, "dog": 3, None: 4}), tmp_path) == [-1] * 10


def test_strata_are_the_classes_that_the_round_in_force_predicts_by_their_names_now(make_store, tmp_path):
    store = make_store({"cat": 3, "dog": 3, None: 4})
    promoted(store, tmp_path, SAID, ["dog", "gone", "cat"])
    late = FoundImage("late", Path("late"), "0" * 64, "PNG", 8, 8, 1, 9, None)
    store.add_import("more", "test", [late], (), [])
    assert strata_of(store, tmp_path) == [1, -1, 0, 1, -1, 0, 1, -1, 0, 1, -1]


def test_predictions_that_can_not_be_read_do_not_keep_a_round_from_its_plan(make_store, tmp_path):
    store = make_store({"cat": 3, "dog": 3, None: 4})
    folder = promoted(store, tmp_path, SAID, ["cat", "dog", "owl"])
    (folder / files.FINAL).write_bytes(b"damaged")
    assert strata_of(store, tmp_path) == [-1] * 10


def test_a_resume_keeps_its_strata_when_another_round_is_in_force(make_store, tmp_path):
    store = make_store({"cat": 3, "dog": 3, None: 4})
    first = queue(store)
    folder = prepare.write_plan(store, first, tmp_path)
    store.transition(first.number, "failed", token=first.token)
    promoted(store, tmp_path, SAID, ["cat", "dog", "owl"])
    prepare.write_plan(store, store.transition(first.number, "queued"), tmp_path)
    assert set(pd.read_parquet(folder / files.LABELS)["stratum"]) == {-1}
