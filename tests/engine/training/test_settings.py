from __future__ import annotations

import dataclasses
import json
from typing import Any

import pytest

from engine.algorithms import ALGORITHMS
from engine.errors import ConfigError
from engine.training.config import TrainConfig
from engine.training.settings import settings_from, settings_to

CLASSES = [TrainConfig, *(spec.config for spec in ALGORITHMS.values())]


@pytest.mark.parametrize("cls", CLASSES)
def test_every_field_can_draw_its_own_form_element(cls: Any) -> None:
    for field in dataclasses.fields(cls):
        assert field.metadata["label"]
        assert field.metadata["help"]
        if isinstance(field.default, int | float) and not isinstance(field.default, bool):
            assert field.metadata["min"] <= field.default <= field.metadata["max"]
        if "choices" in field.metadata:
            assert field.default in field.metadata["choices"]


@pytest.mark.parametrize("cls", CLASSES)
def test_settings_survive_json(cls: Any) -> None:
    settings = cls()
    assert settings_from(cls, json.loads(json.dumps(settings_to(settings)))) == settings


@pytest.mark.parametrize(
    "bad",
    [
        {"epochs": 0},
        {"epochs": 2.5},
        {"epochs": True},
        {"learning_rate": float("nan")},
        {"learning_rate": "fast"},
        {"augment": "mixup"},
        {"net": "alexnet"},
        {"net": "simple_cnn", "weights": "DEFAULT"},
        {"image_size": 3},
        {"ema_decay": 1.0},
    ],
)
def test_a_value_outside_its_range_is_refused(bad: dict[str, Any]) -> None:
    with pytest.raises(ConfigError):
        TrainConfig(**bad)


def test_an_unknown_setting_is_refused_by_name() -> None:
    with pytest.raises(ConfigError, match="epoch_count"):
        settings_from(TrainConfig, {"epoch_count": 3})


def test_a_whole_number_is_taken_for_a_float_field() -> None:
    assert TrainConfig(learning_rate=1).learning_rate == 1.0
    assert type(TrainConfig(learning_rate=1).learning_rate) is float
