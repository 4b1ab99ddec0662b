from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from engine.algorithms import ALGORITHMS
from engine.errors import ConfigError, DeviceMissing, RoundBlocked
from engine.files import read_json, sha256_of, write_json
from engine.nets import weights
from engine.query import random_order
from engine.records.imports import FoundImage
from engine.records.labels import Decision
from engine.records.rounds import HeldoutFigures
from engine.rounds.folder import files, plan, results
from engine.rounds.folder.plan import read_plan
from engine.rounds.supervisor import prepare
from engine.rounds.worker import material
from engine.training.settings import settings_from

CPU = {"device": "cpu"}


def queue(store, **train):
    return store.queue_round("pseudo_label", {"algorithm": {}, "train": {"device": "cpu", **train}})


def label(store, image_id: int, name: str | None, action: str = "label") -> None:
    uid = f"u{image_id}-{name}-{action}"
    (ack,) = store.record([Decision(uid, image_id, version(store, image_id), action, name)])
    assert ack.status == "saved"


def version(store, image_id: int) -> int:
    states = store.states([image_id])
    return states[0].version if states else 0


def blocked(store, algorithm: str = "pseudo_label") -> str:
    with pytest.raises(RoundBlocked) as caught:
        prepare.check_round(store, algorithm, {}, CPU)
    return str(caught.value)


def test_a_project_without_images_is_told_to_import(make_store):
    assert "Import images" in blocked(make_store({}))


def test_without_any_label_it_says_how_many_are_needed(make_store):
    told = blocked(make_store({None: 30}, ("cat", "dog")))
    assert "None of the 30 images has a label" in told
    assert "a labeled image in each of at least 2 classes" in told


def test_one_class_alone_is_not_enough(make_store):
    told = blocked(make_store({"cat": 5, None: 5}))
    assert "one class" in told
    assert "cat" in told


def test_one_label_in_each_of_two_classes_is_enough_and_nothing_is_held_out(make_store, tmp_path):
    store = make_store({"cat": 1, "dog": 1, None: 5})
    prepare.check_round(store, "pseudo_label", {}, CPU)
    folder = prepare.write_plan(store, queue(store), tmp_path)
    frame = pd.read_parquet(folder / files.LABELS)
    assert frame["role"].tolist() == ["train"] * 2 + ["unlabeled"] * 5
    assert read_plan(folder).labels_sha256 == sha256_of(folder / files.LABELS), "what the worker compares"


def test_a_class_with_a_single_label_trains_and_the_others_hold_out(make_store, tmp_path):
    store = make_store({"cat": 10, "dog": 10, "owl": 1, None: 5})
    folder = prepare.write_plan(store, queue(store), tmp_path)
    assert plan.read_plan(folder).classes == ["cat", "dog", "owl"]
    counts = pd.read_parquet(folder / files.LABELS).groupby(["label", "role"]).size().to_dict()
    assert counts == {
        (-1, "unlabeled"): 5, (0, "train"): 8, (0, "heldout"): 2, (1, "train"): 8, (1, "heldout"): 2, (2, "train"): 1,
    }  # fmt: skip


def test_a_share_of_nothing_holds_nothing_out(make_store, tmp_path):
    store = make_store({"cat": 20, "dog": 20, None: 5})
    frame = pd.read_parquet(prepare.write_plan(store, queue(store, heldout_fraction=0.0), tmp_path) / files.LABELS)
    assert set(frame["role"]) == {"train", "unlabeled"}


def test_class_without_a_label_is_left_out_of_the_round(make_store, tmp_path):
    store = make_store({"owl": 0, "cat": 5, "dog": 4, None: 5}, ("owl", "cat", "dog"))
    record = store.queue_round("pseudo_label", {"algorithm": {}, "train": {}})
    found = plan.read_plan(prepare.write_plan(store, record, tmp_path))
    assert found.classes == ["cat", "dog"]
    frame = pd.read_parquet(plan.round_folder(tmp_path, 1) / files.LABELS)
    assert sorted(set(frame["label"])) == [-1, 0, 1]


def test_nothing_unlabeled_blocks_all_but_supervised(make_store):
    store = make_store({"cat": 3, "dog": 3})
    assert "All 6 images are labeled" in blocked(store)
    prepare.check_round(store, "supervised", {}, CPU)


