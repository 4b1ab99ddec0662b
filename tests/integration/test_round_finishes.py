import numpy as np
import pandas as pd
import pytest

from app.cli import rounds
from engine.errors import RoundActive
from engine.files import PARTIAL, read_json
from engine.records.rounds import PoolCounts
from engine.rounds.folder import files, results
from engine.rounds.folder.plan import read_plan
from engine.rounds.worker.__main__ import EXIT_FAILED
from tests.integration.conftest import made_bench
from tests.integration.test_clear_messages import in_this_process


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """The bench of a project whose only round has ended, and the round's number: to be read only."""
    root = tmp_path_factory.mktemp("finished")
    with made_bench(root) as bench:
        bench.engine()
        number = bench.queue(config={"alpha_f": 0.1}, epochs=4, steps_per_epoch=25, learning_rate=0.1)
        bench.wait(number, "promoted", "held_back", "failed", seconds=120)
        yield bench, number


def test_a_round_finishes_is_promoted_and_leaves_everything_it_promises(finished):
    bench, number = finished
    record = bench.store.round(number)
    assert record.state == "promoted", (record.error, record.report, bench.log(number))
    folder = bench.folder(number)
    check_report(record.report)
    check_predictions(bench, folder)
    check_epochs(folder)
    assert record.progress["device"].startswith("CPU")
    assert bench.workers() == []
    assert not list(folder.rglob(f"*{PARTIAL}"))


def check_report(report):
    assert report.counts == PoolCounts(train=80, heldout=20, unlabeled=300)
    assert report.heldout.n == report.baseline.n == 20
    assert np.sum(report.confusion) == 20
    assert np.trace(report.confusion) == report.heldout.correct
    assert report.heldout.low <= report.heldout.accuracy <= report.heldout.high
    assert sum(report.histogram) == 300
    assert report.calibration.n == 20
    assert report.calibration.temperature > 0
    assert report.epochs == 4
    assert report.peak_memory_mb > 50
    assert report.verdict.promoted


def check_predictions(bench, folder):
    found = results.final_predictions(folder)
    assert np.array_equal(found.image_ids, bench.store.image_ids())
    assert found.probabilities.sum(1) == pytest.approx(np.ones(400), abs=1e-5)
    assert found.classes == tuple("0123456789")
    frame = pd.read_parquet(folder / files.FINAL)
    assert frame["class"].tolist() == found.probabilities.argmax(1).tolist()
    assert frame["confidence"].to_numpy() == pytest.approx(found.probabilities.max(1))


def check_epochs(folder):
    assert results.epochs(folder) == [1, 2, 3, 4]
    ids, classes, confidence = results.epoch_predictions(folder, 2)
    roles = results.roles(folder)
    assert ids.tolist() == [image for image, role in roles.items() if role == "unlabeled"]
    assert classes.max() < 10
    assert confidence.min() >= 0.1 - 1e-6
    curves = results.curves(folder)
    assert list(zip(curves["phase"], curves["epoch"], strict=True)) == [
        (phase, epoch) for phase in ("baseline", "main") for epoch in (1, 2, 3, 4)
    ]
    assert all(value is not None for value in curves["heldout_accuracy"])
    tracked, features = results.tracked_features(folder, 4)
    assert len(tracked) == len(features) == 400
    assert features.dtype == np.float16
    assert len(list((folder / "checkpoints/main").iterdir())) == 2


def test_a_round_that_pseudo_labels_made_worse_than_the_baseline_ends_with_the_baselines_model(bench, capsys):
    bench.engine()
    from_the_start = {"alpha_f": 100.0, "t1": 0.0, "t2": 1.0}
    number = bench.queue(config=from_the_start, epochs=2, steps_per_epoch=40, learning_rate=0.1)
    record = bench.wait(number, "promoted", "held_back")
    report = record.report
    assert report.baseline.accuracy > 0.8
    assert report.passed_over.accuracy < report.baseline.accuracy == report.heldout.accuracy
    assert record.state == "promoted"
    assert "model of the labels alone" in report.verdict.reason
    assert (bench.folder(number) / report.checkpoint.file).parent.name == "baseline"
    bench.engines[0].stop()
    rounds.status(bench.root)
    assert "(its" in capsys.readouterr().out  # baseline), in a narrow cell


def test_held_out_training_and_unlabeled_images_are_disjoint_and_labels_are_the_ledgers(finished):
    bench, number = finished
    frame = pd.read_parquet(bench.folder(number) / files.LABELS)
    by_role = {role: set(part["image_id"]) for role, part in frame.groupby("role")}
    assert not by_role["train"] & by_role["heldout"]
    assert not (by_role["train"] | by_role["heldout"]) & by_role["unlabeled"]
    assert set().union(*by_role.values()) == set(bench.store.image_ids().tolist())
    state = bench.store.state_at(read_plan(bench.folder(number)).ledger_seq)
    labeled = frame[frame["label"] >= 0]
    assert {row.image_id: str(row.label) for row in labeled.itertuples()} == state


def test_a_supervised_round_runs_no_baseline_beside_itself(bench):
    number = bench.queue("supervised", epochs=1, steps_per_epoch=2)
    assert in_this_process(bench, number)[0] == 0
    assert read_json(bench.folder(number) / files.REPORT)["baseline"] is None
    assert set(results.curves(bench.folder(number))["phase"]) == {"main"}


def test_of_two_starts_at_once_one_is_refused(bench):
    number = bench.queue(epochs=1)
    with pytest.raises(RoundActive):
        bench.queue(epochs=1)
    assert [record.number for record in bench.store.rounds()] == [number]


def test_a_worker_error_is_told_with_its_cause_and_traceback(bench):
    lost = bench.store.images()[7]
    (bench.root / "images" / lost.sha256[:2] / lost.sha256).unlink()
    status, last = in_this_process(bench, bench.queue(epochs=1))
    assert (status, last["type"], last["kind"]) == (EXIT_FAILED, "failed", "DecodeError")
    assert lost.sha256 in last["cause"]
    assert "Traceback" in last["traceback"]
