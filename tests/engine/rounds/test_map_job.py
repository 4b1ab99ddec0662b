import os

import pytest

from engine.rounds import map_job


@pytest.mark.parametrize(("cores", "expected"), [(12, 6), (40, 8), (1, 1), (None, 1)])
def test_where_the_system_has_no_affinity_the_cores_are_counted(monkeypatch, cores, expected):
    monkeypatch.delattr(os, "sched_getaffinity", raising=False)
    monkeypatch.setattr(os, "cpu_count", lambda: cores)
    assert map_job.threads() == expected


def test_only_the_cores_this_process_may_use_count(monkeypatch):
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0, 1, 2, 3}, raising=False)
    assert map_job.threads() == 2
