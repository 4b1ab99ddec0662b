"""What a step is fed: endless seeded streams of rows, where the images lie, and the views made of them."""

from __future__ import annotations

import math
import weakref
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, cast

import torch
from torch import Tensor
from torch.utils.weak import WeakTensorKeyDictionary

from engine.augment.rand_augment import every_op
from engine.augment.views import Views
from engine.errors import RoundBlocked
from engine.training import device as devices
from engine.training.compiled import compiles
from engine.training.config import TrainConfig
from engine.training.pools import Pools

LEAST_STEPS = 30
"""An automatic epoch has at least this many steps, so that small projects train at all."""
FRESH = 8
"""So many fetched batches are known to be ready: those of two steps, and more."""
_PLACED: Any = WeakTensorKeyDictionary()
"""Of images on the CPU, while both are in use: a weak reference to their copy on a GPU."""


class RowStream:
    """An endless stream of rows in shuffled passes: every row once before any row twice.

    Its state is (order, position, generator), so that a resumed run draws the same rows.
    """

    def __init__(self, rows: Tensor, seed: int) -> None:
        self._rows = rows
        self._generator = torch.Generator().manual_seed(seed)
        self._order = torch.randperm(len(rows), generator=self._generator)
        self._position = 0

    def take(self, n: int) -> Tensor:
        """Return the next n places (n,) int64 in 0..len(rows)-1; a pass may end in the middle."""
        parts: list[Tensor] = []
        while n > 0:
            if self._position == len(self._order):
                self._order = torch.randperm(len(self._rows), generator=self._generator)
                self._position = 0
            part = self._order[self._position : self._position + n]
            self._position += len(part)
            n -= len(part)
            parts.append(part)
        return torch.cat(parts)

    def state_dict(self) -> dict[str, Any]:
        """Return what the next draw depends on."""
        return {"order": self._order, "position": self._position, "generator": self._generator.get_state()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue where the stored stream stood."""
        self._order = state["order"]
        self._position = int(state["position"])
        self._generator.set_state(state["generator"])


def steps_per_epoch(train: TrainConfig, pools: Pools) -> int:
    """Return the steps of one epoch: the same for every algorithm on the same data, to compare fairly."""
    return steps_for(train, len(pools.train_idx), len(pools.unlabeled_idx))


def steps_for(train: TrainConfig, labeled: int, unlabeled: int) -> int:
    """Return the steps of one epoch with this many labeled training images and unlabeled ones."""
    if train.steps_per_epoch:
        return train.steps_per_epoch
    wide = train.batch_size * train.unlabeled_ratio
    return max(math.ceil(labeled / train.batch_size), math.ceil(unlabeled / wide), LEAST_STEPS)


def place_images(images: Tensor, device: torch.device) -> Tensor:
    """Return the images on the device when they fit in a quarter of its free memory, else as they are.

    Whoever asks while a copy is in use gets that copy: a feed and the predictions of its run share one.
    """
    if device.type != "cuda" or devices.same(images.device, device):
        return images
    known = _PLACED[images]() if images in _PLACED else None
    if known is not None and devices.same(known.device, device):
        return cast(Tensor, known)
    free, _ = torch.cuda.mem_get_info(device)
    if images.nbytes >= free // 4:
        return images
    placed = images.to(device)
    _PLACED[images] = weakref.ref(placed)
    return placed


@dataclass(frozen=True)
class Step:
    """What one step is given, on the device: labeled x (B, ...) with y (B,), unlabeled u (U, ...), all as stored.

    `places` (U,) int64, on the CPU, are the positions of `u` in `pools.unlabeled_idx`.
    """

    x: Tensor
    y: Tensor
    u: Tensor
    places: Tensor


class Feed:
    """Hands out batches and their views, seeded: the same seed gives the same batches to every algorithm.

    Images stay on the device when they fit; else `epoch` fetches each step's rows one step ahead, by a thread and
    through pinned memory. All draws are made on the CPU, so that they are the same on every device.

    On CUDA batches and views are made on a stream of their own (setting compile "off": on that of the training): the
    host runs ahead of the device, so those of a step are made while the device still computes the step before.

    Raises:
        RoundBlocked: there is no labeled image, or none unlabeled where they are asked for.
    """

    def __init__(self, train: TrainConfig, pools: Pools, device: torch.device, *, unlabeled: bool = True) -> None:
        self._batch = train.batch_size
        self._wide = train.batch_size * train.unlabeled_ratio
        self.device = devices.indexed(device)
        self.images = place_images(pools.images, device)
        self.rows, self.y, self.unlabeled_rows = pools.train_idx, pools.train_y, pools.unlabeled_idx
        if not len(self.rows):
            raise RoundBlocked(
                "There is no labeled image to train on", way_out="Label some images of each class first."
            )
        if unlabeled and not len(self.unlabeled_rows):
            raise RoundBlocked(
                "There is no unlabeled image to learn from",
                way_out="Import more images, or choose the supervised algorithm.",
            )
        self._labeled = RowStream(self.rows, train.seed + 1)
        self._unlabeled = RowStream(self.unlabeled_rows, train.seed + 2) if unlabeled else None
        self._views = torch.Generator().manual_seed(train.seed + 3)
        self.views = make_views(train, pools, device)
        self._fresh: tuple[Tensor, ...] = ()  # what was fetched last
        self._stream: torch.cuda.Stream | None = None
        if self.device.type == "cuda" and train.compile != "off":
            self._stream = torch.cuda.Stream(self.device)  # type: ignore[no-untyped-call]
            self._stream.wait_stream(torch.cuda.current_stream(self.device))  # for the images and the views' statistics

    def epoch(self, steps: int) -> Iterator[Step]:
        """Yield `steps` batches; nothing is drawn beyond them, so that the state between epochs is whole."""
        if not self._far():
            for _ in range(steps):
                yield self._step()
            return
        with ThreadPoolExecutor(1, "feed") as ahead:
            waiting = ahead.submit(self._step)
            for left in range(steps, 0, -1):
                ready = waiting.result()
                if left > 1:
                    waiting = ahead.submit(self._step)
                yield ready

    def _far(self) -> bool:
        """Return whether images lie elsewhere than where they are needed, so that fetching ahead pays."""
        return self.device.type == "cuda" and not devices.same(self.images.device, self.device)

    def labeled(self) -> tuple[Tensor, Tensor]:
        """Return the next labeled batch: x (B, ...) as stored and y (B,), on the device."""
        places = self._labeled.take(self._batch)
        return self.fetch(self.rows[places]), devices.upload(self.y[places], self.device)

    def unlabeled(self) -> tuple[Tensor, Tensor]:
        """Return the next unlabeled batch: u (U, ...) on the device and its places (U,) on the CPU."""
        if self._unlabeled is None:
            nothing = torch.empty(0, dtype=torch.int64)
            return self.fetch(nothing), nothing
        places = self._unlabeled.take(self._wide)
        return self.fetch(self.unlabeled_rows[places]), places

    def fetch(self, rows: Tensor) -> Tensor:
        """Return rows of the images or vectors, as stored, on the device."""
        fetched = self._beside(self._fetch, rows)
        self._fresh = (*self._fresh[1 - FRESH :], fetched)
        return fetched

    def _fetch(self, rows: Tensor) -> Tensor:
        return devices.upload(self.images[devices.upload(rows, self.images.device)], self.device)

    def weak(self, x: Tensor) -> Tensor:
        """Return a weak view of raw inputs."""
        return self._beside(self.views.weak, x, self._views)

    def strong(self, x: Tensor) -> Tensor:
        """Return a strong view of raw inputs."""
        return self._beside(self.views.strong, x, self._views)

    def _beside(self, work: Callable[..., Tensor], x: Tensor, *more: Any) -> Tensor:
        """Return work(x, *more), on CUDA done on the feed's stream; what the training's stream does next waits for it.

        What was fetched here, or lies on the CPU, is ready; for any other `x` the feed's stream first waits for the
        training's, which may still be making it.
        """
        if self._stream is None:
            return work(x, *more)
        training = torch.cuda.current_stream(self.device)
        if x.device.type == "cuda" and not any(x is one for one in self._fresh):
            self._stream.wait_stream(training)
        with torch.cuda.stream(self._stream):
            made = work(x, *more)
        training.wait_stream(self._stream)
        made.record_stream(training)  # its memory is the feed stream's: not to be used anew before the training is done
        return made

    def uniform(self, n: int) -> Tensor:
        """Return n seeded numbers in 0..1 on the device."""
        return devices.upload(torch.rand(n, generator=self._views), self.device)

    def _step(self) -> Step:
        x, y = self.labeled()
        return Step(x, y, *self.unlabeled())

    def state_dict(self) -> dict[str, Any]:
        """Return what the next batch and its views depend on."""
        state: dict[str, Any] = {"labeled": self._labeled.state_dict(), "views": self._views.get_state()}
        if self._unlabeled is not None:
            state["unlabeled"] = self._unlabeled.state_dict()
        return state

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue where the stored feed stood; further entries of `state` are not looked at."""
        self._labeled.load_state_dict(state["labeled"])
        self._views.set_state(state["views"])
        if self._unlabeled is not None:
            self._unlabeled.load_state_dict(state["unlabeled"])


def make_views(train: TrainConfig, pools: Pools, device: torch.device) -> Views:
    """Return the views that the settings ask for, for the images or vectors of these pools."""
    compiled = compiles(train.compile, device, pools.vectors, train.epochs * steps_per_epoch(train, pools))
    mean, deviation = torch.empty(0), torch.empty(0)
    if pools.vectors:
        mean, deviation = (torch.tensor(values, dtype=torch.float32) for values in pools.statistics())
    return Views(
        kind=train.augment,
        strong_kind=train.strong,
        ops=train.rand_ops,
        magnitude=train.rand_magnitude,
        noise=train.noise,
        mean=mean.to(device),
        deviation=deviation.to(device),
        whole=torch.compile(every_op, dynamic=False) if compiled else None,
    )
