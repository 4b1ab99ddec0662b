import os

import pytest

from engine.jobs import fixed_map_work


@pytest.mark.parametrize(("cores", "expected"), [(12, 6), (40, 8), (1, 1), (None, 1)])
def test_where_the_system_has_no_affinity_the_cores_are_counted(monkeypatch, cores, expected):
    monkeypatch.delattr(os, "sched_getaffinity", raising=False)
    monkeypatch.setattr(os, "cpu_count", lambda: cores)
    assert fixed_map_work.threads() == expected


def test_only_the_cores_this_process_may_use_count(monkeypatch):
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0, 1, 2, 3}, raising=False)
    assert fixed_map_work.threads() == 2


def test_the_share_done_never_falls_from_one_kind_of_work_to_the_next(tmp_path):
    recorder = fixed_map_work.Recorder(tmp_path)
    shares = []
    for stage, done in [("Reading", 0), ("Reading", 10), ("Looking", 0), ("Looking", 10)]:
        recorder.written = 0.0
        recorder.step(stage, done, 10)
        shares.append(recorder.fraction)
    assert shares == [0.0, 0.2, 0.2, 0.2]
    assert recorder.stage == "Looking"
