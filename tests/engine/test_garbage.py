"""Searches for garbage are put off, and come back as they were."""

from __future__ import annotations

import gc

import pytest

from engine import garbage


def test_no_search_runs_within_the_block_and_an_error_brings_them_back() -> None:
    searches = []
    gc.callbacks.append(lambda phase, info: searches.append(phase))
    try:
        with garbage.put_off():
            before = len(searches)
            kept = [[] for _ in range(20 * gc.get_threshold()[0])]
            assert len(searches) == before
        kept = [[] for _ in kept]
        assert len(searches) > before
        with pytest.raises(ValueError, match="damaged"), garbage.put_off():
            raise ValueError("damaged")
        assert gc.isenabled()
    finally:
        gc.callbacks.pop()


def test_a_block_within_another_and_a_process_without_searches_stay_without() -> None:
    with garbage.put_off():
        with garbage.put_off():
            pass
        assert not gc.isenabled()
    assert gc.isenabled()
