"""Sessions in the test's own process, on images that are noise of two brightnesses."""

from dataclasses import asdict

import numpy as np
import torch

from engine.files import read_json, write_json
from engine.rounds.folder import files
from engine.rounds.folder.events import read_events
from engine.rounds.folder.plan import RoundPlan
from engine.rounds.worker import material
from engine.rounds.worker.recorder import RoundRecorder
from engine.rounds.worker.session import Session
from engine.rounds.worker.stop import Stop


def noise_of_two_brightnesses(*_, train=8, heldout=4):
    """Return 24 images, all of them tracked: some to train on, some held out, the others unlabeled."""
    shade = torch.arange(24).remainder(2).mul(120).view(24, 1, 1, 1)
    noise = torch.randint(0, 100, (24, 1, 8, 8), generator=torch.Generator().manual_seed(0))
    images = (noise + shade).to(torch.uint8)
    roles = np.array(["train"] * train + ["heldout"] * heldout + ["unlabeled"] * (24 - train - heldout), object)
    label = np.where(roles == "unlabeled", -1, np.arange(24) % 2)
    pools = material.make_pools(images, roles, label, 2)
    return material.Material(np.arange(101, 125), roles, pools, np.arange(24))


def run(folder, algorithm="supervised", config=None, **train):
    """Run a session in this process."""
    settings = {"device": "cpu", "threads": 1, "epochs": 2, "steps_per_epoch": 3, "batch_size": 8} | train
    plan = RoundPlan(algorithm, config or {}, settings, ["dark", "light"], 1, "t", 1, "x", 0, {})
    write_json(folder / files.CONFIG, asdict(plan))
    recorder = RoundRecorder(folder, "t")
    try:
        Session(folder, plan, recorder, Stop(folder)).run()
    finally:
        recorder.close()


def run_with_ablation(folder, **train):
    """Run Meta Pseudo Labels and the same with h = 0 beside it."""
    settings = {"strong": "light", "run_baseline": False} | train
    config = {"compare": True, "finetune_share": 0.0, "student_wait": 0.0}
    run(folder, "meta_pseudo_labels", config, **settings)
    return read_json(folder / files.REPORT)


def told(folder, kind):
    return read_events(folder / files.EVENTS, {kind})
