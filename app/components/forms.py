"""Builds a form from the fields of a config dataclass: label, help, range and choices come from their metadata."""

from __future__ import annotations

import dataclasses
import typing
from collections.abc import Collection, Mapping, Sequence
from typing import Any

import streamlit as st

from engine.nets import net_name

RELEVANT: Mapping[str, tuple[str, str]] = {
    "rand_ops": ("strong", "rand_augment"),
    "rand_magnitude": ("strong", "rand_augment"),
    "refresh_every": ("refresh", "k_epochs"),
    "fairness": ("rule", "freematch"),
    "lowest": ("rule", "freematch"),
    "highest": ("rule", "freematch"),
    "n_sigma": ("rule", "softmatch"),
    "weights": ("net", net_name.TORCHVISION),
    "noise": ("net", net_name.FROZEN),
    "tuned_blocks": ("net", net_name.TUNED),
}
"""Fields that matter only while another field, where it is known, has a value that starts like this."""


def config_form(
    config: type,
    key: str,
    *,
    only: Collection[str] | None = None,
    suggestions: Mapping[str, Sequence[str]] | None = None,
    defaults: Mapping[str, Any] | None = None,
    known: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Draw one input a field of `config`, three in a row, and return the values by field name.

    Args:
        config: a dataclass whose fields carry metadata label, help, min, max, choices, and defaults.
        key: prefix of the widgets' keys; give another one with other `defaults`.
        only: draw these fields alone.
        suggestions: values to offer for a text field, which still takes any other; it has a row of its own.
        defaults: what fields start with instead of their own defaults.
        known: values of fields drawn elsewhere, on which the relevance of fields here depends.
    """
    hints = typing.get_type_hints(config)
    values: dict[str, Any] = {}
    wanted = [
        field
        for field in dataclasses.fields(config)
        if (only is None or field.name in only) and not field.metadata.get("hidden")
    ]
    narrow = 0
    for field in wanted:
        offered = (suggestions or {}).get(field.name, ())
        if not offered:
            if narrow % 3 == 0:
                columns = st.columns(3, vertical_alignment="bottom")
            place, narrow = columns[narrow % 3], narrow + 1
        else:
            place = st.container()
        own = dataclasses.MISSING if defaults is None else defaults.get(field.name, dataclasses.MISSING)
        default = field.default if own is dataclasses.MISSING else own
        matters = _matters(field.name, {**(known or {}), **values})
        with place:
            value = _widget(field, hints[field.name], default, f"{key}_{field.name}", (offered, not matters))
        values[field.name] = value if matters else field.default
    return values


def _matters(name: str, values: Mapping[str, Any]) -> bool:
    other, wanted = RELEVANT.get(name, ("", ""))
    return other not in values or str(values[other]).startswith(wanted)


def _widget(field: dataclasses.Field[Any], hint: Any, default: Any, key: str, look: tuple[Sequence[str], bool]) -> Any:
    """Draw the input of one field; `look` is what to offer besides free text, and whether it is out of use."""
    offered, disabled = look
    about = field.metadata
    label = about.get("label") or field.name.replace("_", " ").capitalize()
    default = None if default is dataclasses.MISSING else default
    arguments: dict[str, Any] = {"help": about.get("help"), "key": key, "disabled": disabled}
    kinds = {kind for kind in typing.get_args(hint) or (hint,) if kind is not type(None)}
    optional = type(None) in typing.get_args(hint)
    choices = about.get("choices") or (typing.get_args(hint) if typing.get_origin(hint) is typing.Literal else None)
    if choices:
        options = list(choices)
        index = options.index(default) if default in options else 0
        return st.selectbox(label, options, index=index, format_func=lambda one: one or "none", **arguments)
    if hint is bool:
        return st.checkbox(label, value=bool(default), **arguments)
    if kinds <= {int, float} and kinds:
        return _number(label, default, about, whole=kinds == {int}, optional=optional, arguments=arguments)
    if offered:
        known = list(dict.fromkeys([*offered, str(default)]))
        return st.selectbox(label, known, index=known.index(str(default)), accept_new_options=True, **arguments)
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
        arguments = {**arguments, "placeholder": "auto"}
    return st.number_input(label, value=value, **limits, **arguments)


def _step(value: float) -> float:
    """Return a step one decade below the value: 0.03 → 0.01."""
    step = 1.0
    while step > abs(value) / 2:
        step /= 10
    return step
