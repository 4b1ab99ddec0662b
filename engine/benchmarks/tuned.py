"""`starling bench tuned`: what a pretrained network's last blocks gain from learning on photos, too.

A folder with one folder of photos a class, or a folder of such folders, is named with --data. Measured is the accuracy
over the photos without a label at 5 and 20 labels a class, of three rows on the same network, photos and labels, a
fifth of which is held out where a class has more than 5:
- "quick": a linear classifier on the network's features, which are those of the centre square of each photo;
- "labels": the last blocks and the classifier, trained on weak views of the labels alone;
- "fixmatch": the same taught by FixMatch, in as many steps;
- "set": the same, taught before in as many steps what the set says of all photos by the network's features.
CPU seconds are those of training and predicting; those of reading the photos, and of the first row of computing their
features, once for all labels and seeds, are told apart.
"""

from __future__ import annotations

import dataclasses
import statistics
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor

from engine.benchmarks import data, overrides, results
from engine.benchmarks.decision_rounds import pools_with
from engine.benchmarks.options import Options, data_root, parse_seeds
from engine.benchmarks.photos import QUICK, sets_in
from engine.benchmarks.run import build, run_epoch, train_config
from engine.benchmarks.spec import Row
from engine.benchmarks.study import RunFile, Say, Study
from engine.errors import ConfigError
from engine.nets.net_name import FROZEN
from engine.nets.net_name import TUNED as TUNED_NETS
from engine.training import device as devices
from engine.training.evaluate import predict_logits

TRAIN: dict[str, Any] = {
    "epochs": 4, "steps_per_epoch": 20, "batch_size": 16, "unlabeled_ratio": 1, "learning_rate": 0.03,
    "augment": "shift_flip", "precision": "bfloat16",
}  # fmt: skip
"""Of the tuned rows: what a CPU can do in one to two minutes."""
ROWS = {
    "quick": QUICK,
    "labels": Row("labels", "supervised", QUICK.data, train=TRAIN),
    "fixmatch": Row("fixmatch", "fixmatch", QUICK.data, train=TRAIN),
    "set": Row(
        "set", "fixmatch", QUICK.data, train=TRAIN | {"start": FROZEN + "efficientnet_lite0", "start_steps": 80}
    ),
}


@dataclass(frozen=True)
class TunedSettings:
    """Settings of the command besides those of the tuned rows' training, which `--set` takes too.

    Attributes:
        network: one pretrained network.
        methods: of "quick", "labels", "fixmatch" and "set".
        labels: labels a class at which the accuracy is measured.
    """

    network: str = "efficientnet_lite0"
    methods: str = ",".join(ROWS)
    labels: str = "5,20"


def run(options: Options, say: Say) -> str:
    """Measure every row with every seed and return the table; `say` hears a line after each run.

    Raises:
        ConfigError: a setting is out of range or unknown, or the file of results is there without `--resume`.
        SourceMissing: there are no folders with images.
    """
    tuned = tuple(row for name, row in ROWS.items() if name != "quick")
    settings, changed = overrides.apply_with(TunedSettings, tuned, options.set)
    rows = {"quick": QUICK} | {row.label: row for row in changed}
    methods = [name.strip() for name in settings.methods.split(",")]
    if not set(methods) <= set(rows):
        raise ConfigError("There is no such row", value=settings.methods, way_out=f"Choose among {', '.join(rows)}.")
    devices.set_threads(int(changed[0].train.get("threads", 0)))
    device = devices.resolve("cpu")
    file, runs = RunFile(options, device), []
    for root in sets_in(data_root(options.data)):
        for seed in parse_seeds(options.seeds or "3"):
            for each in (int(part) for part in settings.labels.split(",")):
                for method in methods:
                    row = rows[method]
                    asked = {"network": settings.network, "config": dict(row.config), "train": dict(row.train)}
                    name = f"{root.name}, {each} a class, {method}"
                    done = file.find(name, seed, asked)
                    one = done or file.add({"row": name, "seed": seed, **_one(root, settings, row, each, seed)}, asked)
                    runs.append(one)
                    kept = ", kept from the file" if done else ""
                    say(f"tuned, {name}, seed {seed}: {one['value']:.1f} % in {one['more']['CPU s']:.0f} CPU s{kept}")
    return _table(runs, devices.describe(device))


def _one(root: Path, settings: TunedSettings, row: Row, each: int, seed: int) -> results.Run:
    """Train one row with one seed and return its accuracy in % over the photos without a label."""
    began, cpu_began, frozen = time.perf_counter(), time.process_time(), row is QUICK
    net = (FROZEN if frozen else TUNED_NETS) + settings.network
    start = {"start": FROZEN + settings.network} if "start" in row.train else {}
    row = dataclasses.replace(row, train={**row.train, "net": net, **start})
    read = data.photo_features if frozen else data.photo_arrays
    inputs, y = read(root, settings.network)
    reading = time.process_time() - cpu_began
    cpu_began = time.process_time()
    accuracy = _accuracy(row, inputs, y, each, seed)
    more = {"CPU s": time.process_time() - cpu_began, "reading, CPU s": reading}
    return {"value": accuracy, "more": more, "seconds": time.perf_counter() - began}


def _accuracy(row: Row, inputs: Tensor, y: Tensor, each: int, seed: int) -> float:
    """Train on `each` labels a class that the seed draws; return the accuracy in % over all images without a label."""
    device, classes = devices.resolve("cpu"), int(y.max()) + 1
    labeled = data.choose_labels(y, each * classes, seed)
    share = float(row.data["heldout"])
    pools = pools_with(inputs, classes, labeled.numpy(), y[labeled].numpy().astype(np.int64), share, seed)
    train = train_config(row, seed, device)
    algorithm = build(row, train, pools, device)
    for epoch in range(algorithm.epochs):
        run_epoch(algorithm, epoch)
    rest = pools.unlabeled_idx
    logits = predict_logits(algorithm.eval_model(), inputs, rest, device, precision=train.precision)
    return 100 * float((logits.argmax(1) == y[rest]).double().mean())


def _table(runs: Sequence[results.Run], device: str) -> str:
    """Return a line a row: accuracy, mean ± sample deviation over the seeds, and CPU seconds."""
    lines = [["", "accuracy over the photos without a label, %", "CPU s", "reading, CPU s, at most"]]
    for row in dict.fromkeys(run["row"] for run in runs):
        mine = [run for run in runs if run["row"] == row]
        lines.append([row, results.mean_spread([run["value"] for run in mine]), *_costs([run["more"] for run in mine])])
    return "\n".join([f"tuned on {device}", *results.aligned(lines)])


def _costs(more: Sequence[Mapping[str, float]]) -> tuple[str, str]:
    mean = statistics.fmean(one["CPU s"] for one in more)
    return f"{mean:.0f}", f"{max(one['reading, CPU s'] for one in more):.0f}"


TUNED = Study(
    "photos in class folders under DATA: accuracy at 5 and 20 labels a class of a linear classifier on a network's "
    "features, and of its last blocks tuned with the labels alone, by FixMatch, and from the set's labels",
    run,
)
