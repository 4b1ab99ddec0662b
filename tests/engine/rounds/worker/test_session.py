import dataclasses
import errno
import functools

import numpy as np
import pandas as pd
import pytest
import torch

from engine.algorithms import regression, supervised
from engine.errors import ProjectCorrupt, TrainingDiverged
from engine.files import read_json, write_json
from engine.images.array_cache import DAMAGED
from engine.records.rounds import HeldoutFigures
from engine.rounds.folder import files, results
from engine.rounds.folder.digests import ROUND
from engine.rounds.folder.plan import RoundPlan
from engine.rounds.worker import __main__ as worker
from engine.rounds.worker import apply, session
from engine.rounds.worker.recorder import RoundRecorder
from engine.rounds.worker.stop import Pulse, Stop, Stopped
from engine.training import evaluate
from engine.training.calibrate import accuracy_interval
from tests.engine.rounds.worker.small_session import noise_of_two_brightnesses, run, run_with_ablation, told


def failing(monkeypatch, error, times: int, at_step: int = 0):
    """Make a supervised run raise at a step, the first `times` times."""
    real = supervised.Supervised.steps
    left = [times]
    seen = []

    def steps(self, epoch):
        seen.append((self._train.learning_rate, self._train.batch_size, epoch))
        for step, metrics in enumerate(real(self, epoch)):
            if left[0] and epoch * 3 + step >= at_step:
                left[0] -= 1
                raise error
            yield metrics

    monkeypatch.setattr(supervised.Supervised, "steps", steps)
    return seen


def test_a_damaged_cache_is_told_in_the_report(folder, monkeypatch):
    plain = session.material.load

    def load(folder, plan, where, progress):
        for done in range(3):
            progress(f"{DAMAGED}: 3 of 24 images are decoded anew", done, 3)
        return plain(folder, plan, where, progress)

    monkeypatch.setattr(session.material, "load", load)
    run(folder, epochs=1)
    assert read_json(folder / files.REPORT)["recoveries"] == [f"{DAMAGED}: 3 of 24 images are decoded anew"]


def test_a_round_says_in_the_end_what_its_files_are_and_forgets_it_when_it_goes_on(folder):
    run(folder, epochs=1)
    known = ROUND.known(folder)
    assert {files.CONFIG, files.REPORT, files.FINAL, files.EVENTS, files.epoch_predictions(1)} <= set(known)
    assert not {files.LOG, files.LOCK, files.DIGESTS} & set(known)
    assert ROUND.find_flaws(folder) == []
    report = folder / files.REPORT
    report.write_text(report.read_text().replace('"attempts": 1', '"attempts": 2'))
    with pytest.raises(ProjectCorrupt, match=r"not what the round wrote: .*report\.json.*--files-only"):
        results.read_report(folder)
    run(folder, epochs=1)
    assert ROUND.find_flaws(folder) == []


def test_out_of_memory_halves_the_batch_and_begins_again(folder, monkeypatch):
    seen = failing(monkeypatch, torch.OutOfMemoryError("CUDA out of memory"), 2)
    run(folder, epochs=1)
    assert [batch for _, batch, _ in seen] == [8, 4, 2]
    assert "halved to 2" in read_json(folder / files.REPORT)["recoveries"][1]


def test_out_of_memory_forgets_the_epochs_of_the_attempt_that_is_begun_again(folder, monkeypatch):
    left = []
    forget = RoundRecorder.forget_epochs

    def look(self):
        forget(self)
        left.append(sorted(path.name for kind in ("features", "predictions") for path in (folder / kind).iterdir()))

    monkeypatch.setattr(RoundRecorder, "forget_epochs", look)
    failing(monkeypatch, torch.OutOfMemoryError("CUDA out of memory"), 1, at_step=4)
    run(folder, epochs=2)
    assert left == [["ids.npy"]]
    assert results.tracked_epochs(folder) == results.epochs(folder) == [1, 2]


def test_out_of_memory_a_third_time_is_given_up(folder, monkeypatch):
    failing(monkeypatch, torch.OutOfMemoryError("CUDA out of memory"), 3)
    with pytest.raises(torch.OutOfMemoryError):
        run(folder)


