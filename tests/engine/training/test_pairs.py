"""Values given as `--set name=value`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
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


@dataclass
class _Other:
    epochs: int = 5
    alpha: int = 1


@dataclass
class _Wide:
    alpha: int = 1
    project: Path | None = None


def test_values_go_to_the_config_that_has_the_field_with_its_type() -> None:
    train, algorithm = parse(
        ["epochs=30", "rate=1", "size=auto", "baseline=no", "schedule=interleaved", "alpha=2.5"],
        {"train": _Train, "own": _Algorithm},
    )
    assert train == {"epochs": 30, "rate": 1.0, "size": None, "baseline": False}
    assert type(train["rate"]) is float
    assert algorithm == {"schedule": "interleaved", "alpha": 2.5}


def test_what_none_of_the_first_has_goes_to_every_other_that_has_it_as_its_own_type() -> None:
    train, one, other = parse(
        [" alpha = 2", "epochs=3", "project=some/where"], {"train": _Train}, {"one": _Algorithm, "other": _Wide}
    )
    assert (train, one, other) == ({"epochs": 3}, {"alpha": 2.0}, {"alpha": 2, "project": Path("some/where")})
    assert (type(one["alpha"]), type(other["alpha"])) == (float, int)


def test_a_group_says_whose_setting_is_meant() -> None:
    train, own = parse(["train.epochs=30", "own.epochs=7", "own.alpha=2"], {"train": _Train, "own": _Other})
    assert (train, own) == ({"epochs": 30}, {"epochs": 7, "alpha": 2})
    train, one, other = parse(["other.alpha=2", "one.alpha=1"], {"train": _Train}, {"one": _Algorithm, "other": _Other})
    assert (train, one, other) == ({}, {"alpha": 1.0}, {"alpha": 2})


@pytest.mark.parametrize("every", [False, True], ids=["one algorithm", "several"])
def test_a_name_that_training_and_an_algorithm_share_needs_its_group_and_both_spellings_are_told(every: bool) -> None:
    groups: list[dict[str, type]] = [{"train": _Train}, {"own": _Other}]
    given = groups if every else [groups[0] | groups[1]]
    with pytest.raises(ConfigError, match=r"Write train\.epochs=30 or own\.epochs=30\.") as caught:
        parse(["epochs=30"], *given)
    assert caught.value.value == "epochs=30"


@pytest.mark.parametrize("pair", ["epochs", "depth=3", "other.epochs=3", "own.epochs=3", "=3", "train.=3"])
def test_unknown_setting_names_the_known_ones_and_the_groups(pair: str) -> None:
    with pytest.raises(ConfigError, match=r"Known: .*epochs.*schedule.*groups: train, own") as caught:
        parse([pair], {"train": _Train, "own": _Algorithm})
    assert caught.value.value == pair


@pytest.mark.parametrize(
    ("pair", "needs"),
    [
        ("epochs=many", "a whole number"), ("epochs=1.5", "a whole number"), ("size=large", "a whole number"),
        ("alpha=x", "a number"), ("baseline=perhaps", "on or off"),
    ],
)  # fmt: skip
def test_a_value_of_another_type_is_refused_with_what_the_setting_needs(pair: str, needs: str) -> None:
    with pytest.raises(ConfigError, match=f"It needs {needs}") as caught:
        parse([pair], {"train": _Train, "own": _Algorithm})
    assert caught.value.value == pair
