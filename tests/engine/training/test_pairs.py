"""Values given as `--set name=value`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import pytest

from engine.errors import ConfigError
from engine.training.pairs import parse


@dataclass
class _Train:
    epochs: int = 1
    rate: float = 0.1
    size: int | None = None
    baseline: bool = True


@dataclass
class _Algorithm:
    schedule: Literal["joint", "interleaved"] = "joint"
    alpha: float = 3.0


def test_values_go_to_the_config_that_has_the_field_with_its_type() -> None:
    train, algorithm = parse(
        ["epochs=30", "rate=1", "size=auto", "baseline=no", "schedule=interleaved", "alpha=2.5"],
        _Train,
        _Algorithm,
    )
    assert train == {"epochs": 30, "rate": 1.0, "size": None, "baseline": False}
    assert type(train["rate"]) is float
    assert algorithm == {"schedule": "interleaved", "alpha": 2.5}


@pytest.mark.parametrize("pair", ["epochs", "depth=3"])
def test_unknown_setting_names_the_known_ones(pair: str) -> None:
    with pytest.raises(ConfigError, match=r"Known: .*epochs.*schedule") as caught:
        parse([pair], _Train, _Algorithm)
    assert caught.value.value == pair


@pytest.mark.parametrize(("pair", "kind"), [("epochs=many", "int"), ("alpha=x", "float"), ("baseline=perhaps", "bool")])
def test_value_of_the_wrong_type_is_refused(pair: str, kind: str) -> None:
    with pytest.raises(ConfigError, match=kind):
        parse([pair], _Train, _Algorithm)