def test_a_diverged_loss_goes_back_to_the_checkpoint_at_half_the_rate(folder, monkeypatch):
    seen = failing(monkeypatch, TrainingDiverged("The loss is not finite"), 1, at_step=4)
    run(folder, learning_rate=0.08)
    assert seen == [(0.08, 8, 0), (0.08, 8, 1), (0.04, 8, 1)]


def test_a_resume_keeps_the_lowered_rate(folder, monkeypatch):
    seen = failing(monkeypatch, TrainingDiverged("The loss is not finite"), 3, at_step=4)
    with pytest.raises(TrainingDiverged):
        run(folder, learning_rate=0.08)
    seen.clear()
    run(folder, learning_rate=0.08)
    assert seen == [(0.02, 8, 1)]


def test_another_error_is_not_tried_again(folder, monkeypatch):
    failing(monkeypatch, RuntimeError("shapes differ"), 1)
    with pytest.raises(RuntimeError, match="shapes differ"):
        run(folder)
    assert told(folder, "recovery") == []


def test_a_cancel_flag_stops_before_the_next_step(folder, monkeypatch):
    seen = failing(monkeypatch, None, 0)
    (folder / files.CANCEL).touch()
    with pytest.raises(Stopped):
        run(folder)
    assert seen == []
    assert not (folder / files.REPORT).exists()


def test_a_full_disk_in_a_checkpoint_fails_with_the_old_checkpoint_kept(folder, monkeypatch):
    real = session.checkpoint.save

    def save(path, algorithm, epoch, extra):
        if epoch == 1:
            raise OSError(errno.ENOSPC, "No space left on device")
        return real(path, algorithm, epoch, extra)

    monkeypatch.setattr(session.checkpoint, "save", save)
    settings = {"device": "cpu", "threads": 1, "epochs": 2, "steps_per_epoch": 2, "batch_size": 8}
    plan = RoundPlan("supervised", {}, settings, ["dark", "light"], 1, "t", 1, "x", 0, {})
    recorder = RoundRecorder(folder, "t")
    stop = Stop(folder)
    write_json(folder / files.CONFIG, {"token": "t"})
    pulse = Pulse(recorder, stop, "t")
    pulse.start()
    assert worker.run(folder, plan, recorder, stop, pulse) == worker.EXIT_FAILED
    assert files.CONFIG in ROUND.known(folder), "also of a round that failed"
    assert ROUND.find_flaws(folder) == []
    recorder.close()
    (failed,) = told(folder, "failed")
    assert failed["kind"] == "DiskFull"
    assert "Free some space" in failed["way_out"]
    assert [path.name for path in (folder / "checkpoints/main").iterdir()] == ["epoch-00001.ckpt"]
    assert [event["epoch"] for event in told(folder, "checkpoint")] == [1]


def test_a_baseline_that_is_done_is_not_trained_again(folder, monkeypatch):
    figures = {"n": 4, "correct": 2, "accuracy": 0.5, "low": 0.1, "high": 0.9, "method": "x", "images": 0}
    write_json(folder / files.BASELINE, figures | {"predicted": [0, 1, 0, 1]})
    seen = failing(monkeypatch, None, 0)
    run(folder, "pseudo_label")
    assert seen == []
    assert read_json(folder / files.REPORT)["baseline"] == figures


def test_the_baseline_has_the_rounds_own_settings_and_number_of_steps(folder, monkeypatch):
    seen = failing(monkeypatch, None, 0)
    run(folder, "pseudo_label", learning_rate=0.07, epochs=2)
    assert seen == [(0.07, 8, 0), (0.07, 8, 1)]
    main = [event for event in told(folder, "epoch") if event["phase"] == "main"]
    assert len(main) == 2


