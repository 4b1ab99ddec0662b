"""`--set name=value` put into the settings of a study, of the training and of the algorithms of the rows."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, TypeVar

from engine.algorithms import ALGORITHMS
from engine.benchmarks.spec import Row
from engine.errors import ConfigError
from engine.training import pairs
from engine.training.config import TrainConfig

T = TypeVar("T")
BENCH = "bench"
"""The group of a benchmark's own settings."""


@dataclass(frozen=True)
class NoSettings:
    """A benchmark without settings besides those of its rows."""


def apply(rows: tuple[Row, ...], texts: Iterable[str]) -> tuple[Row, ...]:
    """Return the rows with the settings put in: in TrainConfig or in every algorithm that has the name.

    Raises:
        ConfigError: no `=`, a name that no row knows or that could be several settings, or a value of another type.
    """
    return apply_with(NoSettings, rows, texts)[1]


def apply_with(settings: type[T], rows: tuple[Row, ...], texts: Iterable[str]) -> tuple[T, tuple[Row, ...]]:
    """Return the settings of a study and the rows, both with the texts put in.

    Args:
        settings: a dataclass whose fields have defaults.
        rows: the settings of the training.
        texts: each "name=value" or "group.name=value"; the groups are "bench", "train" and the algorithms' keys.

    Raises:
        ConfigError: no `=`, a name that neither has or that could be several, a value of another type or out of range.
    """
    classes = {row.algorithm: settings_class(row) for row in rows}
    own, train, *configs = pairs.parse(texts, {BENCH: settings, pairs.TRAIN: TrainConfig}, classes)
    given = dict(zip(classes, configs, strict=True))
    changed = (
        dataclasses.replace(row, train={**row.train, **train}, config={**row.config, **given[row.algorithm]})
        for row in rows
    )
    return settings(**own), tuple(changed)


def settings_class(row: Row) -> type[Any]:
    """Return the settings class of the row's algorithm.

    Raises:
        ConfigError: this version has no such algorithm.
    """
    if row.algorithm not in ALGORITHMS:
        raise ConfigError(
            "This version has no such algorithm", value=row.algorithm, way_out=f"Known: {', '.join(ALGORITHMS)}."
        )
    return ALGORITHMS[row.algorithm].config
