from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from torch import nn

from engine.algorithms.taught_start import TaughtStart
from engine.benchmarks import command, live, photo_rounds, run
from engine.benchmarks.options import Options
from engine.benchmarks.photo_decisions import Live, Seen, replay
from engine.benchmarks.photos import net_features, sets_in
from engine.errors import ConfigError
from engine.live.model import ImageSet
from engine.nets import frozen

TRUTH = np.arange(60) % 3


class Told:
    """Says what it was told to; keeps what it was given."""

    def __init__(self, wrong: list[int], strategy: str = "least_sure") -> None:
        self.strategy, self.features = strategy, np.random.default_rng(0).normal(size=(60, 4)).astype(np.float32)
        first = TRUTH.copy()
        first[wrong] = (first[wrong] + 1) % 3
        self.said = np.full((60, 3), 0.02, np.float32)
        self.said[np.arange(60), first] = 0.96
        self.said[wrong, first[wrong]] = 0.5
        self.given: list[tuple[list[int], list[int], int]] = []
        self.ready: list[list[int]] = []

    def fit(self, rows: NDArray[np.int64], labels: NDArray[np.int64], drawn: NDArray[np.bool_]) -> NDArray[np.float32]:
        self.given.append((rows.tolist(), labels.tolist(), int(drawn.sum())))
        return self.said

    def prepare(self, rows: NDArray[np.int64]) -> None:
        self.ready.append(rows.tolist())


def test_answers_to_wrong_images_count_one_by_one() -> None:
    labeler = Told([10, 20, 30, 40])
    played = replay(labeler, TRUTH, np.arange(3), per_fit=2, budget=20, target=1.0, seed=0)
    assert played.right.tolist() == pytest.approx([56 / 60, 57 / 60, 58 / 60, 59 / 60, 1.0])
    assert played.needed(0.98) == 3
    assert [len(rows) for rows, _, _ in labeler.given] == [3, 5, 7]
    assert sorted(labeler.given[-1][0][3:]) == [10, 20, 30, 40]
    assert labeler.ready == [labeler.given[1][0][3:], labeler.given[2][0][5:]]


def test_only_answers_in_the_random_order_are_told_as_such() -> None:
    wrong = list(range(3, 23))
    doubtful, by_chance = Told(wrong), Told(wrong, "random")
    for labeler in (doubtful, by_chance):
        replay(labeler, TRUTH, np.arange(3), per_fit=7, budget=21, target=1.0, seed=0)
    assert [count for _, _, count in doubtful.given] == [0, 0, 0, 0]
    assert [count for _, _, count in by_chance.given] == [0, 7, 14, 21]


def test_from_class_names_alone_the_first_answers_are_three_a_class_and_nothing_is_right_before() -> None:
    labeler = Told([])
    played = replay(labeler, TRUTH, np.zeros(0, np.int64), per_fit=5, budget=30, target=1.0, seed=0)
    assert played.right[:9].tolist() == pytest.approx([n / 60 for n in range(9)])
    assert played.right[9] == 1.0
    assert len(labeler.given[0][0]) == 9


def test_what_measures_is_a_decision_that_nothing_is_learned_from() -> None:
    labeler = Told(list(range(3, 43)))
    played = replay(labeler, TRUTH, np.arange(9), per_fit=8, budget=60, target=1.0, seed=0, measured=True)
    plain = Told(list(range(3, 43)))
    replay(plain, TRUTH, np.arange(9), per_fit=8, budget=60, target=1.0, seed=0)
    answers = len(played.right) - 1
    learned, learned_plainly = labeler.given[-1][0], plain.given[-1][0]
    assert len(learned) < len(learned_plainly)
    assert answers // 5 - 1 <= answers - (len(learned) - 9) <= 2 * (answers // 5) + 1, "and some labels leave it"
    assert all(len(set(rows)) == len(rows) for rows, _, _ in labeler.given)
    assert played.right[-1] == 1.0