def test_an_ablation_trains_the_same_algorithm_with_h_zero_first(folder, monkeypatch):
    built = []
    spec = session.ALGORITHMS["meta_pseudo_labels"]

    def build(config, train, pools, where):
        built.append((config, train))
        return spec.build(config, train, pools, where)

    monkeypatch.setitem(session.ALGORITHMS, "meta_pseudo_labels", dataclasses.replace(spec, build=build))
    report = run_with_ablation(folder)
    (first, first_train), (second, second_train) = built
    assert (first.ablate, second.ablate) == (True, False)
    assert dataclasses.replace(first, ablate=False, compare=True) == second
    assert first_train == second_train
    phases = [event["phase"] for event in told(folder, "epoch")]
    assert phases == ["ablation"] * 2 + ["main"] * 2
    gains = [event["metrics"]["h"] for event in told(folder, "epoch")]
    assert gains[:2] == [0.0, 0.0]
    assert all(gain != 0 for gain in gains[2:])
    assert not (folder / "checkpoints/ablation").exists()
    assert (folder / "checkpoints/main").exists()
    kept, shown = read_json(folder / files.ABLATION), report["ablation"]
    assert len(kept["predicted"]) == kept["n"] == shown["n"] == 4
    assert "predicted" not in shown
    assert shown["both_right"] + shown["only_ablation"] == shown["correct"] == kept["correct"]
    assert shown["both_right"] + shown["only_main"] == report["heldout"]["correct"]


def test_an_ablation_that_is_done_is_not_trained_again(folder):
    figures = {"n": 4, "correct": 2, "accuracy": 0.5, "low": 0.1, "high": 0.9, "method": "x", "images": 0}
    write_json(folder / files.ABLATION, figures | {"predicted": [0, 0, 0, 0]})
    report = run_with_ablation(folder)
    assert {event["phase"] for event in told(folder, "epoch")} == {"main"}
    assert {key: report["ablation"][key] for key in figures} == figures


def test_after_a_recovery_of_one_of_the_two_no_comparison_is_reported(folder, monkeypatch):
    real, left = session.Session._epoch, [1]

    def diverging(self, phase, *rest):
        if phase.name == "main" and left[0]:
            left[0] = 0
            raise TrainingDiverged("The loss is no number", value="nan")
        real(self, phase, *rest)

    monkeypatch.setattr(session.Session, "_epoch", diverging)
    report = run_with_ablation(folder)
    assert report["ablation"] is None
    assert any("left out" in message for message in report["recoveries"])


def test_an_interrupted_ablation_goes_on_from_its_own_checkpoint(folder, monkeypatch):
    real, left = session.Session._epoch, [2]

    def stopping(self, phase, *rest):
        left[0] -= 1
        if not left[0]:
            raise Stopped
        real(self, phase, *rest)

    monkeypatch.setattr(session.Session, "_epoch", stopping)
    with pytest.raises(Stopped):
        run_with_ablation(folder)
    assert not (folder / files.ABLATION).exists()
    run_with_ablation(folder)
    done = [(event["phase"], event["epoch"]) for event in told(folder, "epoch")]
    assert done == [("ablation", 1), ("ablation", 2), ("main", 1), ("main", 2)]


def test_without_being_asked_nothing_is_trained_beside(folder):
    run(folder, "meta_pseudo_labels", strong="light", run_baseline=False, epochs=1)
    assert read_json(folder / files.REPORT)["ablation"] is None
    assert {event["phase"] for event in told(folder, "epoch")} == {"main"}


def test_a_batch_halved_for_the_ablation_stays_halved_for_the_round(folder, monkeypatch):
    spec, seen = session.ALGORITHMS["meta_pseudo_labels"], []

    def build(config, train, pools, where):
        seen.append((config.ablate, train.batch_size))
        if len(seen) == 1:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return spec.build(config, train, pools, where)

    monkeypatch.setitem(session.ALGORITHMS, "meta_pseudo_labels", dataclasses.replace(spec, build=build))
    run_with_ablation(folder, epochs=1)
    assert seen == [(True, 8), (True, 4), (False, 4)]


def guessing(monkeypatch, algorithm: str, right: int):
    """Make an algorithm's model have the first `right` of the four held-out images right, and say so of no other."""
    real = session.finish.reached

    def reached(trained, pools):
        figures, predicted = real(trained, pools)
        if type(trained) is not session.ALGORITHMS[algorithm].build:
            return figures, predicted
        labels = pools.heldout_y.tolist()
        said = [label if place < right else 1 - label for place, label in enumerate(labels)]
        return HeldoutFigures(4, right, right / 4, *accuracy_interval(right, 4)), said

    monkeypatch.setattr(session.finish, "reached", reached)


