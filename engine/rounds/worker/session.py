"""One attempt at a round, from the data to the report: what is trained beside it, the algorithm, recoveries."""

from __future__ import annotations

import dataclasses
import shutil
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from engine.algorithms import ALGORITHMS, Algorithm, AlgorithmSpec
from engine.algorithms.taught_start import TaughtStart, set_targets
from engine.errors import CheckpointCorrupt, TrainingDiverged
from engine.files import read_json
from engine.images.array_cache import DAMAGED
from engine.records.rounds import HeldoutFigures, WrittenFile, of_json
from engine.rounds.folder import digests, files
from engine.rounds.folder.digests import ROUND
from engine.rounds.folder.events import read_events
from engine.rounds.folder.plan import RoundPlan
from engine.rounds.worker import failures, finish, material
from engine.rounds.worker.material import Material
from engine.rounds.worker.recorder import RoundRecorder
from engine.rounds.worker.stop import Stop, Stopped
from engine.training import checkpoint, device, loop
from engine.training.config import TrainConfig
from engine.training.learner import TakesStart
from engine.training.pools import Pools
from engine.training.settings import settings_from

TRIES = 2
"""Recoveries of one kind in one phase before the round fails."""
PROGRESS_SECONDS = 1.0
BASELINE = "baseline"
ABLATION = "ablation"
START = "start"
MAIN = "main"
PHASES = (BASELINE, ABLATION, START, MAIN)


@dataclass(frozen=True)
class Phase:
    """One training of a round: the round's own algorithm, or one beside it to compare with.

    title: what the person reads meanwhile. result: the file of its held-out figures; None for the round's own, whose
    figures are in the report and whose epochs are recorded.
    """

    name: str
    title: str
    spec: AlgorithmSpec
    config: Any
    result: str | None = None


