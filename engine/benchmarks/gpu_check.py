"""`python -m engine.benchmarks.gpu_check`: in at most eight minutes, what a GPU is to show.

Each part runs in a process of its own, with a share of the seconds: what fails, hangs or breaks the device in one is
written down and the rest goes on.

| part | share of 480 s | |
|---|---|---|
| smoke | 33 | every algorithm trains, predicts, saves and loads (`engine.benchmarks.smoke`) |
| mpl | 92 | Meta Pseudo Labels, WRN-28-2, 128 labeled and 896 unlabeled: steps/s plain and compiled, target 45 |
| fixmatch | 30 | FixMatch likewise, target 120; torch's cache has most of its code from mpl |
| mnist | 64 | MNIST, 1,000 labels, FixMatch in at most 60 s, target 99.40 % |
| cifar10 | 261 | CIFAR-10, 4,000 labels, FixMatch on WRN-28-2: four minutes of a run of ten, see below |

The run on CIFAR-10 has the schedule that fits ten minutes and is left after four, its learning rate still high: its
accuracy is of a run on its way. The target, 95 %, is of the end; `starling bench cifar10-4000` runs to it.

Speeds stand beside the machine's ceilings, see `engine.benchmarks.throughput`. On other devices than CUDA the parts are
made small, to see that they run: their figures then say nothing.
"""

from __future__ import annotations

import argparse
import dataclasses
import functools
import shlex
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from engine.augment.rand_augment import every_op
from engine.augment.views import Views
from engine.benchmarks import throughput
from engine.benchmarks.cifar10 import MINUTES, cifar10_rows
from engine.benchmarks.data import load_problem
from engine.benchmarks.mnist import FIXMATCH
from engine.benchmarks.options import Options, data_root, origin, progress
from engine.benchmarks.run import build, fit_budget, run_epoch, train_config
from engine.benchmarks.smoke import CASES, NETS, smoke
from engine.benchmarks.spec import Context, Row
from engine.errors import ConfigError, StarlingError
from engine.files import read_json, write_json
from engine.nets.build import build_net
from engine.training import device as devices
from engine.training.evaluate import predict_logits

SECONDS = 470.0
"""What all parts together may take, so that the whole stays under eight minutes."""
SHARES = {"smoke": 33, "mpl": 92, "fixmatch": 30, "mnist": 64, "cifar10": 261}
MARGIN, MOST_MARGIN = 0.06, 10.0
"""Share of a part's seconds, and so many at most, that are left for the test and the end of its process."""
TINY: dict[str, Any] = {"net": "simple_cnn", "batch_size": 4, "unlabeled_ratio": 2}
"""What stands in the place of a network and batches that only a GPU is fast enough for."""


@dataclasses.dataclass(frozen=True)
class Ask:
    """What a part is given: where it runs, where the data lie, until when, and whom to tell each figure at once."""

    device: torch.device
    root: Path
    until: float
    tell: Callable[[dict[str, Any]], None]

    @property
    def left(self) -> float:
        """Seconds until the end, at least a tenth."""
        return max(0.1, self.until - time.time())

    @property
    def tiny(self) -> dict[str, Any]:
        """Settings that make a part small where there is no CUDA."""
        return {} if self.device.type == "cuda" else TINY


def _smoke(ask: Ask) -> None:
    failed: dict[str, str] = {}
    for done, (key, config, net) in enumerate([(key, config, net) for net in NETS for key, config in CASES], 1):
        try:
            with tempfile.TemporaryDirectory() as folder:
                smoke(key, config, net, ask.device, Path(folder))
        except Exception as error:  # whatever it is, the others are tried too
            failed[f"{key} {config} {net}"] = f"{type(error).__name__}: {error}"[:500]
        ask.tell({"tried": done, "failed": failed})


def _throughput(algorithm: str, target: float, ask: Ask) -> None:
    ways = ("off", "on") if ask.device.type == "cuda" else ("off",)
    images = 50_000 if ask.device.type == "cuda" else 500
    told: dict[str, Any] = {"target": target}
    for way in ways:
        train = {**throughput.TRAIN, "unlabeled_ratio": 7, **ask.tiny, "compile": way}
        row = Row(algorithm, algorithm, {**throughput.DATA, "images": images, "labels": 100}, {}, train)
        problem = load_problem(row.data, ask.root, 0)
        outcome = throughput.throughput_run(row, 0, problem, ask.device, ask.left / 60 / 4)
        told[f"compile {way}"] = {"steps/s": outcome.value, **outcome.more, **peak_memory(ask.device)}
        ask.tell(told)


def _mpl(ask: Ask) -> None:
    _throughput("meta_pseudo_labels", 45.0, ask)


def _fixmatch(ask: Ask) -> None:
    _throughput("fixmatch", 120.0, ask)


