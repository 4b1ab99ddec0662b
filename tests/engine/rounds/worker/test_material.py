import hashlib

import numpy as np
import pandas as pd
import pytest
import torch

from engine.errors import ProjectCorrupt
from engine.files import sha256_of
from engine.rounds.folder import files
from engine.rounds.folder.plan import RoundPlan
from engine.rounds.tracked import TRACKED, tracked_rows
from engine.rounds.worker import material


def shas(n):
    return [hashlib.sha256(str(k).encode()).hexdigest() for k in range(n)]


def project(labeled, unlabeled, classes=10, excluded=0):
    """Return roles, labels and predicted classes of labeled, unlabeled and excluded images, in this order."""
    roles = np.array(["train", "heldout"] * labeled + ["unlabeled"] * unlabeled + ["excluded"] * excluded, object)
    roles = roles[labeled:]
    label = np.where(np.isin(roles, ("train", "heldout")), np.arange(len(roles)) % classes, -1)
    return roles, label, np.arange(len(roles)) % classes


def of(roles, rows, *kinds):
    return [int(row) for row in rows if roles[row] in kinds]


def test_all_labeled_images_are_tracked_and_then_the_same_unlabeled_ones():
    roles = np.array(["unlabeled"] * 100, object)
    roles[[3, 50]] = ["train", "heldout"]
    first = tracked_rows(shas(100), roles, limit=20)
    assert {3, 50} <= set(first.tolist())
    assert len(first) == 20
    assert first.tolist() == sorted(set(first.tolist()))
    roles[70] = "train"
    second = tracked_rows(shas(100), roles, limit=20)
    assert len(set(first.tolist()) & set(second.tolist())) >= 19


def test_labeled_images_take_at_most_half_evenly_over_the_classes():
    label = np.array([0] * 900 + [1] * 60 + [2] * 40 + [-1] * 500)
    roles = np.array(["train", "heldout"] * 500 + ["unlabeled"] * 500, object)
    rows = tracked_rows(shas(1500), roles, label, limit=400)
    chosen = of(roles, rows, "train", "heldout")
    assert np.bincount(label[chosen]).tolist() == [100, 60, 40]
    assert len(rows) == 400


def test_where_unlabeled_images_are_few_labeled_ones_fill_the_rest():
    roles, label, _ = project(1000, 30)
    rows = tracked_rows(shas(1030), roles, label, limit=400)
    assert len(rows) == 400
    assert of(roles, rows, "unlabeled") == list(range(1000, 1030))


def test_excluded_images_are_tracked_only_where_room_is_left():
    roles, label, _ = project(10, 50, excluded=40)
    assert of(roles, tracked_rows(shas(100), roles, label, limit=60), "excluded") == []
    assert len(of(roles, tracked_rows(shas(100), roles, label, limit=75), "excluded")) == 15
    assert len(tracked_rows(shas(100), roles, label)) == 100


def test_without_an_earlier_prediction_unlabeled_images_come_in_hash_order():
    names = shas(3000)
    roles, label, _ = project(0, 3000)
    order = sorted(range(3000), key=lambda row: hashlib.sha256(f"tracked:{names[row]}".encode()).digest())
    assert tracked_rows(names, roles, label, np.full(3000, -1)).tolist() == sorted(order[:TRACKED])


def test_unlabeled_images_are_shared_out_in_proportion_with_a_floor():
    roles, label, _ = project(0, 10_000)
    stratum = np.repeat([0, 1, 2, 3, -1], [7000, 2500, 400, 12, 88])
    rows = tracked_rows(shas(10_000), roles, label, stratum, limit=1000)
    counts = {name: int((stratum[rows] == name).sum()) for name in (0, 1, 2, 3, -1)}
    # 1000 − 12 − 20 of the two small ones are shared by 9900: 683, 244, 39 (each ± 1)
    assert (counts[3], counts[-1]) == (12, 20)
    assert [counts[0], counts[1], counts[2]] == pytest.approx([968 * n / 9900 for n in (7000, 2500, 400)], abs=1)


def test_with_more_classes_than_room_for_the_floor_each_has_as_many():
    roles, label, stratum = project(0, 5000, classes=100)
    rows = tracked_rows(shas(5000), roles, label, stratum, limit=700)
    assert np.bincount(stratum[rows]).tolist() == [7] * 100


