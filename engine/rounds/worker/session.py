"""One attempt at a round, from the data to the report: what is trained beside it, the algorithm, recoveries."""

from __future__ import annotations

import dataclasses
import shutil
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch

from engine.algorithms import ALGORITHMS, Algorithm, AlgorithmSpec
from engine.errors import CheckpointCorrupt, TrainingDiverged
from engine.files import read_json
from engine.rounds.folder import files
from engine.rounds.folder.events import read_events
from engine.rounds.folder.plan import RoundPlan
from engine.rounds.worker import failures, finish, material
from engine.rounds.worker.material import Material
from engine.rounds.worker.recorder import Recorder
from engine.rounds.worker.stop import Stop, Stopped
from engine.training import checkpoint, device, loop
from engine.training.config import TrainConfig
from engine.training.settings import settings_from

TRIES = 2
"""Recoveries of one kind in one phase before the round fails."""
PROGRESS_SECONDS = 1.0
BASELINE = "baseline"
ABLATION = "ablation"
MAIN = "main"
PHASES = (BASELINE, ABLATION, MAIN)
TITLES = {BASELINE: "Supervised baseline", ABLATION: "Without feedback (h = 0)"}
"""What is trained beside the round's own algorithm."""


class Session:
    """Runs a planned round in this process, continuing from what its folder holds.

    Args:
        folder: the round's folder.
        plan: its plan.
        recorder: writes events and files.
        stop: asked at every step.
    """

    def __init__(self, folder: Path, plan: RoundPlan, recorder: Recorder, stop: Stop) -> None:
        self.folder = folder
        self.plan = plan
        self.recorder = recorder
        self.stop = stop
        self.train = settings_from(TrainConfig, plan.train)
        self.spec = ALGORITHMS[plan.algorithm]
        self.config = settings_from(self.spec.config, plan.config)
        self.device_name = ""
        self._told = -1e9
        self._label = ""

    def run(self) -> None:
        """Do everything that is not done yet; on return the final predictions and the report are written.

        Raises:
            Stopped: a stop was asked for.
            StarlingError, OSError, RuntimeError: the round failed; checkpoints of finished epochs are kept.
        """
        files.sweep_partial(self.folder)
        self._progress("preparing", message="Reading the images", force=True)
        where = device.resolve(self.train.device)
        device.set_threads(self.train.threads)
        data = material.load(self.folder, self.plan, where, self._preparing)
        self.recorder.features("ids", data.ids[data.tracked])
        self.device_name = device.describe(where)
        beside = finish.Beside(self._baseline(data, where), self._ablation(data, where))
        algorithm = self._phase(MAIN, self.spec, self.config, data, where)
        self._progress("finishing", message="Calibrating and writing predictions", force=True)
        beside = self._comparable(beside)
        finish.complete(self.plan, self.recorder, algorithm, data, beside, self._facts(where), self.stop)

    def _baseline(self, data: Material, where: torch.device) -> dict[str, Any] | None:
        """Return the supervised baseline's held-out figures, training it unless an earlier attempt has."""
        if not self.train.run_baseline or self.plan.algorithm == "supervised":
            return None
        done = self.folder / files.BASELINE
        if done.exists():
            return read_json(done)
        spec = ALGORITHMS["supervised"]
        algorithm = self._phase(BASELINE, spec, spec.config(), data, where)
        figures = finish.heldout_figures(finish.heldout_logits(algorithm, data.pools), data.pools.heldout_y)
        self.recorder.json(files.BASELINE, figures)
        self.recorder.event("baseline", durable=True, heldout=figures)
        shutil.rmtree(self._checkpoints(BASELINE), ignore_errors=True)
        return figures

    def _ablation(self, data: Material, where: torch.device) -> dict[str, Any] | None:
        """Return the held-out figures, with the classes given, of the algorithm without what makes it.

        Same split, seed and number of steps. Trained unless an earlier attempt has; None where not asked for.
        """
        config = self.spec.ablation(self.config) if self.spec.ablation else None
        if config is None:
            return None
        done = self.folder / files.ABLATION
        if done.exists():
            return read_json(done)
        algorithm = self._phase(ABLATION, self.spec, config, data, where)
        logits = finish.heldout_logits(algorithm, data.pools)
        figures = finish.heldout_figures(logits, data.pools.heldout_y)
        self.recorder.json(files.ABLATION, figures | {"predicted": logits.argmax(1).tolist()})
        self.recorder.event("ablation", durable=True, heldout=figures)
        shutil.rmtree(self._checkpoints(ABLATION), ignore_errors=True)
        return read_json(done)

    def _comparable(self, beside: finish.Beside) -> finish.Beside:
        """Leave the ablation out of what is reported where a recovery changed the settings of one of the two."""
        recovered = any(self._recoveries(phase, kind) for phase in (ABLATION, MAIN) for kind in ("memory", "diverged"))
        if beside.ablation is None or not recovered:
            return beside
        message = "The comparison with h = 0 is left out: a recovery changed the settings of one of the two"
        self.recorder.event("recovery", durable=True, phase=MAIN, kind="comparison", message=message)
        return dataclasses.replace(beside, ablation=None)

    def _phase(self, phase: str, spec: AlgorithmSpec, config: Any, data: Material, where: torch.device) -> Algorithm:
        """Train one algorithm to its end, with recoveries; return it."""
        while True:
            error: Exception
            try:
                return self._epochs(phase, spec, config, data, where)
            except (TrainingDiverged, RuntimeError, MemoryError) as caught:
                if not self._recoverable(phase, caught):
                    raise
                error = caught.with_traceback(None)
            # Outside the handler, so that the failed attempt's tensors are no longer held by its traceback.
            self._recover(phase, error)
            if where.type == "cuda":
                torch.cuda.empty_cache()

    def _epochs(self, phase: str, spec: AlgorithmSpec, config: Any, data: Material, where: torch.device) -> Algorithm:
        train = self._train_config(phase)
        algorithm = spec.build(config, train, data.pools, where)
        start = self._restore(phase, algorithm)
        tracked = data.tracked if phase == MAIN else None
        for event in loop.train(algorithm, data.pools, start_epoch=start, tracked=tracked, should_stop=self.stop):
            if isinstance(event, loop.StepEvent):
                self._step(phase, event, algorithm)
            else:
                self._epoch(phase, event, algorithm, data)
        self.stop.check()
        return algorithm

    def _step(self, phase: str, event: loop.StepEvent, algorithm: Algorithm) -> None:
        left = event.steps - event.step + sum(algorithm.steps_in(e) for e in range(event.epoch + 1, event.epochs))
        self._progress(
            phase,
            epoch=event.epoch + 1,
            epochs=event.epochs,
            step=event.step,
            steps=event.steps,
            steps_per_second=round(event.steps_per_second, 3),
            eta_seconds=round(left / event.steps_per_second, 1) if event.steps_per_second > 0 else None,
            metrics=event.metrics,
            device=self.device_name,
            message={BASELINE: "Supervised baseline", ABLATION: f"{self.spec.title}, h = 0"}.get(
                phase, self.spec.title
            ),
        )

    def _epoch(self, phase: str, event: loop.EpochEvent, algorithm: Algorithm, data: Material) -> None:
        """Record one epoch; its checkpoint comes last, so that a resume repeats what was not recorded
        whole."""
        number = event.epoch + 1
        if phase == MAIN:
            unlabeled = data.ids[data.pools.unlabeled_idx.numpy()]
            self.recorder.epoch_predictions(number, unlabeled, event.probabilities)
            self._tracked(number, event)
        self.recorder.event(
            "epoch", phase=phase, epoch=number, metrics=event.metrics, memory_mb=finish.peak_memory_mb()
        )
        path = self._checkpoints(phase) / f"epoch-{number:05d}.ckpt"
        path.parent.mkdir(exist_ok=True)
        extra = {"phase": phase, "ledger_seq": self.plan.ledger_seq, "code_version": self.plan.code_version}
        digest = checkpoint.save(path, algorithm, event.epoch, extra)
        name = str(path.relative_to(self.folder))
        self.recorder.event("checkpoint", durable=True, phase=phase, epoch=number, file=name, sha256=digest)

    def _tracked(self, number: int, event: loop.EpochEvent) -> None:
        """Record the tracked images; their features come last: an epoch that has them has all else."""
        for name, said in (("student", event.student), ("teacher", event.teacher)):
            if said is not None:
                self.recorder.features(f"{name}-{number:03d}", said.astype(np.float16))
        if event.features is not None:
            self.recorder.features(f"epoch-{number:03d}", event.features)

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
        self._progress("preparing", force=changed, message=label, step=done, steps=total)

    def _progress(self, phase: str, *, force: bool = False, **fields: Any) -> None:
        now = time.monotonic()
        if force or now - self._told >= PROGRESS_SECONDS:
            self._told = now
            self.recorder.event("progress", phase=phase, **fields)

    def _facts(self, where: torch.device) -> dict[str, Any]:
        """Return what the report says of the run itself."""
        events = read_events(self.folder / files.EVENTS)
        spans: dict[str, list[float]] = {}
        for event in events:
            spans.setdefault(event["token"], []).append(event["time"])
        epochs = {e["epoch"]: e for e in events if e["type"] == "epoch" and e["phase"] == MAIN}
        each = [epoch["metrics"].get("seconds") or 0.0 for epoch in epochs.values()]
        last = self._known_checkpoints(MAIN)[-1]
        return {
            "seconds": round(sum(max(span) - min(span) for span in spans.values()), 2),
            "seconds_per_epoch": round(sum(each) / max(1, len(each)), 3),
            "device": self.device_name,
            "peak_memory_mb": finish.peak_memory_mb(),
            "peak_device_memory_mb": finish.peak_device_memory_mb(where),
            "epochs": len(epochs),
            "checkpoint": {"file": last["file"], "sha256": last["sha256"]},
            "recoveries": [event["message"] for event in events if event["type"] == "recovery"],
            "attempts": len(spans),
        }