def test_a_device_that_is_not_here_is_refused(make_store):
    store = make_store({"cat": 2, "dog": 2, None: 1})
    missing = "mps" if not torch.backends.mps.is_available() else "cuda"
    with pytest.raises(DeviceMissing, match=missing):
        prepare.check_round(store, "pseudo_label", {}, {"device": missing})


@pytest.mark.parametrize(
    ("algorithm", "config", "train"),
    [
        ("astrology", {}, {}),
        ("pseudo_label", {"no_such": 1}, {}),
        ("pseudo_label", {}, {"epochs": 0}),
        ("pseudo_label", {}, {"net": "frozen:resnet19"}),
        ("pseudo_label", {}, {"net": "torchvision:resnet19"}),
        ("pseudo_label", {}, {"net": "frozen:squeezenet1_0"}),
        ("pseudo_label", {}, {"net": "tuned:resnet19"}),
        ("pseudo_label", {}, {"net": "tuned:resnet18+mobilenet_v2"}),
        ("pseudo_label", {}, {"net": "tuned:resnet18", "weights": "DEFAULT"}),
        ("pseudo_label", {}, {"net": "mlp"}),
    ],
)
def test_settings_out_of_range_are_refused(make_store, algorithm, config, train):
    store = make_store({"cat": 2, "dog": 2, None: 1})
    with pytest.raises(ConfigError):
        prepare.check_round(store, algorithm, config, train)


def test_a_quick_round_may_be_queued_without_its_weights_and_without_a_download(make_store, monkeypatch, tmp_path):
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    monkeypatch.setattr(weights, "urlopen", None)
    store = make_store({"cat": 2, "dog": 2, None: 1})
    prepare.check_round(store, "pseudo_label", {}, CPU | {"net": "frozen:mobilenet_v2"})
    assert not (tmp_path / "hub").exists()


def test_the_split_is_exact_stratified_and_disjoint(make_store, tmp_path):
    store = make_store({"cat": 20, "dog": 10, None: 7})
    folder = prepare.write_plan(store, queue(store, heldout_fraction=0.3), tmp_path)
    frame = pd.read_parquet(folder / files.LABELS)
    counts = frame.groupby(["label", "role"]).size().to_dict()
    assert counts == {
        (-1, "unlabeled"): 7, (0, "train"): 14, (0, "heldout"): 6, (1, "train"): 7, (1, "heldout"): 3,
    }  # fmt: skip
    assert frame["image_id"].tolist() == store.image_ids().tolist()
    assert frame["image_id"].is_unique


def test_labels_made_after_the_round_was_queued_do_not_count(make_store, tmp_path):
    store = make_store({"cat": 4, "dog": 4, None: 4})
    record = queue(store)
    first, second = (int(i) for i in store.image_ids()[[0, -1]])
    label(store, first, "dog")
    label(store, second, "cat")
    frame = pd.read_parquet(prepare.write_plan(store, record, tmp_path) / files.LABELS).set_index("image_id")
    assert frame.loc[first, "label"] == 0
    assert frame.loc[second, "role"] == "unlabeled"


def test_a_resume_keeps_labels_and_split_and_changes_the_token(make_store, tmp_path):
    store = make_store({"cat": 4, "dog": 4, None: 4})
    record = queue(store)
    folder = prepare.write_plan(store, record, tmp_path)
    before = (folder / files.LABELS).read_bytes()
    store.transition(record.number, "failed", token=record.token)
    label(store, int(store.image_ids()[-1]), "cat")
    late = FoundImage("late", Path("late"), "0" * 64, "PNG", 8, 8, 1, 9, "dog")
    store.add_import("more", "test", [late], ("dog",), [])
    again = store.transition(record.number, "queued")
    assert prepare.write_plan(store, again, tmp_path) == folder
    assert (folder / files.LABELS).read_bytes() == before
    found = plan.read_plan(folder)
    assert (found.token, found.attempt) == (again.token, 2)
    assert found.classes == ["cat", "dog"]


def test_labels_accepted_from_a_prediction_are_trained_on_and_never_held_out(make_store, tmp_path):
    store = make_store({"cat": 6, "dog": 8, None: 20}, ("cat", "dog", "owl"))
    ids = store.image_ids().tolist()
    for image_id in ids[14:24]:
        label(store, image_id, "cat" if image_id % 2 else "dog", "accept")
    label(store, ids[24], "owl")
    for image_id in ids[25:31]:
        label(store, image_id, "owl", "accept")
    for image_id in ids[31:33]:
        label(store, image_id, "dog")
    record = queue(store, heldout_fraction=0.5)
    label(store, ids[14], "cat")  # a person's own word, but after the pinned seq
    frame = pd.read_parquet(prepare.write_plan(store, record, tmp_path) / files.LABELS).set_index("image_id")
    assert set(frame.loc[ids[14:24], "role"]) == {"train"}
    eligible = frame.loc[ids[:14] + ids[31:33]]
    # given by import or a person: 6 cats, 10 dogs, and 1 owl, too few to hold one out; round(.5 * 16) = 8 held out
    assert eligible[eligible["role"] == "heldout"].groupby("label").size().to_dict() == {0: 3, 1: 5}
    assert set(frame.loc[ids[24:31], "role"]) == {"train"}