def test_where_the_labels_alone_do_better_the_baselines_model_is_the_rounds_result(folder, monkeypatch):
    guessing(monkeypatch, "pseudo_label", 0)
    run(folder, "pseudo_label", {"t1": 0.0, "t2": 1.0}, learning_rate=0.02, epochs=4, steps_per_epoch=20)
    report = results.read_report(folder)
    assert report.algorithm == "supervised"
    assert report.passed_over == HeldoutFigures(4, 0, 0.0, *accuracy_interval(0, 4))
    assert report.heldout.correct == report.baseline.correct == sum(map(sum, report.confusion)) == 4
    assert report.verdict.promoted
    assert "model of the labels alone" in report.verdict.reason
    assert report.checkpoint.file.startswith("checkpoints/baseline/")
    algorithm, data = apply.final_run(folder, torch.device("cpu"), lambda *_: None)
    assert type(algorithm) is supervised.Supervised
    logits = evaluate.predict_logits(algorithm.eval_model(), data.pools.images, torch.arange(24), torch.device("cpu"))
    light = torch.softmax(logits / report.calibration.temperature, 1)[:, 1].tolist()
    assert pd.read_parquet(folder / files.FINAL)["p_1"].tolist() == pytest.approx(light, abs=1e-5)
    assert {event["phase"] for event in told(folder, "epoch")} == {"baseline", "main"}
    assert len([event for event in told(folder, "epoch") if event["phase"] == "baseline"]) == 4


def test_where_the_labels_alone_do_no_better_the_round_is_its_own_and_the_baselines_checkpoints_go(folder):
    figures = {"n": 4, "correct": 0, "accuracy": 0.0, "low": 0.0, "high": 0.6, "method": "x"}
    write_json(folder / files.BASELINE, figures | {"predicted": [1, 0, 1, 0]})
    (folder / "checkpoints/baseline").mkdir()
    run(folder, "pseudo_label")
    report = results.read_report(folder)
    assert (report.algorithm, report.passed_over) == ("pseudo_label", None)
    assert report.checkpoint.file.startswith("checkpoints/main/")
    assert not (folder / "checkpoints/baseline").exists()


def stripes(*_):
    """Return the material with upright stripes in light images and level ones in dark ones, which gradients tell."""
    made = noise_of_two_brightnesses()
    upright = torch.arange(8).remainder(4).div(2, rounding_mode="floor").mul(100).to(torch.uint8).expand(1, 8, 8)
    images = torch.stack([upright if k % 2 else upright.mT for k in range(24)]) + made.pools.images // 4
    return dataclasses.replace(made, pools=dataclasses.replace(made.pools, images=images))


def test_a_set_is_judged_by_a_regression_on_the_same_features(folder, monkeypatch):
    monkeypatch.setattr(session.material, "load", stripes)
    run(folder, "transductive")
    report = results.read_report(folder)
    assert (report.algorithm, report.passed_over, report.heldout.n) == ("transductive", None, 4)
    assert report.baseline.n == 4
    assert f"{report.baseline.correct} by the labels alone" in report.verdict.reason
    epochs = [(event["phase"], event["epoch"]) for event in told(folder, "epoch")]
    assert epochs == [("baseline", 1), *(("main", number) for number in range(1, 10))]
    assert {event["message"] for event in told(folder, "progress") if event["phase"] == "baseline"} == {
        "The labels alone"
    }


def test_where_the_regression_does_better_than_the_set_it_is_the_rounds_result(folder, monkeypatch):
    monkeypatch.setattr(session.material, "load", stripes)
    guessing(monkeypatch, "transductive", 0)
    run(folder, "transductive")
    report = results.read_report(folder)
    assert report.algorithm == "regression"
    assert report.passed_over == HeldoutFigures(4, 0, 0.0, *accuracy_interval(0, 4))
    assert report.heldout.correct == report.baseline.correct == 4
    assert "Promoted with the model of the labels alone" in report.verdict.reason
    assert report.checkpoint.file.startswith("checkpoints/baseline/")
    algorithm, data = apply.final_run(folder, torch.device("cpu"), lambda *_: None)
    assert type(algorithm) is regression.SetRegression
    logits = evaluate.predict_logits(algorithm.eval_model(), data.pools.images, torch.arange(24), torch.device("cpu"))
    light = torch.softmax(logits / report.calibration.temperature, 1)[:, 1].tolist()
    assert pd.read_parquet(folder / files.FINAL)["p_1"].tolist() == pytest.approx(light, abs=1e-5)


