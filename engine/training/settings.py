"""Settings dataclasses: fields that carry their own label, help and range, checked in one place."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

from engine.errors import ConfigError

T = TypeVar("T")


def setting(
    default: Any,
    label: str,
    help: str,
    *,
    min: float | None = None,
    max: float | None = None,
    choices: Sequence[str] | None = None,
) -> Any:
    """Declare one field of a settings dataclass with what a form needs to draw it.

    The metadata keys are `label` (a few words), `help` (one or two sentences), and where they apply `min`,
    `max` (both inclusive) and `choices`.
    """
    metadata: dict[str, Any] = {"label": label, "help": help}
    if min is not None:
        metadata["min"] = min
    if max is not None:
        metadata["max"] = max
    if choices is not None:
        metadata["choices"] = tuple(choices)
    return dataclasses.field(default=default, metadata=metadata)


def check_settings(settings: Any) -> None:
    """Check every field of a settings dataclass against its own metadata; call it in `__post_init__`.

    Whole numbers given for a float field become floats, so that settings survive JSON unchanged.

    Raises:
        ConfigError: a field has another type than its default, is not finite, out of range or not a choice.
    """
    for field in dataclasses.fields(settings):
        value = getattr(settings, field.name)
        if isinstance(field.default, float) and type(value) is int:
            value = float(value)
            object.__setattr__(settings, field.name, value)
        _check_type(field, value)
        _check_range(field, value)


def _name(field: dataclasses.Field[Any]) -> str:
    return str(field.metadata.get("label", field.name))


def _check_type(field: dataclasses.Field[Any], value: Any) -> None:
    if field.default is None:
        if value is not None and type(value) is not int:
            raise ConfigError(f"{_name(field)} must be a whole number or empty", value=value)
    elif type(value) is not type(field.default):
        wanted = {int: "a whole number", float: "a number", bool: "on or off", str: "text"}
        raise ConfigError(f"{_name(field)} must be {wanted[type(field.default)]}", value=repr(value))
    if isinstance(value, float) and not math.isfinite(value):
        raise ConfigError(f"{_name(field)} must be finite", value=value)


def _check_range(field: dataclasses.Field[Any], value: Any) -> None:
    if value is None:
        return
    low, high = field.metadata.get("min"), field.metadata.get("max")
    if low is not None and value < low:
        raise ConfigError(f"{_name(field)} is too small", value=value, way_out=f"Choose at least {low}.")
    if high is not None and value > high:
        raise ConfigError(f"{_name(field)} is too large", value=value, way_out=f"Choose at most {high}.")
    choices = field.metadata.get("choices")
    if choices is not None and value not in choices:
        raise ConfigError(
            f"{_name(field)} is not one of the choices",
            value=value,
            way_out=f"Choose one of {', '.join(choices)}.",
        )


def settings_from(cls: type[T], values: Mapping[str, Any]) -> T:
    """Build a settings dataclass from stored values; fields that are absent take their defaults.

    Raises:
        ConfigError: a key is not a field of `cls`, or a value is out of its range.
    """
    known = {field.name for field in dataclasses.fields(cls)}  # type: ignore[arg-type]
    unknown = sorted(set(values) - known)
    if unknown:
        raise ConfigError(
            f"{cls.__name__} has no such setting",
            value=", ".join(unknown),
            way_out=f"The settings are {', '.join(sorted(known))}.",
        )
    return cls(**values)


def settings_to(settings: Any) -> dict[str, Any]:
    """Return a settings dataclass as a dict that JSON can hold and `settings_from` takes back."""
    return dataclasses.asdict(settings)