def test_without_a_label_that_may_measure_nothing_is_held_out(make_store, tmp_path):
    store = make_store({None: 6}, ("cat", "dog"))
    for image_id in store.image_ids().tolist()[:4]:
        label(store, image_id, "cat" if image_id % 2 else "dog", "accept")
    frame = pd.read_parquet(prepare.write_plan(store, queue(store), tmp_path) / files.LABELS)
    assert frame["role"].tolist() == ["train"] * 4 + ["unlabeled"] * 2


def test_a_rejected_image_keeps_its_row_and_is_in_no_pool(make_store, tmp_path):
    store = make_store({"cat": 7, "dog": 6, None: 4})
    ids = store.image_ids().tolist()
    for image_id in (ids[0], ids[13]):
        label(store, image_id, None, "reject")
    label(store, ids[14], None, "flag")
    record = queue(store, heldout_fraction=0.5)
    label(store, ids[15], None, "reject")  # after the pinned seq
    folder = prepare.write_plan(store, record, tmp_path)
    assert results.roles(folder) == dict(zip(ids, pd.read_parquet(folder / files.LABELS)["role"], strict=True))
    frame = pd.read_parquet(folder / files.LABELS).set_index("image_id")
    assert frame.index[frame["role"] == "excluded"].tolist() == [ids[0], ids[13]]
    assert set(frame.loc[ids[14:], "role"]) == {"unlabeled"}
    assert frame["role"].value_counts().to_dict() == {"train": 6, "heldout": 6, "unlabeled": 3, "excluded": 2}
    pools = material.make_pools(
        torch.zeros(17, 1, 8, 8, dtype=torch.uint8), frame["role"].to_numpy(object), frame["label"].to_numpy(), 2
    )
    pooled = torch.cat([pools.train_idx, pools.heldout_idx, pools.unlabeled_idx])
    assert sorted(pooled.tolist()) == [*range(1, 13), 14, 15, 16]


def test_rejected_images_do_not_count_for_what_a_round_needs(make_store, tmp_path):
    store = make_store({"cat": 2, "dog": 2, None: 2})
    ids = store.image_ids().tolist()
    for image_id in ids[4:]:
        label(store, image_id, None, "reject")
    assert "All 4 images are labeled" in blocked(store)
    for image_id in ids[2:4]:
        label(store, image_id, None, "reject")
    assert "All labeled images are of one class: cat (2)" in blocked(store)
    with pytest.raises(RoundBlocked, match="one class"):
        prepare.write_plan(store, queue(store), tmp_path)
    for image_id in ids[:2]:
        label(store, image_id, None, "reject")
    assert "take the rejection of some back" in blocked(store)


def test_a_resume_is_compared_with_the_round_now_in_force(make_store, tmp_path):
    store = make_store({"cat": 4, "dog": 4, None: 4})
    first = queue(store)
    folder = prepare.write_plan(store, first, tmp_path)
    store.transition(first.number, "failed", token=first.token)
    second = queue(store)
    heldout = {"n": 4, "correct": 3, "accuracy": 0.75, "low": 0.2, "high": 0.99}
    store.transition(second.number, "running")
    store.transition(second.number, "finished", report={"heldout": heldout})
    store.transition(second.number, "promoted")
    assert plan.read_plan(folder).previous is None
    prepare.write_plan(store, store.transition(first.number, "queued"), tmp_path)
    assert plan.read_plan(folder).previous == plan.PreviousRound(2, HeldoutFigures(**heldout))


def test_the_plan_names_the_round_in_force(make_store, tmp_path):
    store = make_store({"cat": 4, "dog": 4, None: 4})
    heldout = {"n": 4, "correct": 3, "accuracy": 0.75, "low": 0.2, "high": 0.99}
    for to in ("promoted", "held_back"):
        record = queue(store)
        store.transition(record.number, "running")
        store.transition(record.number, "finished", report={"heldout": heldout})
        store.transition(record.number, to)
    folder = prepare.write_plan(store, queue(store), tmp_path)
    assert plan.read_plan(folder).previous == plan.PreviousRound(1, HeldoutFigures(**heldout))