def _mnist(ask: Ask) -> None:
    train = {**FIXMATCH, "epochs": 200, "unlabeled_ratio": 7, "compile": "off", **ask.tiny}
    row = Row("mnist", "fixmatch", {"set": "MNIST", "labels": 1000}, {}, train, target=99.40)
    _accuracy(row, 60.0, 60.0, ask)


def _cifar10(ask: Ask) -> None:
    row = cifar10_rows(4000, Context(ask.root, ask.device))[1]
    _accuracy(dataclasses.replace(row, train={**row.train, **ask.tiny}), 60.0 * MINUTES, 240.0, ask)


def _accuracy(row: Row, whole: float, most: float, ask: Ask) -> None:
    """Train the row by the schedule that fits into `whole` seconds, stop after `most`, and test it.

    Where the part has fewer than `most`, both are shorter by the same factor.
    """
    problem = load_problem(row.data, ask.root, 0)
    seconds = min(most, ask.left - min(MOST_MARGIN, MARGIN * ask.left))
    fitted = whole * seconds / most
    began = time.perf_counter()
    train = fit_budget(row, train_config(row, 0, ask.device), problem.pools, ask.device, fitted)
    algorithm = build(row, train, problem.pools, ask.device)
    steps = 0
    for epoch in range(algorithm.epochs):
        steps += run_epoch(algorithm, epoch)
        if time.perf_counter() - began > seconds:
            break
    trained = time.perf_counter() - began
    images, y = problem.test()
    rows = torch.arange(len(images))[: None if ask.device.type == "cuda" else 500]
    predicted = predict_logits(algorithm.eval_model(), images, rows, ask.device).argmax(1)
    told: dict[str, Any] = {"test accuracy in %": 100 * float((predicted == y[rows]).double().mean())}
    told |= {"seconds": trained, "steps": steps, f"target after {whole:.0f} s": row.target}
    told |= {"schedule's seconds": fitted, "schedule's steps": algorithm.epochs * algorithm.steps_per_epoch}
    ask.tell({**told, "train": dataclasses.asdict(train), **peak_memory(ask.device)})


PARTS: dict[str, Callable[[Ask], None]] = {
    "smoke": _smoke,
    "mpl": _mpl,
    "fixmatch": _fixmatch,
    "mnist": _mnist,
    "cifar10": _cifar10,
}


def peak_memory(device: torch.device) -> dict[str, float]:
    """Return the most memory that the process took on a CUDA device so far, in MiB; nothing elsewhere."""
    return {"peak MiB": torch.cuda.max_memory_allocated(device) / 2**20} if device.type == "cuda" else {}


def count() -> dict[str, int]:
    """Return how many operations views, a pass of the network and whole steps take, about a launch each, on the CPU.

    By torch.profiler, see `throughput.launches`; batches are small, on which the numbers do not depend. Of 896 images
    views are counted again on the "meta" device, which has shapes alone: what they draw is drawn on the host, and there
    left out. "compiled" counts the code that torch makes for the CPU: kernels of a GPU are cut otherwise. In whole
    steps strong views are "light".
    """
    none = torch.empty(0)
    views = Views("shift_flip", "rand_augment", 2, 10, 0.0, none, none)
    counts = {}
    images = torch.zeros(8, 3, 32, 32, dtype=torch.uint8)
    shapes = torch.empty(896, 3, 32, 32, dtype=torch.uint8, device="meta")
    for name, view in (("weak view", views.weak), ("strong view", views.strong)):
        counts[name] = throughput.launches(functools.partial(view, images, torch.Generator().manual_seed(0)))
        with throughput.Launches("meta") as on_device:
            view(shapes, torch.Generator().manual_seed(0))
        counts[f"{name}, on the device"] = on_device.count
    draws = torch.zeros(2, 1, 1, 1, dtype=torch.int64), torch.ones(2, 1, 1, 1), torch.ones(6, 2, 1, 1)
    both = functools.partial(every_op, torch.ones(2, 3, 32, 32), *draws)
    counts["distortions of a strong view"] = 2 * throughput.launches(both)
    counts["the same, compiled"] = 2 * _compiled(every_op, lambda made: made(torch.ones(2, 3, 32, 32), *draws))
    net = build_net("wrn_28_2", (3, 32, 32), 10, ([0.5] * 3, [0.2] * 3))
    counts["forward and backward pass of wrn_28_2"] = throughput.launches(lambda: _pass(net))
    counts["the same pass, compiled"] = _compiled(net, _pass)
    for algorithm in ("meta_pseudo_labels", "fixmatch"):
        train = {**throughput.TRAIN, "batch_size": 2, "unlabeled_ratio": 2, "strong": "light", "compile": "off"}
        row = Row(algorithm, algorithm, {**throughput.DATA, "images": 40, "labels": 10}, {}, train)
        device = torch.device("cpu")
        settings = dataclasses.replace(train_config(row, 0, device), epochs=2, steps_per_epoch=4)
        steps = build(row, settings, load_problem(row.data, Path(), 0).pools, device).steps(1)
        next(steps)
        counts[f"step of {algorithm}"] = throughput.launches(functools.partial(next, steps))
    return counts


