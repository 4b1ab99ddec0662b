"""Turns `--set name=value` into values of config dataclasses: the one parser of rounds and benchmarks."""

from __future__ import annotations

import dataclasses
import typing
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from engine.errors import ConfigError

TRUE, FALSE = {"1", "true", "yes", "on"}, {"0", "false", "no", "off"}
NONE = {"", "none", "auto"}
"""What stands for None where a field may be that."""
NEEDS = {bool: "on or off", int: "a whole number", float: "a number"}


def parse(pairs: Iterable[str], *configs: type, every: Iterable[type] = ()) -> list[dict[str, Any]]:
    """Return one dict of values for each config class, in order, then one for each of `every`.

    Args:
        pairs: texts such as "epochs=30".
        configs: dataclasses; the first that has the field takes the value.
        every: dataclasses that, where none of `configs` has the field, all take it if they have it.

    Raises:
        ConfigError: no `=`, a name that is no field, or a value of another type than the field's; names the pair, and
            the known names or what the field needs.
    """
    classes = (*configs, *every)
    values: list[dict[str, Any]] = [{} for _ in classes]
    hints = [typing.get_type_hints(config) for config in classes]
    known = [{field.name for field in dataclasses.fields(config)} for config in classes]
    for pair in pairs:
        name, equals, text = (part.strip() for part in pair.partition("="))
        takers = [place for place, names in enumerate(known) if name in names]
        if not equals or not takers:
            raise ConfigError(
                "There is no such setting",
                value=pair,
                way_out=f"Write name=value. Known: {', '.join(sorted(set().union(*known)))}.",
            )
        for place in takers[:1] if takers[0] < len(configs) else takers:
            values[place][name] = _value(pair, name, text, hints[place][name])
    return values


def _value(pair: str, name: str, text: str, hint: Any) -> Any:
    """Return the text as a value of the field's type; where that is a text or a choice of texts, the text itself."""
    kinds = (hint,) if typing.get_origin(hint) is typing.Literal else typing.get_args(hint) or (hint,)
    if type(None) in kinds and text.lower() in NONE:
        return None
    try:
        if bool in kinds:
            return {**dict.fromkeys(TRUE, True), **dict.fromkeys(FALSE, False)}[text.lower()]
        return next((kind(text) for kind in (int, float, Path) if kind in kinds), text)
    except (ValueError, KeyError) as error:
        needs = next(words for kind, words in NEEDS.items() if kind in kinds)
        raise ConfigError(f"The setting {name} has no such value", value=pair, way_out=f"It needs {needs}.") from error