def test_an_image_size_that_was_asked_for_is_taken(make_store, tmp_path):
    store = make_store({"cat": 4, "dog": 4, None: 4})
    folder = prepare.write_plan(store, queue(store, image_size=16), tmp_path)
    assert plan.read_plan(folder).spec == {"size": 16, "channels": 1}


@pytest.mark.parametrize(("asked", "side"), [({}, 224), ({"image_size": 96}, 96)])
def test_a_tuned_network_takes_images_of_its_own_side_or_of_the_one_asked_for(make_store, tmp_path, asked, side):
    store = make_store({"cat": 4, "dog": 4, None: 4})
    folder = prepare.write_plan(store, queue(store, net="tuned:efficientnet_lite0", **asked), tmp_path)
    assert plan.read_plan(folder).spec == {"size": side, "channels": 1}


def test_labels_withdrawn_below_the_need_block_the_plan_and_write_nothing(make_store, tmp_path):
    store = make_store({"cat": 2, "dog": 1, None: 4})
    label(store, int(store.image_ids()[2]), None, "reject")
    with pytest.raises(RoundBlocked):
        prepare.write_plan(store, queue(store), tmp_path)
    assert not (tmp_path / "rounds").exists()


def test_label_frame_is_the_same_for_the_same_seed_and_differs_for_another(make_store):
    store = make_store({"cat": 30, "dog": 30})
    states = store.states_at(store.head_seq())
    roles = [
        prepare.label_frame(store.images(), states, ["cat", "dog"], {"seed": seed})["role"].to_numpy()
        for seed in (1, 1, 2)
    ]
    assert np.array_equal(roles[0], roles[1])
    assert not np.array_equal(roles[0], roles[2])


def test_labels_of_the_random_sample_are_marked_and_reach_the_algorithm(make_store, tmp_path):
    store = make_store({"cat": 3, "dog": 3, None: 40})
    ids = store.image_ids()
    open_ids = ids[6:]
    along = open_ids[np.argsort(random_order(open_ids), kind="stable")].tolist()
    for image_id in along[:11]:
        label(store, image_id, "cat")
    label(store, along[11], "dog", "accept")  # answered as predicted
    label(store, along[12], None, "flag")
    label(store, along[14], "dog")  # after one that nobody has looked at
    label(store, int(ids[0]), "dog")  # an imported label corrected is no random answer
    folder = prepare.write_plan(store, queue(store), tmp_path)
    frame = pd.read_parquet(folder / files.LABELS)
    assert set(frame.loc[frame["drawn"], "image_id"]) == set(along[:13])
    images = torch.zeros(46, 1, 8, 8, dtype=torch.uint8)
    roles, drawn = frame["role"].to_numpy(object), frame["drawn"].to_numpy(bool)
    pools = material.make_pools(images, roles, frame["label"].to_numpy(), 2, drawn)
    assert set(pools.random_idx.tolist()) == set(np.flatnonzero(drawn & (roles == "train")).tolist())
    assert not len(material.make_pools(images, roles, frame["label"].to_numpy(), 2).random_idx)


def test_what_a_batch_accepted_unseen_ends_the_random_sample(make_store, tmp_path):
    store = make_store({"cat": 3, "dog": 3, None: 40})
    open_ids = store.image_ids()[6:]
    along = open_ids[np.argsort(random_order(open_ids), kind="stable")].tolist()
    store.record([Decision(f"b{n}", n, 0, "accept", "cat", batch="together") for n in along[:5]])
    for image_id in along[5:20]:
        label(store, image_id, "cat")
    frame = pd.read_parquet(prepare.write_plan(store, queue(store), tmp_path) / files.LABELS)
    assert not frame["drawn"].any()


def test_a_model_that_labels_a_set_is_not_started_on_the_pixels_of_photos(make_store, monkeypatch):
    store = make_store({"cat": 3, "dog": 3, None: 4})
    prepare.check_round(store, "transductive", {}, CPU)
    monkeypatch.setattr(prepare, "recommend_spec", lambda items: prepare.ArraySpec(size=96, channels=3))
    with pytest.raises(RoundBlocked, match="frozen:efficientnet_lite0"):
        prepare.check_round(store, "transductive", {}, CPU)
    prepare.check_round(store, "transductive", {}, CPU | {"net": "frozen:mobilenet_v2"})