def test_one_answer_in_five_at_random_is_learned_from_and_pushes_the_doubtful_back() -> None:
    labeler, plain = Told(list(range(3, 43))), Told(list(range(3, 43)))
    replay(labeler, TRUTH, np.arange(9), per_fit=8, budget=16, target=1.0, seed=0, one_random_in=5)
    replay(plain, TRUTH, np.arange(9), per_fit=8, budget=16, target=1.0, seed=0)
    asked, plainly = labeler.given[1][0][9:], plain.given[1][0][9:]
    assert asked[:4] == plainly[:4]
    assert asked[5:9] == plainly[4:8], "the fifth and the tenth come from chance"
    assert (len(asked), len(plainly)) == (9, 8)


def test_an_order_of_quick_rounds_that_is_unknown_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="Use least_sure"):
        command.run(Options("photos", tmp_path, set=("rounds_queue=luck",)))


def test_the_budget_ends_it() -> None:
    played = replay(Told([50, 51]), TRUTH, np.arange(3), per_fit=1, budget=1, target=1.0, seed=0)
    assert played.right.tolist() == pytest.approx([58 / 60, 59 / 60])
    assert played.needed(1.0) is None


def test_a_class_without_a_label_has_probability_0_for_all() -> None:
    features = np.random.default_rng(0).normal(size=(60, 6)).astype(np.float32)
    labeler = Live({"both": Seen(features, ImageSet.of(features))}, 3)
    rows = np.array([0, 3, 2, 5])  # classes 0 and 2
    probabilities = labeler.fit(rows, TRUTH[rows], np.zeros(4, np.bool_))
    assert probabilities.shape == (60, 3)
    assert (probabilities[:, 1] == 0).all()
    assert probabilities[2].tolist() == [0, 0, 1]


def test_live_labels_change_to_the_view_that_their_labels_choose() -> None:
    rng = np.random.default_rng(0)
    noise = rng.normal(size=(60, 6)).astype(np.float32)
    clear = (np.eye(6)[TRUTH] + 0.05 * rng.normal(size=(60, 6))).astype(np.float32)
    views = {name: Seen(rows, ImageSet.of(rows)) for name, rows in (("both", noise), ("centre", clear))}
    labeler = Live(views, 3)
    assert labeler.view == "both"
    few, more = np.arange(12), np.arange(15)
    labeler.fit(few, TRUTH[few], np.zeros(12, np.bool_))
    assert labeler.view == "both", "less than five labels a class do not choose"
    probabilities = labeler.fit(more, TRUTH[more], np.zeros(15, np.bool_))
    assert labeler.view == "centre"
    assert labeler.features is views["centre"].images.z
    assert (probabilities.argmax(1) == TRUTH).all()


def test_a_folder_of_sets_is_several_and_a_set_is_one(tmp_path: Path) -> None:
    for path in ("one/cat", "one/dog", "two/cup"):
        (tmp_path / path).mkdir(parents=True)
    assert sets_in(tmp_path) == [tmp_path / "one", tmp_path / "two"]
    assert sets_in(tmp_path / "one") == [tmp_path / "one"]


def test_joined_networks_stand_side_by_side_each_of_length_one(opened: list[str]) -> None:
    one, truth = net_features(Path(), "a")
    both, _ = net_features(Path(), "a+b")
    assert both.shape == (120, 16)
    np.testing.assert_allclose((both**2).sum(1), 2, rtol=1e-5)
    np.testing.assert_allclose(both[:, :8], one / one.norm(dim=1, keepdim=True), rtol=1e-5)
    assert truth.tolist() == [row % 4 for row in range(120)]


