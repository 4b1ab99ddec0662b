"""Turns `--set name=value` into values of config dataclasses: the one parser of rounds and benchmarks.

`group.name=value` says whose setting is meant, such as `train.momentum=0.8` or `fixmatch.momentum=0.99`.
"""

from __future__ import annotations

import dataclasses
import typing
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from engine.errors import ConfigError

TRUE, FALSE = {"1", "true", "yes", "on"}, {"0", "false", "no", "off"}
NONE = {"", "none", "auto"}
"""What stands for None where a field may be that."""
NEEDS = {bool: "on or off", int: "a whole number", float: "a number"}
TRAIN = "train"
"""The group of the settings that all algorithms share; an algorithm's own group is its key."""


def parse(
    pairs: Iterable[str], configs: Mapping[str, type], every: Mapping[str, type] | None = None
) -> list[dict[str, Any]]:
    """Return one dict of values for each config class, in order, then one for each of `every`.

    Args:
        pairs: texts such as "epochs=30" or "train.epochs=30".
        configs: dataclasses by the name of their group; the one that has the field takes the value.
        every: further ones, of several algorithms trained beside each other: all that have the field take a value
            without a group.

    Raises:
        ConfigError: no `=`, a name that is no field, one that without its group could mean several settings, or a value
            of another type than the field's; names the pair, and the known names, both spellings or what the field
            needs.
    """
    groups = dict(configs) | dict(every or {})
    values: dict[str, dict[str, Any]] = {group: {} for group in groups}
    hints = {group: typing.get_type_hints(config) for group, config in groups.items()}
    known = {group: {field.name for field in dataclasses.fields(config)} for group, config in groups.items()}
    for pair in pairs:
        spelled, equals, text = (part.strip() for part in pair.partition("="))
        named, _, name = spelled.rpartition(".")
        takers = [group for group in groups if name in known[group] and named in ("", group)]
        if not equals or not takers:
            raise ConfigError(
                "There is no such setting",
                value=pair,
                way_out="Write name=value or group.name=value. Known: "
                f"{', '.join(sorted(set().union(*known.values())))}; groups: {', '.join(groups)}.",
            )
        if len(takers) > 1 and any(group in configs for group in takers):
            spellings = " or ".join(f"{group}.{name}={text}" for group in takers)
            raise ConfigError("This setting could be several", value=pair, way_out=f"Write {spellings}.")
        for group in takers:
            values[group][name] = _value(pair, name, text, hints[group][name])
    return list(values.values())


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