def _pass(net: Callable[[torch.Tensor], torch.Tensor]) -> None:
    net(torch.zeros(2, 3, 32, 32, dtype=torch.uint8)).sum().backward()  # type: ignore[no-untyped-call]


def _compiled(code: Any, call: Callable[[Any], object]) -> int:
    """Return how many operations a call of code that torch compiles takes; compiling takes a minute or more."""
    from torch._inductor import config

    torch.compiler.reset()
    with config.patch({"cpp.enable_kernel_profile": True}):
        made = torch.compile(code, dynamic=False)
        call(made)
    if isinstance(code, torch.nn.Module):
        code.zero_grad()  # else gradients are added to those of the first call
    return throughput.launches(lambda: call(made))


def check(given: argparse.Namespace, line: str) -> dict[str, Any]:
    """Run the parts one after another, each in a process of its own; return all that came of them."""
    device = devices.resolve(given.device)
    options = Options("gpu_check", given.data, device=given.device, out=given.out, command=line)
    content = origin(options, device, given.seconds / 60) | {"parts": {}}
    for name in given.parts.split(","):
        content["parts"][name] = _in_a_process(name, given, SHARES[name] * given.seconds / sum(SHARES.values()))
        progress(f"{name}: {content['parts'][name]['state']}")
        if given.out is not None:
            write_json(given.out, content)
    return content


def _in_a_process(name: str, given: argparse.Namespace, seconds: float) -> dict[str, Any]:
    """Return what a part told, its state (done, failed, stopped) and the end of what it wrote where it failed."""
    began = time.time()
    with tempfile.TemporaryDirectory() as folder:
        told = Path(folder) / "told.json"
        command = [sys.executable, "-m", "engine.benchmarks.gpu_check", "--part", name, "--device", given.device]
        command += ["--until", str(began + seconds), "--out", str(told), "--data", str(data_root(given.data))]
        state, said = "done", ""
        try:
            done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=seconds)
            if done.returncode:
                state, said = "failed", done.stderr[-2000:]
        except subprocess.TimeoutExpired:
            state, said = "stopped", f"not done in {seconds:.0f} s"
        figures = read_json(told) if told.exists() else {}
    return {"state": state, "wall seconds": time.time() - began, **({"said": said} if said else {}), **figures}


def _part(given: argparse.Namespace) -> int:
    """Run one part in this process and write what it tells to `given.out`."""
    ask = Ask(
        devices.resolve(given.device), data_root(given.data), given.until, lambda told: write_json(given.out, told)
    )
    try:
        PARTS[given.part](ask)
    except StarlingError as error:
        print(f"starling: {error}", file=sys.stderr)
        return 1
    return 0


def main(arguments: list[str] | None = None) -> int:
    """Run the command; 1 where a part is not done."""
    parser = argparse.ArgumentParser(prog="python -m engine.benchmarks.gpu_check", description="Check a GPU.")
    parser.add_argument("--data", type=Path, help="folder of torchvision's data sets")
    parser.add_argument("--out", type=Path, help="JSON file of the results; else they are printed")
    parser.add_argument("--device", default="auto", help="auto, cuda, mps or cpu")
    parser.add_argument("--seconds", type=float, default=SECONDS, help="in all; parts have shares of them")
    parser.add_argument("--parts", default=",".join(PARTS), help="which, for example smoke,mpl")
    parser.add_argument("--count", action="store_true", help="count operations and do nothing else")
    parser.add_argument("--part", choices=PARTS, help=argparse.SUPPRESS)
    parser.add_argument("--until", type=float, help=argparse.SUPPRESS)
    given = parser.parse_args(arguments)
    line = shlex.join(
        ["python", "-m", "engine.benchmarks.gpu_check", *(sys.argv[1:] if arguments is None else arguments)]
    )
    try:
        if given.part:
            return _part(given)
        if given.count:
            print("\n".join(f"{name}: {number}" for name, number in count().items()))
            return 0
        unknown = set(given.parts.split(",")) - set(PARTS)
        if unknown:
            raise ConfigError(
                "There is no such part", value=",".join(unknown), way_out=f"Choose of {', '.join(PARTS)}."
            )
        content = check(given, line)
    except StarlingError as error:
        print(f"starling: {error}", file=sys.stderr)
        return 1
    if given.out is None:
        print(content)
    return 0 if all(part["state"] == "done" for part in content["parts"].values()) else 1


if __name__ == "__main__":
    sys.exit(main())