class Session:
    """Runs a planned round in this process, continuing from what its folder holds.

    Args:
        folder: the round's folder.
        plan: its plan.
        recorder: writes events and files.
        stop: asked at every step.

    Raises:
        ConfigError, DeviceMissing: a setting is not acceptable on this machine.
    """

    def __init__(self, folder: Path, plan: RoundPlan, recorder: RoundRecorder, stop: Stop) -> None:
        self.folder = folder
        self.plan = plan
        self.recorder = recorder
        self.stop = stop
        self.train = settings_from(TrainConfig, plan.train)
        self.spec = ALGORITHMS[plan.algorithm]
        self.config = settings_from(self.spec.config, plan.config)
        self.where = device.resolve(self.train.device)
        self.device_name = device.describe(self.where)
        self._progress_at = -1e9
        self._label = self._phase = ""

    def run(self) -> None:
        """Do everything that is not done yet; on return the final predictions and the report are written.

        Raises:
            Stopped: a stop was asked for.
            StarlingError, OSError, RuntimeError: the round failed; checkpoints of finished epochs are kept.
        """
        ROUND.unseal(self.folder)
        files.sweep_partial(self.folder)
        self._progress("preparing", message="Reading the images", force=True)
        device.set_threads(self.train.threads)
        data = material.load(self.folder, self.plan, self.where, self._preparing)
        self.recorder.array(files.TRACKED_IDS, data.ids[data.tracked])
        baseline, ablation = self._baseline(data), self._ablation()
        alone, without = self._beside(baseline, data), self._beside(ablation, data)
        algorithm = self._trained(Phase(MAIN, self.spec.title, self.spec, self.config), data)
        shutil.rmtree(self._checkpoints(START), ignore_errors=True)
        reached = finish.reached(algorithm, data.pools)
        phases = finish.Phases(reached, alone, self._comparable(without), self._used())
        result = MAIN
        if baseline is not None and phases.alone:
            del algorithm  # its memory is free before the other is built, in which nothing is left to train
            result, algorithm = BASELINE, self._trained(baseline, data)
        else:
            shutil.rmtree(self._checkpoints(BASELINE), ignore_errors=True)
        self._progress("finishing", message="Calibrating and writing predictions", force=True)
        finish.complete(self.plan, self.recorder, algorithm, data, phases, self._facts(result), self.stop)
        digests.seal(self.folder)

    def _baseline(self, data: Material) -> Phase | None:
        """Return what learns from the labels alone; None where it is not asked for, where the round does so itself, or
        where no image is held out, so that the two could not be compared."""
        if not self.train.run_baseline or not self.spec.uses_unlabeled or not len(data.pools.heldout_idx):
            return None
        spec = ALGORITHMS[self.spec.baseline]
        return Phase(BASELINE, "The labels alone", spec, spec.config(), files.BASELINE)

    def _ablation(self) -> Phase | None:
        """Return the round's algorithm without what makes it, of the same split, seed and steps; None if not asked."""
        config = self.spec.ablation(self.config) if self.spec.ablation else None
        if config is None:
            return None
        return Phase(ABLATION, f"{self.spec.title}, h = 0", self.spec, config, files.ABLATION)

    def _beside(self, phase: Phase | None, data: Material) -> finish.Reached | None:
        """Return what a phase reached on the held-out images and the classes it gave; train it unless that is done.

        The baseline's checkpoint is kept, since its model may become the round's result.
        """
        if phase is None or phase.result is None:
            return None
        done = self.folder / phase.result
        if not done.exists():
            figures, predicted = finish.reached(self._trained(phase, data), data.pools)
            self.recorder.json(phase.result, asdict(figures) | {"predicted": predicted})
            self.recorder.event(phase.name, durable=True, heldout=asdict(figures))
            if phase.name != BASELINE:
                shutil.rmtree(self._checkpoints(phase.name), ignore_errors=True)
        reached = read_json(done)
        return of_json(HeldoutFigures, reached), list(reached["predicted"])

    def _used(self) -> tuple[float, ...]:
        """Return the share of pseudo-labels that the round's algorithm used, by epoch; () where it reports none.

        In an epoch that gives them no weight Pseudo-Label looks at none, so it used none.
        """
        epochs = {e["epoch"]: e for e in read_events(self.folder / files.EVENTS, {"epoch"}) if e["phase"] == MAIN}
        metrics = [epoch["metrics"] for epoch in epochs.values()]
        shares = [one.get("used_share", 0.0 if one.get("alpha") == 0 else None) for one in metrics]
        return tuple(share for share in shares if share is not None)

    def _comparable(self, ablation: finish.Reached | None) -> finish.Reached | None:
        """Return what the ablation reached; None where a recovery changed the settings of it or of the round."""
        recovered = any(self._recoveries(phase, kind) for phase in (ABLATION, MAIN) for kind in ("memory", "diverged"))
        if ablation is None or not recovered:
            return ablation
        message = "The comparison with h = 0 is left out: a recovery changed the settings of one of the two"
        self.recorder.event("recovery", durable=True, phase=MAIN, kind="comparison", message=message)
        return None

    def _trained(self, phase: Phase, data: Material) -> Algorithm:
        """Train a phase to its end, with recoveries; return it."""
        while True:
            error: Exception
            try:
                return self._epochs(phase, data)
            except (TrainingDiverged, RuntimeError, MemoryError) as caught:
                if not self._recoverable(phase.name, caught):
                    raise
                error = caught.with_traceback(None)
            # Outside the handler, so that the failed attempt's tensors are no longer held by its traceback.
            self._recover(phase.name, error)
            if self.where.type == "cuda":
                torch.compiler.reset()  # recorded graphs hold memory too
                torch.cuda.empty_cache()

    def _epochs(self, phase: Phase, data: Material) -> Algorithm:
        """Train a phase from its last good checkpoint to its end; return it."""
        algorithm = phase.spec.build(phase.config, self._train_config(phase.name), data.pools, self.where)
        start = self._restore(phase.name, algorithm)
        if not start and phase.name in (MAIN, ABLATION) and data.described is not None:
            self._begin(algorithm, data, data.described)
        tracked = data.tracked if phase.name == MAIN else None
        for event in loop.train(
            algorithm,
            data.pools,
            start_epoch=start,
            tracked=tracked,
            should_stop=self.stop,
            precision=self.train.precision,
        ):
            if isinstance(event, loop.StepEvent):
                self._step(phase, event, algorithm)
            else:
                self._epoch(phase, event, algorithm, data)
        self.stop.check()
        return algorithm

    def _begin(self, algorithm: Algorithm, data: Material, described: Tensor) -> None:
        """Let the algorithm's networks begin with one that is taught the set's labels first."""
        assert isinstance(algorithm, TakesStart), "the plan was checked"

        def build(_: None, train: TrainConfig, pools: Pools, where: torch.device) -> TaughtStart:
            return TaughtStart(train, pools, where, described)

        spec = dataclasses.replace(self.spec, build=build)
        taught = self._trained(Phase(START, "Teaching the labels of the set", spec, None), data)
        algorithm.begin(taught.eval_model().state_dict(), set_targets(described, data.pools, self.train))

    def _step(self, phase: Phase, event: loop.StepEvent, algorithm: Algorithm) -> None:
        left = event.steps - event.step + sum(algorithm.steps_in(e) for e in range(event.epoch + 1, event.epochs))
        first, self._phase = phase.name != self._phase, phase.name  # however short a phase is, it is told of
        self._progress(
            phase.name,
            force=first,
            epoch=event.epoch + 1,
            epochs=event.epochs,
            step=event.step,
            steps=event.steps,
            steps_per_second=round(event.steps_per_second, 3),
            eta_seconds=round(left / event.steps_per_second, 1) if event.steps_per_second > 0 else None,
            metrics=event.metrics,
            device=self.device_name,
            message=phase.title,
        )

    def _epoch(self, phase: Phase, event: loop.EpochEvent, algorithm: Algorithm, data: Material) -> None:
        """Record one epoch; its checkpoint comes last, so that a resume repeats what was not recorded
        whole."""
        number, name = event.epoch + 1, phase.name
        if name == MAIN:
            unlabeled = data.ids[data.pools.unlabeled_idx.numpy()]
            self.recorder.epoch_predictions(number, unlabeled, event.probabilities)
            self._tracked(number, event)
        self.recorder.event("epoch", phase=name, epoch=number, metrics=event.metrics, memory_mb=finish.peak_memory_mb())
        file = files.checkpoint(name, number)
        (self.folder / file).parent.mkdir(exist_ok=True)
        extra = {"phase": name, "ledger_seq": self.plan.ledger_seq, "code_version": self.plan.code_version}
        digest = checkpoint.save(self.folder / file, algorithm, event.epoch, extra)
        self.recorder.event("checkpoint", durable=True, phase=name, epoch=number, file=file, sha256=digest)

    def _tracked(self, number: int, event: loop.EpochEvent) -> None:
        """Record the tracked images; their features come last: an epoch that has them has all else."""
        if event.student is not None:
            self.recorder.array(files.epoch_student(number), event.student.astype(np.float16))
        if event.teacher is not None:
            self.recorder.array(files.epoch_teacher(number), event.teacher.astype(np.float16))
        if event.features is not None:
            self.recorder.array(files.epoch_features(number), event.features)

    def _restore(self, phase: str, algorithm: Algorithm) -> int:
        """Put the last good checkpoint back; return the epoch to go on with, counted from 0."""
        for known in reversed(self._known_checkpoints(phase)):
            path = self.folder / known["file"]
            if not path.exists():
                continue
            try:
                epoch, _ = checkpoint.load(path, known["sha256"], algorithm)
            except CheckpointCorrupt as error:
                self.recorder.event("recovery", phase=phase, kind="checkpoint", message=str(error))
                path.unlink()
                continue
            return int(epoch) + 1
        return 0

    def _known_checkpoints(self, phase: str) -> list[dict[str, Any]]:
        """Return this phase's checkpoint events that fit its present batch size, oldest first."""
        known: list[dict[str, Any]] = []
        for event in read_events(self.folder / files.EVENTS, {"checkpoint", "recovery"}):
            if event.get("phase") != phase:
                continue
            if event["type"] == "checkpoint":
                known.append(event)
            elif event.get("kind") == "memory":
                known.clear()
        return known

    def _recoveries(self, phase: str, kind: str) -> int:
        events = read_events(self.folder / files.EVENTS, {"recovery"})
        return sum(event.get("phase") == phase and event.get("kind") == kind for event in events)

    def _train_config(self, phase: str) -> TrainConfig:
        """Return the round's settings after the recoveries so far, which a resume must repeat."""
        rate = self.train.learning_rate / 2 ** self._recoveries(phase, "diverged")
        halved = sum(self._recoveries(one, "memory") for one in PHASES)
        batch = max(1, self.train.batch_size // 2**halved)
        return dataclasses.replace(self.train, learning_rate=rate, batch_size=batch)

    def _recoverable(self, phase: str, error: Exception) -> bool:
        if isinstance(error, TrainingDiverged):
            return self._recoveries(phase, "diverged") < TRIES
        return (
            failures.is_out_of_memory(error)
            and self._recoveries(phase, "memory") < TRIES
            and self._train_config(phase).batch_size > 1
        )

    def _recover(self, phase: str, error: Exception) -> None:
        """Record what is done differently from here on; the phase then goes on with it."""
        if isinstance(error, TrainingDiverged):
            rate = self._train_config(phase).learning_rate / 2
            what = f"{error.cause} ({error.value})"
            message = f"{what}: back to the last checkpoint, learning rate halved to {rate:g}"
            self.recorder.event("recovery", durable=True, phase=phase, kind="diverged", message=message)
            return
        batch = max(1, self._train_config(phase).batch_size // 2)
        message = f"Memory ran out: begun again with the labeled batch halved to {batch}"
        self.recorder.event("recovery", durable=True, phase=phase, kind="memory", message=message)
        shutil.rmtree(self._checkpoints(phase), ignore_errors=True)
        if phase == MAIN:
            self.recorder.forget_epochs()

    def _checkpoints(self, phase: str) -> Path:
        return self.folder / "checkpoints" / phase

    def _preparing(self, label: str, done: int, total: int) -> None:
        if self.stop():
            raise Stopped
        changed, self._label = label != self._label, label
        if changed and label.startswith(DAMAGED):
            self.recorder.event("recovery", durable=True, phase="", kind="cache", message=label)
        self._progress("preparing", force=changed, message=label, step=done, steps=total)

    def _progress(self, phase: str, *, force: bool = False, **fields: Any) -> None:
        now = time.monotonic()
        if force or now - self._progress_at >= PROGRESS_SECONDS:
            self._progress_at = now
            self.recorder.event("progress", phase=phase, **fields)

    def _facts(self, result: str) -> dict[str, Any]:
        """Return the fields of the report on the run itself; `result` names the phase whose model is the result."""
        events = read_events(self.folder / files.EVENTS)
        spans: dict[str, list[float]] = {}
        for event in events:
            spans.setdefault(event["token"], []).append(event["time"])
        epochs = {e["epoch"]: e for e in events if e["type"] == "epoch" and e["phase"] == MAIN}
        each = [epoch["metrics"].get("seconds") or 0.0 for epoch in epochs.values()]
        last = self._known_checkpoints(result)[-1]
        return {
            "seconds": round(sum(max(span) - min(span) for span in spans.values()), 2),
            "seconds_per_epoch": round(sum(each) / max(1, len(each)), 3),
            "device": self.device_name,
            "peak_memory_mb": finish.peak_memory_mb(),
            "peak_device_memory_mb": finish.peak_device_memory_mb(self.where),
            "epochs": len(epochs),
            "checkpoint": WrittenFile(last["file"], last["sha256"]),
            "recoveries": tuple(event["message"] for event in events if event["type"] == "recovery"),
            "attempts": len(spans),
        }
