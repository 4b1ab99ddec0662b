"""Builds a form from the fields of a config dataclass: label, help, range and choices come from their metadata."""

from __future__ import annotations

import dataclasses
import typing
from collections.abc import Collection, Mapping, Sequence
from typing import Any

import streamlit as st


def config_form(
    config: type,
    key: str,
    *,
    only: Collection[str] | None = None,
    skip: Collection[str] = (),
    suggestions: Mapping[str, Sequence[str]] | None = None,
) -> dict[str, Any]:
    """Draw one input a field of `config` and return the values by field name.

    Args:
        config: a dataclass whose fields carry metadata label, help, min, max, choices, and defaults.
        key: prefix of the widgets' keys.
        only: draw these fields alone.
        skip: leave these fields out.
        suggestions: values to offer for a text field, which still takes any other.
    """
    hints = typing.get_type_hints(config)
    values: dict[str, Any] = {}
    wanted = [
        field
        for field in dataclasses.fields(config)
        if field.name not in skip and (only is None or field.name in only) and not field.metadata.get("hidden")
    ]
    columns = st.columns(3)
    for position, field in enumerate(wanted):
        with columns[position % 3]:
            offered = (suggestions or {}).get(field.name, ())
            values[field.name] = _widget(field, hints[field.name], f"{key}_{field.name}", offered)
    return values


def _widget(field: dataclasses.Field[Any], hint: Any, key: str, offered: Sequence[str]) -> Any:
    about = field.metadata
    label = about.get("label") or field.name.replace("_", " ").capitalize()
    default = field.default if field.default is not dataclasses.MISSING else None
    arguments: dict[str, Any] = {"help": about.get("help"), "key": key}
    kinds = {kind for kind in typing.get_args(hint) or (hint,) if kind is not type(None)}
    optional = type(None) in typing.get_args(hint)
    choices = about.get("choices") or (typing.get_args(hint) if typing.get_origin(hint) is typing.Literal else None)
    if choices:
        options = list(choices)
        index = options.index(default) if default in options else 0
        return st.selectbox(label, options, index=index, **arguments)
    if hint is bool:
        return st.checkbox(label, value=bool(default), **arguments)
    if kinds <= {int, float} and kinds:
        return _number(label, default, about, whole=kinds == {int}, optional=optional, arguments=arguments)
    if offered:
        index = list(offered).index(str(default)) if default in offered else 0
        return st.selectbox(label, offered, index=index, accept_new_options=True, **arguments)
    text = st.text_input(label, value="" if default is None else str(default), **arguments)
    return text if text or not optional else None


def _number(label: str, default: Any, about: Any, *, whole: bool, optional: bool, arguments: dict[str, Any]) -> Any:
    cast = int if whole else float
    low, high = about.get("min"), about.get("max")
    limits: dict[str, Any] = {
        "min_value": None if low is None else cast(low),
        "max_value": None if high is None else cast(high),
    }
    value = None if default is None else cast(default)
    if not whole:
        limits["format"] = "%.6g"
        limits["step"] = _step(float(default)) if default else 0.01
    if optional:
        arguments = {**arguments, "placeholder": "automatic"}
    return st.number_input(label, value=value, **limits, **arguments)


def _step(value: float) -> float:
    """Return a step one decade below the value: 0.03 → 0.01."""
    step = 1.0
    while step > abs(value) / 2:
        step /= 10
    return step
