"""Turns `--set name=value` into values of config dataclasses."""

from __future__ import annotations

import dataclasses
import typing
from collections.abc import Iterable
from typing import Any

from engine.errors import ConfigError

TRUE, FALSE = {"1", "true", "yes", "on"}, {"0", "false", "no", "off"}


def parse(pairs: Iterable[str], *configs: type) -> list[dict[str, Any]]:
    """Return one dict of values a config class, in order; each name must be a field of exactly one of them.

    Args:
        pairs: texts such as "epochs=30".
        configs: dataclasses; the first that has the field takes it.

    Raises:
        ConfigError: no `=`, an unknown name, or a value of the wrong type.
    """
    values: list[dict[str, Any]] = [{} for _ in configs]
    hints = [typing.get_type_hints(config) for config in configs]
    known = [{field.name for field in dataclasses.fields(config)} for config in configs]
    for pair in pairs:
        name, equals, text = pair.partition("=")
        name = name.strip()
        place = next((k for k, names in enumerate(known) if name in names), None)
        if not equals or place is None:
            raise ConfigError(
                "Not a setting of this round",
                value=pair,
                way_out=f"Known: {', '.join(sorted(set().union(*known)))}.",
            )
        values[place][name] = _value(name, text.strip(), hints[place][name])
    return values


def _value(name: str, text: str, hint: Any) -> Any:
    parts = typing.get_args(hint) if typing.get_origin(hint) is not typing.Literal else ()
    kinds = parts or (hint,)
    if type(None) in kinds and text.lower() in {"", "none", "auto"}:
        return None
    for kind in (int, float):
        if kind in kinds:
            try:
                return kind(text)
            except ValueError:
                continue
    if bool in kinds and text.lower() in TRUE | FALSE:
        return text.lower() in TRUE
    if kinds == (int,) or kinds == (float,) or kinds == (bool,):
        raise ConfigError(f"The setting {name} needs a value of type {kinds[0].__name__}", value=text)
    return text
