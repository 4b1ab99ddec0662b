"""Photos with few labels: pretrained features, and what is made of them.

A folder with one folder of photos a class is named with --data. Of each class so many images have a label; the others
are the unlabeled ones, and what is measured is how many of these are right: the images a person wants labeled. The
features are those of a quick round, of the centre square of each photo.
"""

from __future__ import annotations

from engine.benchmarks.spec import Benchmark, Context, Row
from engine.training.recommend import QUICK_TRAIN

TRAIN = {**QUICK_TRAIN, "epochs": 30, "steps_per_epoch": 30}
"""Of the linear classifier, 900 steps as the recommendation's standard length."""
METHODS = {"labels alone": "supervised", "Pseudo-Label": "pseudo_label", "labeled as a set": "transductive"}


def _rows(context: Context) -> tuple[Row, ...]:
    return tuple(
        Row(f"{each} a class, {method}", key, {"set": "photos", "labels": each}, train=TRAIN, budgeted=False)
        for each in (1, 5, 20)
        for method, key in METHODS.items()
    )


PHOTOS = Benchmark(
    "photos in class folders under DATA, 1 to 20 labels a class: a linear classifier on pretrained features, "
    "Pseudo-Label on them, and all labeled as a set",
    _rows,
    measure="pool",
)
