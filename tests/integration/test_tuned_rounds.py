"""A round that trains the last blocks of a pretrained network on photos, by the worker."""

import numpy as np

from engine.rounds.folder import files
from engine.rounds.folder.events import read_events
from engine.rounds.folder.plan import read_plan
from tests.integration.conftest import RoundBench, write_project

TUNED = {
    "net": "tuned:efficientnet_lite0", "epochs": 2, "steps_per_epoch": 3, "batch_size": 4, "unlabeled_ratio": 1,
    "learning_rate": 0.05, "run_baseline": False, "heldout_fraction": 0.25,
}  # fmt: skip


def photos():
    """24 colour pictures of 80×60, stripes or rings, of which 16 have their label."""
    rows, columns = np.mgrid[:60, :80]
    found = []
    for k in range(24):
        rings = np.hypot(rows - 30, columns - 40) if k % 2 else rows
        grey = 128 + 100 * np.sin(rings / 2 + k)
        noise = np.random.default_rng(k).normal(0, 15, (60, 80, 3))
        pixels = (grey[..., None] + noise).clip(0, 255).astype(np.uint8)
        found.append((pixels, ("stripes", "rings")[k % 2] if k < 16 else None))
    return found


def test_a_round_tunes_the_network_at_its_own_side_and_tells_the_classes_apart(tmp_path):
    bench = RoundBench(tmp_path / "project", write_project(tmp_path / "project", photos()))
    try:
        engine = bench.engine()
        number = bench.queue("fixmatch", config={"threshold": 0.6}, **TUNED)
        record = bench.wait(number, "promoted", "held_back", "failed")
        engine.stop()
        assert record.state == "promoted", (record.error, bench.log(number))
        assert read_plan(bench.folder(number)).spec == {"size": 224, "channels": 3}
        assert record.report.heldout.correct == record.report.heldout.n == 4
        epochs = list(read_events(bench.folder(number) / files.EVENTS, {"epoch"}))
        assert [event["epoch"] for event in epochs] == [1, 2]
        assert all(event["memory_mb"] > 0 for event in epochs)
        features = np.load(bench.folder(number) / files.epoch_features(2))
        assert features.shape[1] == 1280
    finally:
        bench.close()
