import numpy as np
import pytest

from engine.errors import MapError
from engine.maps.neighbours import nearest, one_nn_accuracy, overlap, recall

LINE = np.array([[0.0], [1.0], [3.0], [7.0], [8.0]])


def test_nearest_come_in_order_without_the_row_itself():
    rows, distances = nearest(LINE, 2, 3)
    assert rows.tolist() == [1, 0, 3]
    assert distances.tolist() == [2, 3, 4]


def test_ties_come_by_row_number_and_fewer_where_there_are_fewer():
    assert nearest(np.zeros((4, 2)), 2, 2)[0].tolist() == [0, 1]
    assert nearest(LINE, 0, 99)[0].tolist() == [1, 2, 3, 4]
    assert nearest(LINE[:1], 0, 3)[0].tolist() == []
    with pytest.raises(MapError, match="no such image"):
        nearest(LINE, 5, 1)


def test_nearest_reads_more_rows_than_a_block_holds():
    rows = np.random.default_rng(0).normal(size=(20_000, 3)).astype(np.float32)
    expected = np.argsort(((rows - rows[19_000]) ** 2).sum(1))[1:6]
    assert nearest(rows, 19_000, 5)[0].tolist() == expected.tolist()


def test_recall_is_the_share_of_neighbours_kept():
    assert recall(LINE, np.hstack([LINE, LINE]), 2) == 1.0
    # nearest in features: 1 0 1 4 3; on the map, where the third lies beyond the last: 1 0 4 4 3
    moved = np.array([[0.0, 0], [1, 0], [9.5, 0], [7, 0], [8, 0]])
    assert recall(LINE, moved, 1) == pytest.approx(4 / 5)


def test_recall_of_a_sample_agrees_with_that_of_all():
    rng = np.random.default_rng(1)
    rows = rng.normal(size=(3000, 8))
    xy = rows[:, :2]
    whole = recall(rows, xy, 10)
    assert recall(rows, xy, 10, sample=1500) == pytest.approx(whole, abs=0.02)
    assert recall(rows, xy, 10, sample=300) == recall(rows, xy, 10, sample=300)
    assert 0.005 < whole < 0.2


def test_overlap_is_told_row_by_row():
    found = overlap(LINE, np.array([[0.0], [1.0], [9.5], [7.0], [8.0]]), 1)
    assert found.tolist() == [1, 1, 0, 1, 1]


def test_one_nearest_neighbour_leaves_the_row_itself_out():
    assert one_nn_accuracy(LINE, np.array(["a", "a", "b", "b", "b"])) == pytest.approx(4 / 5)


def test_equal_rows_do_not_confuse_a_row_with_itself():
    xy = np.zeros((6, 2))
    assert one_nn_accuracy(xy, np.array([1, 1, 1, 1, 1, 1])) == 1.0
    assert recall(np.zeros((6, 5)), xy, 2) <= 1.0


@pytest.mark.parametrize("k", [0, 5])
def test_impossible_comparisons_are_refused(k):
    with pytest.raises(MapError, match="cannot be compared"):
        recall(LINE, LINE, k)
    with pytest.raises(MapError, match="5 and 4 rows"):
        overlap(LINE, LINE[:4], 1)


def by_table(points, k):
    """The k nearest others of each row, by the full table of distances."""
    distance = np.linalg.norm(points[:, None].astype(float) - points[None], axis=2)
    np.fill_diagonal(distance, np.inf)
    return [set(row[:k].tolist()) for row in distance.argsort(axis=1, kind="stable")]


def test_nearest_agrees_with_the_full_table_block_by_block_from_a_file_of_half_floats(tmp_path, monkeypatch):
    points = np.random.default_rng(0).normal(size=(50, 7)).astype(np.float16)
    np.save(tmp_path / "f.npy", points)
    monkeypatch.setattr("engine.maps.neighbours._BLOCK", 8)
    mapped = np.load(tmp_path / "f.npy", mmap_mode="r")
    table = by_table(points, 12)
    for row in (0, 7, 8, 49):
        rows, distances = nearest(mapped, row, 12)
        assert set(rows.tolist()) == table[row]
        expected = np.linalg.norm(points[rows].astype(float) - points[row], axis=1)
        np.testing.assert_allclose(distances, expected, rtol=1e-5)
        assert (rows.dtype, distances.dtype) == (np.int64, np.float32)


def test_a_twin_is_the_nearest_and_a_row_below_zero_is_refused():
    rows, distances = nearest(np.array([[5.0], [4], [6], [5], [1], [9]]), 0, 4)
    assert rows.tolist() == [3, 1, 2, 4]  # the twin, both at 1, and of both at 4 the first
    assert distances.tolist() == [0, 1, 1, 4]
    with pytest.raises(MapError, match="no such image"):
        nearest(LINE, -1, 1)


def test_ten_neighbours_in_many_dimensions_agree_with_the_full_table():
    rng = np.random.default_rng(1)
    rows = rng.normal(size=(120, 30)).astype(np.float32)
    xy = rows[:, :2] + rng.normal(0, 0.1, (120, 2))
    shares = [len(a & b) / 10 for a, b in zip(by_table(rows, 10), by_table(xy, 10), strict=True)]
    np.testing.assert_allclose(overlap(rows, xy), shares)
    assert recall(rows, xy) == pytest.approx(np.mean(shares))
    assert recall(rows.astype(np.float16), rows) > 0.95


def test_a_sample_is_of_random_rows_by_the_seed():
    rng = np.random.default_rng(2)
    rows, xy = rng.normal(size=(300, 8)), rng.normal(size=(300, 2))
    xy[:150] = rows[:150, :2] * 100  # the halves are kept differently well
    shares = overlap(rows, xy)
    found = [recall(rows, xy, sample=40, seed=seed) for seed in range(20)]
    assert len(set(found)) > 5
    assert np.mean(found) == pytest.approx(shares.mean(), abs=0.02)
    assert recall(rows, xy, sample=999) == pytest.approx(shares.mean())
    assert recall(rows, xy, sample=1) in set(shares.tolist())


@pytest.mark.parametrize("width", [2, 9])  # by a tree and by the table
def test_equal_rows_are_neighbours_of_each_other_and_none_of_itself(width):
    rows = np.ones((6, width), np.float32)
    np.testing.assert_array_equal(overlap(rows, np.arange(6.0)[:, None], k=5), 1.0)
    assert one_nn_accuracy(rows, np.arange(6)) == 0.0  # a row beside itself would make it more


def test_labels_of_another_number_of_rows_are_refused():
    for n, m in ((1, 1), (3, 2)):
        with pytest.raises(MapError, match="cannot be compared"):
            one_nn_accuracy(LINE[:n], np.zeros(m))
