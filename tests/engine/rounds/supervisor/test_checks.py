"""What is refused before a round is planned."""

from __future__ import annotations

from typing import Any

import pytest

from engine.errors import ConfigError
from engine.rounds.supervisor.prepare import check_settings


@pytest.mark.parametrize(
    ("algorithm", "train", "cause"),
    [
        ("transductive", {"start": "frozen:efficientnet_lite0"}, "cannot start from the set's labels"),
        ("reduced_mpl", {"start": "frozen:hog"}, "cannot start from the set's labels"),
        ("pseudo_label", {"start": "frozen:nowhere"}, "no classifier of this name"),
        ("pseudo_label", {"start": "wrn_28_2"}, "labeled by frozen features"),
    ],
)
def test_a_start_that_cannot_be_is_refused(algorithm: str, train: dict[str, Any], cause: str) -> None:
    with pytest.raises(ConfigError, match=cause):
        check_settings(algorithm, {}, train)


@pytest.mark.parametrize("algorithm", ["pseudo_label", "meta_pseudo_labels", "fixmatch"])
def test_a_start_that_can_be_is_not(algorithm: str) -> None:
    check_settings(algorithm, {}, {"start": "frozen:efficientnet_lite0+hog"})