def test_a_plan_names_no_place_of_the_project_that_planned_it(make_store, tmp_path):
    store = make_store({"cat": 4, "dog": 4, None: 4})
    folder = prepare.write_plan(store, queue(store), tmp_path)
    assert str(tmp_path) not in (folder / files.CONFIG).read_text()
    assert plan.project_root(folder) == tmp_path
    assert plan.round_folders(tmp_path) == [folder] == [plan.round_folder(tmp_path, 1)]


def test_of_a_held_out_group_one_image_measures_and_the_others_are_set_aside(make_store, tmp_path):
    store = make_store({"cat": 30, "dog": 30, None: 12})
    ids = store.image_ids().tolist()
    store.set_groups({image_id: f"scene {place // 3}" for place, image_id in enumerate(ids)}, "test")
    for image_id in ids[60:63]:
        label(store, image_id, "dog", "accept")
    folder = prepare.write_plan(store, queue(store, heldout_fraction=0.4), tmp_path)
    frame = pd.read_parquet(folder / files.LABELS)
    roles = frame.groupby("group")["role"].agg(set)
    for found in roles:
        assert found in ({"train"}, {"unlabeled"}, {"heldout", "aside"})
    held = frame[frame["role"] == "heldout"]
    assert held["label"].value_counts().to_dict() == {0: 4, 1: 4}
    assert held["group"].is_unique
    for row in held.itertuples():
        frames = frame[frame["group"] == row.group]["image_id"].to_numpy()
        assert row.image_id == frames[random_order(frames).argmin()]


def test_an_accepted_label_of_a_held_out_group_is_not_trained_on(make_store, tmp_path):
    store = make_store({"cat": 20, "dog": 20, None: 40})
    ids = store.image_ids().tolist()
    store.set_groups({image_id: f"scene {place % 40}" for place, image_id in enumerate(ids)}, "test")
    for image_id in ids[40:75]:
        label(store, image_id, "dog", "accept")
    frame = pd.read_parquet(prepare.write_plan(store, queue(store, heldout_fraction=0.5), tmp_path) / files.LABELS)
    held = set(frame.loc[frame["role"] == "heldout", "group"])
    assert len(held) == 20
    assert set(frame.loc[frame["group"].isin(held), "role"]) <= {"heldout", "aside", "unlabeled"}
    assert set(frame.loc[frame["role"] == "heldout", "image_id"]) <= set(ids[:40])


def test_pools_know_the_groups_and_how_many_labels_stand_behind_what_is_held_out(make_store, tmp_path):
    store = make_store({"cat": 30, "dog": 30, None: 12})
    ids = store.image_ids().tolist()
    store.set_groups({image_id: f"scene {place // 3}" for place, image_id in enumerate(ids)}, "test")
    frame = pd.read_parquet(prepare.write_plan(store, queue(store, heldout_fraction=0.4), tmp_path) / files.LABELS)
    images = torch.zeros(72, 1, 8, 8, dtype=torch.uint8)
    columns = (frame["role"].to_numpy(object), frame["label"].to_numpy(), 2, None)
    pools = material.make_pools(images, *columns, frame["group"].to_numpy())
    assert (len(pools.heldout_idx), pools.heldout_images, pools.few_scenes) == (8, 24, True)
    assert pools.groups.tolist() == frame["group"].tolist()
    alone = material.make_pools(images, *columns, frame["image_id"].to_numpy())
    assert (len(alone.groups), alone.heldout_images, alone.few_scenes) == (0, 0, False)


@pytest.mark.parametrize(("steps", "share"), [(100, None), (0, 0.0)])
def test_a_plan_that_counts_the_steps_of_the_closing_stage_is_read(make_store, tmp_path, steps, share):
    store = make_store({"cat": 9, "dog": 9, None: 30})
    record = store.queue_round("meta_pseudo_labels", {"algorithm": {}, "train": CPU})
    folder = prepare.write_plan(store, record, tmp_path)
    stored = read_json(folder / files.CONFIG)
    stored["config"]["finetune_steps"] = steps
    write_json(folder / files.CONFIG, stored)
    config = plan.read_plan(folder).config
    settings = settings_from(ALGORITHMS["meta_pseudo_labels"].config, config)
    assert config.get("finetune_share") == share
    assert (settings.finetune_share == 0) == (steps == 0)
