"""What a round writes of its images beside its predictions, on tiny rounds, and how it is read back."""

from math import log

import numpy as np
import pandas as pd
import pytest
import torch

from engine.errors import ProjectCorrupt
from engine.files import read_json
from engine.rounds.folder import files, results
from engine.rounds.worker import material, signals
from engine.rounds.worker.stop import Stop, Stopped
from engine.training import evaluate
from tests.engine.rounds.worker.small_session import noise_of_two_brightnesses, run

LN2 = log(2)
UNLABELED = np.arange(113, 125)


@pytest.fixture(autouse=True)
def images(monkeypatch, tmp_path):
    monkeypatch.setattr(material, "load", noise_of_two_brightnesses)
    for name in ("checkpoints", "control", "features", "predictions"):
        (tmp_path / name).mkdir()


def read(folder):
    return results.signals(folder), read_json(folder / files.REPORT)["signals"]


def test_a_round_of_one_network_writes_features_flips_and_mutual_information(tmp_path):
    run(tmp_path, epochs=3, run_baseline=False)
    found, said = read(tmp_path)
    assert found.image_ids.tolist() == list(range(101, 125))
    recorded = np.stack([results.epoch_predictions(tmp_path, epoch)[1] for epoch in (1, 2, 3)])
    changes = (recorded[0] != recorded[1]).astype(int) + (recorded[1] != recorded[2])
    assert found.flips.tolist() == [-1] * 12 + changes.tolist()
    assert np.isnan(found.disagreement).all()
    assert (found.teacher == -1).all()
    assert np.isnan(found.bald[:12]).all()
    assert (found.bald[12:] > 0).all()
    assert (found.bald[12:] < LN2).all()
    assert said == {"disagreement": 0, "bald": 12, "notes": []}


def test_the_features_are_those_that_give_the_logits(tmp_path, monkeypatch):
    kept = []
    whole = evaluate.predict_all
    monkeypatch.setattr(evaluate, "predict_all", lambda model, *a, **k: kept.append(model) or whole(model, *a, **k))
    run(tmp_path, run_baseline=False)
    features = results.final_features(tmp_path)
    assert features.dtype == np.float16
    assert features.shape == (24, 150)
    assert isinstance(features, np.memmap)
    temperature = read_json(tmp_path / files.REPORT)["calibration"]["temperature"]
    with torch.inference_mode():
        logits = kept[0].head(torch.from_numpy(np.array(features, np.float32)))
    expected = torch.softmax(logits / temperature, 1).numpy()
    given = pd.read_parquet(tmp_path / files.FINAL)[["p_0", "p_1"]].to_numpy()
    np.testing.assert_allclose(given, expected, atol=5e-3)
    assert given.std() > 0.01


def test_teacher_and_student_are_compared_on_every_image(tmp_path):
    config = {"compare": False, "finetune_share": 0.0, "student_wait": 0.0}
    run(tmp_path, "meta_pseudo_labels", config, epochs=2, strong="light", run_baseline=False)
    found, said = read(tmp_path)
    _, student, teacher = results.tracked_predictions(tmp_path, 2)
    both = (student.astype(float), teacher.astype(float))
    entropy = [-(p * np.log(np.maximum(p, 1e-12))).sum(1) for p in (sum(both) / 2, *both)]
    np.testing.assert_allclose(found.disagreement, entropy[0] - (entropy[1] + entropy[2]) / 2, atol=2e-3)
    clear = np.abs(teacher[:, 0] - 0.5) > 0.01
    assert (found.teacher[clear] == teacher.argmax(1)[clear]).all()
    assert said["disagreement"] == 24


@pytest.mark.parametrize(
    ("first", "second", "expected"),
    [([1.0, 0.0], [0.0, 1.0], LN2), ([0.3, 0.7], [0.3, 0.7], 0.0), ([1.0, 0.0], [0.5, 0.5], 0.2157615543)],
)
def test_the_divergence_of_two_distributions(first, second, expected):
    # the last: m = (3/4, 1/4), H(m) = 0.5623351446, minus ln 2 / 2
    assert signals.divergence(torch.tensor([first]), torch.tensor([second])).tolist() == [pytest.approx(expected)]


def test_without_dropout_there_is_no_mutual_information_and_the_report_says_so(tmp_path):
    run(tmp_path, dropout=0.0, run_baseline=False)
    found, said = read(tmp_path)
    assert np.isnan(found.bald).all()
    assert said["notes"] == ["The mutual information is left out: the model has no dropout."]


def test_only_the_most_doubtful_are_looked_at_through_masks(tmp_path, monkeypatch):
    monkeypatch.setattr(signals, "MOST_PASSES_FOR", 5)
    run(tmp_path, run_baseline=False)
    found, said = read(tmp_path)
    entropy = results_entropy(tmp_path)[12:]
    looked_at = np.isfinite(found.bald[12:])
    assert looked_at.sum() == said["bald"] == 5
    assert entropy[looked_at].min() >= entropy[~looked_at].max()
    assert said["notes"] == ["The mutual information is that of the 5 unlabeled images of the highest entropy."]


