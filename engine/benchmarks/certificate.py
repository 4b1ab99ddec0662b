"""`starling bench certificate`: answers until a set is certified to have at most 1 % or 2 % wrong labels.

Sets: digits, MNIST's images where they lie under DATA, and photos of a folder, one folder of photos a class or a folder
of such. 5 labels a class are given. Every answer after them counts, those that measure and second looks included. Rows:
- plan: the least sure first with live labels and a measured set, a plan after every 50 answers; when it has at most 50
  doubtful images left to look at, these, a freeze, and random answers until the bound shows the goal. What people
  answered is taken as the truth, as the app does where they say so at the freeze;
- the same with all labels audited, with second looks, as the app does else: nothing is known of people before, who are
  then taken to pass as many wrong labels as their labels drawn show; by a person who never slips, and by one who slips
  in 2 %;
- before: the least sure first until 1 − confidence of the others adds up to the goal, then a sample of the fixed size
  that shows it with none wrong; where it does not, 50 more of the least sure and another sample, the k-th at 1 − .05/k;
- random order: labels for the model are drawn at random, then as the plan;
- no model: labels drawn at random until no more than the goal are without one.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch

from engine.algorithms.transductive import one_thread
from engine.benchmarks import data, results
from engine.benchmarks.fixed_audit import look_level, rest_bound, upper_bound
from engine.benchmarks.goal_projects import GoalProject, Pool, more_looks
from engine.benchmarks.options import Options, data_root, parse_seeds
from engine.benchmarks.overrides import BENCH
from engine.benchmarks.photos import net_features, sets_in
from engine.benchmarks.study import RunFile, Say, Study
from engine.errors import ConfigError
from engine.live.model import ImageSet
from engine.nets.net_name import FROZEN, GRADIENTS
from engine.quality.betting import ALPHA, allowed
from engine.quality.plan import Plan
from engine.quality.scale import SHARE
from engine.training import pairs

DIGITS, MNIST = "digits", "MNIST"
EACH = 5
BATCH, PER_FIT = 50, 25
"""Answers between two plans, and between two fits."""
MANY, PART = 2000, 40
"""From so many answers on the rule before fits after each such part of them more: thousands come before its sample
where people slip, since confidence stays low."""
SLOWER = 10
"""Labels drawn at random for the model are so many times as many between two fits and plans: far more are needed."""
SLIPS = 0.02
VOTES_OF_DIGITS = 8.0


@dataclass(frozen=True)
class CertificateSettings:
    """Settings of the command.

    Attributes:
        goals: shares of wrong labels, with commas.
        images: how many of MNIST's training images the seed draws.
        photos: a folder of photos, one folder a class, or a folder of such; none without it.
        net: networks of the photos' features, joined by "+".
        sets: names of sets, with commas or semicolons; empty for digits, MNIST and all photos.
        ways: names of ways, with semicolons where they have commas; empty for all.
    """

    goals: str = "0.01,0.02"
    images: int = 10_000
    photos: str = ""
    net: str = "efficientnet_lite0"
    sets: str = ""
    ways: str = ""

    def rates(self) -> list[float]:
        """Return the goals.

        Raises:
            ConfigError: one of them is no share.
        """
        try:
            rates = [float(part) for part in _words(self.goals)]
        except ValueError:
            rates = []
        if not rates or not all(0.0 < rate < 1.0 for rate in rates):
            raise ConfigError("These are no goals", value=self.goals, way_out="Give shares such as 0.01,0.02.")
        return rates


@dataclass(frozen=True)
class Way:
    """How a project is brought to its goal: `play` ends it and says whether the goal is reached; slips of the person,
    whether there is a measured set, whether the labels for the model are drawn at random."""

    play: Callable[[GoalProject, float], bool]
    slips: float = 0.0
    measured: bool = True
    by_chance: bool = False


def by_plan(project: GoalProject, rate: float, *, whole: bool = False, slower: int = 1) -> bool:
    """Answer, plan, freeze and audit; see the top.

    Args:
        project: at its start.
        rate: the goal, 0..1.
        whole: whether labels that a person gave are audited too; else they are taken as the truth.
        slower: how many times as many answers lie between two fits and plans.
    """
    plan: Plan | None = None
    while (project.label < 0).any():
        project.learn(project.answers + slower * BATCH, slower * PER_FIT)
        if len(project.placed) >= SHARE:
            plan = project.plan(rate, whole=whole)
            if plan is not None and plan.first <= BATCH:
                break
    learned = project.answers
    project.look_first(plan.first if plan else 0)
    return project.certify(rate, whole=whole, more=more_looks(learned)).reached


def before(project: GoalProject, rate: float) -> bool:
    """The rule before: the estimate, then samples of a fixed size; see the top."""
    at_most, look = allowed(rate, len(project.label)), 0
    while True:
        undecided = np.flatnonzero(project.label < 0)
        if len(undecided) <= at_most:
            return True
        if look or (1.0 - project.confidence[undecided]).sum() > at_most:
            fit_after = fits_after(project.answers)
            project.learn(project.answers + (max(BATCH, fit_after) if look else fit_after), fit_after)
        undecided = np.flatnonzero(project.label < 0)
        if (1.0 - project.confidence[undecided]).sum() > at_most or len(undecided) <= at_most:
            continue
        look += 1
        size = least_size(at_most, len(undecided), look)
        wrong = project.answer_sample(size)
        if left_at_most(wrong, size, len(undecided), look) <= at_most:
            return True


def fits_after(answers: int) -> int:
    """Return after how many answers the rule before fits its model anew."""
    return PER_FIT if answers < MANY else answers // PART


def left_at_most(wrong: int, answered: int, population: int, look: int = 1) -> int:
    """Return how many predictions are left wrong at most by the look-th sample of a fixed size.

    Args:
        wrong: of the sample, 0..answered.
        answered: size of the sample, from 1.
        population: images that it was drawn from.
        look: from 1; see `look_level`.
    """
    rest = population - answered
    limit = rest_bound(upper_bound(wrong, answered, look_level(1.0 - ALPHA, look), population), population, wrong, rest)
    return round(limit * rest)


def least_size(at_most: int, population: int, look: int = 1) -> int:
    """Return the smallest sample that shows at most so many left wrong where none of it is wrong."""
    low, high = 1, max(population, 1)
    while low < high:
        middle = (low + high) // 2
        low, high = (low, middle) if left_at_most(0, middle, population, look) <= at_most else (middle + 1, high)
    return low


def no_model(project: GoalProject, rate: float) -> bool:
    """Label images drawn at random until no more than the goal are without a label."""
    project.answer_sample(int((project.label < 0).sum()) - allowed(rate, len(project.label)))
    project.nothing_predicted()
    return True


WAYS: dict[str, Way] = {
    "plan": Way(by_plan),
    "plan, all audited": Way(lambda project, rate: by_plan(project, rate, whole=True)),
    "plan, slips": Way(lambda project, rate: by_plan(project, rate, whole=True), slips=SLIPS),
    "before": Way(before, measured=False),
    "before, slips": Way(before, slips=SLIPS, measured=False),
    "random order": Way(lambda project, rate: by_plan(project, rate, slower=SLOWER), by_chance=True),
    "no model": Way(no_model, measured=False, by_chance=True),
}
"""The ways by name."""


def run(options: Options, say: Say) -> str:
    """Bring each set to each goal in each way with each seed and return the table; `say` hears a line after each run.

    Raises:
        ConfigError: a setting is out of range or unknown, or the file of results is there without `--resume`.
        SourceMissing: a set does not lie in its folder.
    """
    (values,) = pairs.parse(options.set, {BENCH: CertificateSettings})
    settings = CertificateSettings(**values)
    file, runs = RunFile(options, torch.device("cpu")), []
    folders = {path.name: path for path in sets_in(Path(settings.photos))} if settings.photos else {}
    sets = _chosen(settings.sets, (DIGITS, MNIST, *folders), "set")
    ways = _chosen(settings.ways, tuple(WAYS), "way")
    asked = {"images": settings.images, "net": settings.net}
    for seed in parse_seeds(options.seeds or "5"):
        for name in sets:
            for goal in settings.rates():
                for way in ways:
                    row = f"{name}, {100 * goal:g} %, {way}"
                    done = file.find(row, seed, asked)
                    one = done or file.add(
                        _one(row, name, goal, way, settings, options, folders.get(name), seed), asked
                    )
                    runs.append(one)
                    kept = ", kept from the file" if done else ""
                    say(f"{options.name}, {row}, seed {seed}: {one['value']} answers in {one['seconds']:.0f} s{kept}")
    return _table(runs)


def _one(
    row: str, name: str, goal: float, way: str, settings: CertificateSettings, options: Options, folder: Path | None,
    seed: int,
) -> results.Run:  # fmt: skip
    """Bring one set to one goal in one way."""
    chosen = WAYS[way]
    pool = _pool(name, settings, data_root(options.data), folder, seed)
    began = time.process_time()
    project = GoalProject(
        pool, seed, slips=chosen.slips, measured=chosen.measured, by_chance=chosen.by_chance
    )  # fmt: skip
    reached = chosen.play(project, goal)
    wrong = project.wrong() / len(pool.truth)
    more: dict[str, Any] = {
        "reached": reached, "true": wrong <= goal, "wrong, %": 100 * wrong, "measured": len(project.placed),
        "images": len(pool.truth), "looked at": int(project.looked.sum()) - len(pool.first),
    }  # fmt: skip
    seconds = time.process_time() - began
    return {"row": row, "seed": seed, "value": project.answers, "more": more, "seconds": seconds}


@cache
def _pool(name: str, settings: CertificateSettings, root: Path, folder: Path | None, seed: int) -> Pool:
    """Return a set with 5 labels a class that the seed draws."""
    if folder is None:
        pictures, truth, _rows = data.subset(name, root, settings.images if name == MNIST else 0, seed)
        features, votes = data.described(pictures, FROZEN + GRADIENTS), VOTES_OF_DIGITS
    else:
        (features, truth), votes = net_features(folder, settings.net), 4.0
    with one_thread():
        images = ImageSet.of(features.numpy(), seed)
    first = data.choose_labels(torch.from_numpy(truth), EACH * (int(truth.max()) + 1), seed).numpy()
    none = np.zeros(0, np.int64)
    return Pool(images, truth, np.arange(len(truth)), first, none, none, votes)


def _chosen(text: str, known: Sequence[str], what: str) -> list[str]:
    names = _words(text) or list(known)
    if unknown := [name for name in names if name not in known]:
        raise ConfigError(f"There is no such {what}", value=unknown[0], way_out=f"Known: {', '.join(known)}.")
    return names


def _words(text: str) -> list[str]:
    """Return what lies between semicolons, or between commas where there are none."""
    return [part.strip() for part in text.split(";" if ";" in text else ",") if part.strip()]


def _table(runs: Sequence[results.Run]) -> str:
    """Return answers to the certificate, mean ± sample deviation over the seeds, and how often it was true."""
    lines = [["", "answers", "each seed", "images", "reached", "true", "wrong, %", "CPU s"]]
    for row in dict.fromkeys(run["row"] for run in runs):
        mine = [run for run in runs if run["row"] == row]
        count = len(mine)
        lines.append([
            row, results.mean_spread([run["value"] for run in mine], 0), " ".join(str(run["value"]) for run in mine),
            str(mine[0]["more"]["images"]), f"{sum(run['more']['reached'] for run in mine)} of {count}",
            f"{sum(run['more']['true'] for run in mine)} of {count}",
            results.mean_spread([run["more"]["wrong, %"] for run in mine], 2),
            f"{np.mean([run['seconds'] for run in mine]):.0f}",
        ])  # fmt: skip
    note = "answers: all after 5 labels a class, measured ones and second looks too; true: at most the goal are wrong."
    return "\n".join(
        ["certificate: answers until at most the goal is shown to be wrong", "", *results.aligned(lines), note]
    )


CERTIFICATE = Study(
    "digits, MNIST, photos: answers until at most 1 % or 2 % of the labels are certified to be wrong, by the plan, by "
    "the rule before and by labels drawn at random",
    run,
)