def test_photos_are_measured_by_all_methods_and_the_file_has_the_curves(opened: list[str], tmp_path: Path) -> None:
    out = tmp_path / "photos.json"
    small = ("labels=2,5", "budget=12", "per_round=6", "nets=a,a+b", "steps_per_epoch=2", "epochs=1", "net=linear")
    options = Options("photos", tmp_path, "2", "cpu", out, small)
    lines: list[str] = []
    shown = command.run(options, lines.append)
    rows = {f"{tmp_path.name}, {method}" for method in ("quick, a", "regression, a", "live, a", "live, a+b")}
    assert all(row in shown for row in rows)
    assert len(lines) == 10
    runs = json.loads(out.read_text())["runs"]
    assert all(run["more"]["accuracy at 5"] > 90 for run in runs if "live" in run["row"])
    assert all(run["value"] == 0 for run in runs if "live" in run["row"])
    assert {name for run in runs for name in run["right"]} == {"from 5 a class", "from zero"}
    again: list[str] = []
    command.run(Options("photos", tmp_path, "2", "cpu", out, small, resume=True), again.append)
    assert all("kept from the file" in line for line in again)


def test_an_unknown_view_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="both, centre, whole"):
        command.run(Options("photos", tmp_path, set=("views=left",)))


def test_an_unknown_order_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="least_sure"):
        command.run(Options("photos", tmp_path, set=("queue=luck",)))


def test_an_unknown_method_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="quick, regression, live"):
        command.run(Options("photos", tmp_path, set=("methods=guess",)))


@pytest.mark.parametrize("photos", [True, False])
def test_live_labels_are_timed(
    photos: bool, opened: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[int] = []
    body = nn.Flatten()
    body.register_forward_pre_hook(lambda _, inputs: seen.append(len(inputs[0])))
    monkeypatch.setattr(frozen, "load_frozen", lambda name, device: frozen.FrozenTrunk(name, body, 3 * 16 * 16, 16))
    out = tmp_path / "live.json"
    options = Options(
        "live", tmp_path if photos else None, "1", "cpu", out, ("sizes=300", "labels=3", "refits=3", "backbone=a")
    )
    shown = command.run(options)
    assert ("Gaussian" in shown) != photos
    (run,) = json.loads(out.read_text())["runs"]
    more = run["more"]
    assert more["same %, least"] >= 99.9
    assert ("network, ms an image" in more) == photos
    assert sum(seen) == (2 * live.EXTRACTED if photos else 0)
    assert all(more[name] > 0 for name in ("build s", "warm ms", "queue ms", "prepare ms", "add 1 ms", "set MB"))


def test_repeated_features_are_the_photos_themselves_and_then_noisy_copies(opened: list[str]) -> None:
    features, truth = live.many_features(Path(), "a", 300, 0.3, 0)
    own, _ = net_features(Path(), "a")
    assert {row.tobytes() for row in features[:120]} == {row.tobytes() for row in own.numpy()}
    assert not {row.tobytes() for row in features[120:]} & {row.tobytes() for row in own.numpy()}
    assert (features >= 0).all()
    assert (features[:, :4].argmax(1) == truth).all()


def test_rounds_that_start_from_the_set_are_compared_with_those_that_do_not(
    opened: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out, started = tmp_path / "rounds.json", []
    monkeypatch.setattr(run, "TaughtStart", lambda *given: started.append(given[0].start) or TaughtStart(*given))
    small = ("labels=2", "nets=a+b", "steps_per_epoch=2", "epochs=1", "start_steps=20", "net=linear")
    shown = photo_rounds.run(Options("photo-rounds", tmp_path, "1", "cpu", out, small), lambda _: None)
    runs = {one["row"].split(", ", 1)[1]: one for one in json.loads(out.read_text())["runs"]}
    assert {row.label for row in photo_rounds.ROUNDS} | {photo_rounds.SET, photo_rounds.ENSEMBLE} == set(runs)
    assert all(name in shown for name in runs)
    assert runs["the set alone"]["value"] > 90
    assert started == 3 * ["frozen:efficientnet_lite0"]
