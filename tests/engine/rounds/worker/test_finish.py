import pytest
import torch

from engine.records.rounds import AblationFigures, HeldoutFigures
from engine.rounds.worker import finish

LABELS = torch.tensor([0, 1, 0, 1, 0, 1, 0, 1])
FIGURES = HeldoutFigures(8, 3, 0.375, 0.1, 0.7, "x")


def test_a_round_and_its_ablation_are_counted_image_by_image():
    # right: main on images 0..5, ablation on 0, 1 and 6
    main = [0, 1, 0, 1, 0, 1, 1, 0]
    other = [0, 1, 1, 0, 1, 0, 0, 0]
    found = finish.compared(FIGURES, other, main, LABELS)
    # 5 images differ, 4 for the round: 2·(C(5,4) + C(5,5)) / 2⁵ = 12/32
    assert found == AblationFigures(FIGURES, 2, 4, 1, pytest.approx(0.375))


def test_equal_predictions_show_nothing():
    found = finish.compared(FIGURES, LABELS.tolist(), LABELS.tolist(), LABELS)
    assert (found.both_right, found.only_main, found.only_ablation, found.p_value) == (8, 0, 0, 1.0)


def test_without_held_out_images_the_counts_are_zero():
    found = finish.compared(HeldoutFigures(), [], [], LABELS[:0])
    assert (found.both_right, found.only_main, found.only_ablation, found.p_value) == (0, 0, 0, 1.0)