@pytest.mark.parametrize("algorithm", ["supervised", "regression"])
def test_what_learns_from_the_labels_alone_has_no_baseline(folder, algorithm):
    run(folder, algorithm)
    report = results.read_report(folder)
    assert (report.algorithm, report.baseline) == (algorithm, None)
    assert report.heldout.n == 4


@pytest.mark.parametrize(
    ("algorithm", "config"), [("fixmatch", {"threshold": 1.0}), ("pseudo_label", {"units": "paper"})]
)
def test_a_round_that_used_no_pseudo_label_is_held_back(folder, monkeypatch, algorithm, config):
    monkeypatch.setattr(session.material, "load", functools.partial(noise_of_two_brightnesses, train=8, heldout=0))
    run(folder, algorithm, config, learning_rate=0.001)
    reason = results.read_report(folder).verdict.reason
    assert reason.startswith("Held back: no pseudo-label was used in any epoch")


@pytest.mark.parametrize("key", list(session.ALGORITHMS))
def test_every_algorithm_starts_from_one_label_a_class_and_shows_no_figure_that_was_not_measured(
    folder, monkeypatch, key
):
    monkeypatch.setattr(session.material, "load", functools.partial(noise_of_two_brightnesses, train=2, heldout=0))
    run(folder, key, strong="light")
    report = results.read_report(folder)
    assert (report.heldout.n, report.baseline, report.passed_over) == (0, None, None)
    assert not any(map(any, report.confusion))
    assert (report.calibration.temperature, report.calibration.fitted) == (1.0, False)
    assert not pd.read_parquet(folder / files.FINAL)["calibrated"].any()
    assert "measured" in report.verdict.reason or "Held back" in report.verdict.reason
    assert {event["phase"] for event in told(folder, "epoch")} == {"main"}
    assert all("heldout_accuracy" not in event["metrics"] for event in told(folder, "epoch"))


def test_a_phase_is_told_of_with_its_device_however_short_it_is(folder):
    run(folder, "pseudo_label", epochs=1, steps_per_epoch=1)
    phases = {event["phase"]: event for event in told(folder, "progress")}
    assert {"preparing", "baseline", "main", "finishing"} <= set(phases)
    assert phases["baseline"]["device"].startswith("CPU")
    assert phases["main"]["device"].startswith("CPU")


def described_by_brightness(*_):
    """Noise of two brightnesses with its mean and a little more as features."""
    data = noise_of_two_brightnesses(train=2, heldout=0)
    means = data.pools.images.float().mean((1, 2, 3))
    features = torch.stack([means, means.flip(0) / 50, torch.arange(24.0) / 20], 1)
    return dataclasses.replace(data, described=features)


def test_a_round_starts_from_the_labels_that_the_set_gives_itself(folder, monkeypatch):
    monkeypatch.setattr(session.material, "load", described_by_brightness)
    settings = {"net": "simple_cnn", "start_steps": 60, "run_baseline": False, "strong": "light"}
    run(folder, "pseudo_label", start="frozen:hog", epochs=1, steps_per_epoch=1, **settings)
    phases = [event["phase"] for event in told(folder, "progress")]
    assert phases.index("start") < phases.index("main")
    assert not (folder / "checkpoints" / "start").exists()
    predictions = results.final_predictions(folder)
    right = predictions.probabilities.argmax(1) == np.arange(24) % 2
    assert right.all(), "one step of the round itself teaches nothing"


def test_a_resume_does_not_teach_the_start_again(folder, monkeypatch):
    monkeypatch.setattr(session.material, "load", described_by_brightness)
    settings = {"net": "simple_cnn", "start_steps": 5, "run_baseline": False}
    failing(monkeypatch, RuntimeError("power cut"), 1, at_step=4)
    with pytest.raises(RuntimeError, match="power cut"):
        run(folder, start="frozen:hog", **settings)
    taught = []
    monkeypatch.setattr(session, "TaughtStart", lambda *_: taught.append(1))
    run(folder, start="frozen:hog", **settings)
    assert taught == []
