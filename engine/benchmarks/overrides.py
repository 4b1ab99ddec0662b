"""`--set name=value`: texts turned into settings of the training or of the algorithms of the rows."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from typing import Any

from engine.algorithms import ALGORITHMS
from engine.benchmarks.spec import Row
from engine.errors import ConfigError
from engine.training.config import TrainConfig

WORDS = {"true": True, "on": True, "yes": True, "1": True, "false": False, "off": False, "no": False, "0": False}


def apply(rows: tuple[Row, ...], pairs: Iterable[str]) -> tuple[Row, ...]:
    """Return the rows with the settings put in: in TrainConfig where it has the name, else in every algorithm that has.

    Raises:
        ConfigError: no `=`, a name that no row knows, or a value of another type.
    """
    for pair in pairs:
        name, equals, text = (part.strip() for part in pair.partition("="))
        takers = [row for row in rows if name in _fields(row)]
        if not equals or not takers:
            known = sorted({field for row in rows for field in _fields(row)})
            raise ConfigError("Not a setting of this benchmark", value=pair, way_out=f"Known: {', '.join(known)}.")
        rows = tuple(_with(row, name, text) if row in takers else row for row in rows)
    return rows


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


def _fields(row: Row) -> dict[str, Any]:
    """Return default values by name, those of TrainConfig first."""
    both = (settings_class(row), TrainConfig)
    return {field.name: field.default for cls in both for field in dataclasses.fields(cls)}


def _with(row: Row, name: str, text: str) -> Row:
    value = value_of(name, text, _fields(row)[name])
    if name in {field.name for field in dataclasses.fields(TrainConfig)}:
        return dataclasses.replace(row, train={**row.train, name: value})
    return dataclasses.replace(row, config={**row.config, name: value})


def value_of(name: str, text: str, default: Any) -> Any:
    """Return the text as a value of the default's type; "", none and auto are None where the default is None.

    Raises:
        ConfigError: the text is no such value.
    """
    if isinstance(default, str):
        return text
    if default is None and text.lower() in ("", "none", "auto"):
        return None
    if isinstance(default, bool):
        if text.lower() in WORDS:
            return WORDS[text.lower()]
        raise ConfigError(f"The setting {name} is on or off", value=text)
    try:
        return float(text) if isinstance(default, float) else int(text)
    except ValueError as error:
        raise ConfigError(f"The setting {name} needs a number", value=text) from error