def results_entropy(folder):
    return pd.read_parquet(folder / files.FINAL)["entropy"].to_numpy()


def test_features_too_large_are_left_out_with_a_note(tmp_path, monkeypatch):
    monkeypatch.setattr(signals, "FEATURE_BYTES", 24 * 150 * 2 - 1)
    run(tmp_path, run_baseline=False)
    assert results.final_features(tmp_path) is None
    assert "take more than 1 GB" in read(tmp_path)[1]["notes"][0]


def test_the_masks_are_drawn_by_the_seed_of_the_round(tmp_path, monkeypatch):
    seeds = []
    whole = signals.uncertainty.mc_dropout
    monkeypatch.setattr(
        signals.uncertainty, "mc_dropout", lambda *a, seed=-1, **k: seeds.append(seed) or whole(*a, seed=seed, **k)
    )
    run(tmp_path, run_baseline=False, seed=7)
    assert seeds == [7]


def test_memory_that_runs_out_under_masks_costs_only_their_column(tmp_path, monkeypatch):
    def full(*_, **__):
        raise MemoryError

    monkeypatch.setattr(signals.uncertainty, "mc_dropout", full)
    run(tmp_path, run_baseline=False)
    found, said = read(tmp_path)
    assert np.isnan(found.bald).all()
    assert (found.flips[12:] >= 0).all()
    assert "memory ran out" in said["notes"][0]


def test_a_stop_while_signals_are_measured_ends_the_round_before_it_writes(tmp_path, monkeypatch):
    whole = signals.uncertainty.mc_dropout

    def asked(*arguments, **named):
        (tmp_path / files.CANCEL).parent.mkdir(exist_ok=True)
        (tmp_path / files.CANCEL).touch()
        return whole(*arguments, **named)

    monkeypatch.setattr(signals.uncertainty, "mc_dropout", asked)
    with pytest.raises(Stopped):
        run(tmp_path, run_baseline=False)
    assert Stop(tmp_path)()
    assert not (tmp_path / files.FINAL).exists()
    assert not (tmp_path / files.SIGNALS).exists()


def test_a_round_cut_off_before_its_report_writes_the_same_when_resumed(tmp_path):
    run(tmp_path, epochs=2, run_baseline=False)
    written = [tmp_path / name for name in (files.SIGNALS, files.FINAL_FEATURES, files.FINAL)]
    before = [path.read_bytes() for path in written]
    for path in (*written, tmp_path / files.REPORT):
        path.unlink()
    run(tmp_path, epochs=2, run_baseline=False)
    assert [path.read_bytes() for path in written] == before


def epoch(folder, number, ids, classes, sure):
    (folder / "predictions").mkdir(exist_ok=True)
    frame = {"image_id": np.array(ids), "class": np.array(classes, np.int16), "confidence": np.array(sure, np.float32)}
    pd.DataFrame(frame).to_parquet(folder / f"predictions/epoch-{number:03d}.parquet")


def test_older_rounds_know_flips_alone(tmp_path):
    for number, classes in enumerate(([0, 1, 2], [1, 1, 2], [0, 1, 0], [0, 1, 1]), start=1):
        epoch(tmp_path, number, [4, 8, 9], classes, [0.5, 0.25, 1.0])
    roles = {"image_id": [4, 6, 8, 9], "role": ["unlabeled", "train", "unlabeled", "unlabeled"]}
    pd.DataFrame(roles).to_parquet(tmp_path / files.LABELS)
    found = results.signals(tmp_path)
    assert found.image_ids.tolist() == [4, 6, 8, 9]
    assert found.flips.tolist() == [2, -1, 0, 2]
    assert np.isnan(found.bald).all()
    assert np.isnan(found.disagreement).all()
    assert found.teacher.tolist() == [-1] * 4
    assert results.final_features(tmp_path) is None


def test_trajectories_are_all_epochs_one_above_the_other(tmp_path):
    epoch(tmp_path, 1, [4, 8], [0, 1], [0.5, 0.25])
    epoch(tmp_path, 3, [4, 8], [1, 1], [0.75, 1.0])
    found = results.trajectories(tmp_path)
    assert (found.image_ids.tolist(), found.epochs.tolist()) == ([4, 8], [1, 3])
    assert found.classes.tolist() == [[0, 1], [1, 1]]
    assert found.confidences.tolist() == [[0.5, 0.25], [0.75, 1.0]]
    assert (found.classes.dtype, found.confidences.dtype) == (np.int16, np.float16)


def test_before_the_first_epoch_there_are_no_trajectories(tmp_path):
    found = results.trajectories(tmp_path)
    assert (len(found.image_ids), found.classes.shape, found.confidences.shape) == (0, (0, 0), (0, 0))
    assert len(results.signals(tmp_path).image_ids) == 0


def test_epochs_of_different_images_are_refused(tmp_path):
    epoch(tmp_path, 1, [4, 8], [0, 1], [0.5, 0.25])
    epoch(tmp_path, 2, [4, 9], [0, 1], [0.5, 0.25])
    with pytest.raises(ProjectCorrupt, match="epoch-002"):
        results.trajectories(tmp_path)
