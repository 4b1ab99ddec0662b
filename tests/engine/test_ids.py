"""Rows of ids among ids."""

from __future__ import annotations

import numpy as np

from engine.ids import id_array, row_of, rows_of

AMONG = np.array([2, 5, 9])


def test_rows_of_ids_that_are_there_and_of_those_that_are_not() -> None:
    rows, known = rows_of(np.array([9, 1, 5, 12]), AMONG)
    assert known.tolist() == [True, False, True, False]
    assert rows[known].tolist() == [2, 1]
    assert ((rows >= 0) & (rows < 3)).all()  # a lookup with any of them does not fail


def test_among_no_ids_none_is_there() -> None:
    rows, known = rows_of(np.array([1, 2]), AMONG[:0])
    assert not known.any()
    assert len(rows) == 2
    assert row_of(2, AMONG[:0]) is None


def test_the_row_of_one_id() -> None:
    assert [row_of(image_id, AMONG) for image_id in (1, 2, 9, 10)] == [None, 0, 2, None]


def test_a_set_of_ids_becomes_an_array() -> None:
    assert sorted(id_array({4, 1}).tolist()) == [1, 4]
    assert id_array([]).dtype == np.int64