def test_every_image_of_a_rare_class_is_tracked():
    roles, label, _ = project(200, 5000)
    stratum = np.arange(5200) % 9
    rare = np.random.default_rng(0).choice(np.arange(200, 5200), 15, replace=False)
    stratum[rare] = 9
    rows = tracked_rows(shas(5200), roles, label, stratum)
    assert set(rare.tolist()) <= set(rows.tolist())
    assert len(rows) == TRACKED
    plain = tracked_rows(shas(5200), roles, label)
    assert not set(rare.tolist()) <= set(plain.tolist())


@pytest.mark.parametrize("labeled", [200, 2500])
def test_most_images_are_tracked_again_when_predictions_change_and_labels_are_added(labeled):
    random = np.random.default_rng(1)
    roles, label, _ = project(labeled, 5000)
    n = len(roles)
    stratum = random.choice(10, n, p=[0.3, 0.2, 0.1, 0.1, 0.1, 0.1, 0.05, 0.03, 0.01, 0.01])
    first = tracked_rows(shas(n), roles, label, stratum)
    changed = random.choice(np.arange(labeled, n), 250, replace=False)
    stratum[changed] = (stratum[changed] + random.integers(1, 10, 250)) % 10
    new = random.choice(np.arange(labeled, n), 50, replace=False)
    roles[new], label[new] = "train", random.integers(0, 10, 50)
    second = tracked_rows(shas(n), roles, label, stratum)
    still = set(of(roles, first, "unlabeled"))
    assert len(still) > 900
    assert len(still & set(second.tolist())) >= 0.9 * len(still)
    before = set(of(roles, first, "train", "heldout")) - set(new.tolist())
    assert len(before & set(second.tolist())) >= 0.9 * len(before)


@pytest.fixture
def planned(tmp_path, monkeypatch):
    """A planned round of 3,000 images, 100 of them labeled and 10 predicted to be of class 2; its frame is returned."""
    monkeypatch.setattr(material, "_images", lambda *_: torch.zeros(3000, 1, 8, 8, dtype=torch.uint8))
    roles, label, _ = project(100, 2900, classes=2)
    stratum = np.where(np.arange(3000) >= 2990, 2, 0).astype(np.int16)
    ids = np.arange(3000) + 11
    frame = pd.DataFrame({"image_id": ids, "sha256": shas(3000), "label": label, "role": roles, "stratum": stratum})
    frame.to_parquet(tmp_path / files.LABELS)
    return tmp_path, frame


def load(folder, **pinned):
    plan = RoundPlan("supervised", {}, {}, ["a", "b", "c"], 1, "t", 1, "x", 0, {}, **pinned)
    return material.load(folder, plan, torch.device("cpu"), lambda *_: None)


def test_labels_that_are_not_those_of_the_plan_are_never_trained_on(planned):
    folder, frame = planned
    pinned = sha256_of(folder / files.LABELS)
    assert len(load(folder, labels_sha256=pinned).ids) == 3000
    frame.assign(label=frame["label"].replace(0, 1)).to_parquet(folder / files.LABELS)
    with pytest.raises(ProjectCorrupt, match=r"not those that it was planned with: .*labels\.parquet"):
        load(folder, labels_sha256=pinned)


def test_a_worker_tracks_by_the_strata_of_its_plan(planned):
    folder, frame = planned
    data = load(folder)
    assert set(range(100)) | set(range(2990, 3000)) <= set(data.tracked.tolist())
    assert len(data.tracked) == TRACKED
    assert data.ids.tolist() == frame["image_id"].tolist()


def test_a_resume_tracks_what_the_attempt_before_recorded(planned):
    folder, _ = planned
    (folder / "features").mkdir()
    np.save(folder / files.TRACKED_IDS, np.array([12, 500, 2000]))
    assert load(folder).tracked.tolist() == [1, 489, 1989]


@pytest.mark.parametrize("content", [b"", b"not an array", None])
def test_recorded_ids_that_can_not_be_used_are_chosen_anew(planned, content):
    folder, _ = planned
    (folder / "features").mkdir()
    if content is None:
        np.save(folder / files.TRACKED_IDS, np.array([12, 99_999]))
    else:
        (folder / files.TRACKED_IDS).write_bytes(content)
    assert len(load(folder).tracked) == TRACKED
