import os
import sys
import threading
import time
from concurrent.futures import CancelledError
from pathlib import Path
from typing import Any

import pytest

from engine.errors import ImportRefused
from engine.images import pool as pool_module
from engine.images.pool import ChildLimits, DecodePool
from tests.engine.images.image_samples import encoded, solid

FAULTY = """
import json, os, sys, time
for line in sys.stdin:
    for job in json.loads(line):
        if "crash" in job["path"]:
            os.kill(os.getpid(), 9)
        if "hang" in job["path"]:
            time.sleep(600)
        if "babble" in job["path"]:
            print("no json", flush=True)
        print(json.dumps({"ok": job["path"]}), flush=True)
"""


def job(path: Path | str, thumb: Path | None = None) -> dict[str, Any]:
    return {"op": "inspect", "path": str(path), "thumb": None if thumb is None else str(thumb), "sha256": "0" * 64}


def faulty(tmp_path: Path, workers: int = 1, seconds: float = 20.0) -> DecodePool:
    script = tmp_path / "faulty.py"
    script.write_text(FAULTY)
    return DecodePool(workers, ChildLimits(seconds=seconds), (sys.executable, str(script)))


def test_answers_come_in_order_and_thumbnails_are_written(tmp_path: Path) -> None:
    jobs = []
    for number in range(150):
        path = tmp_path / f"{number}.png"
        path.write_bytes(encoded(solid(number, (number + 1, 3))))
        jobs.append(job(path, tmp_path / f"{number}.webp"))
    with DecodePool(2) as pool:
        answers = list(pool.run(jobs))
    assert [answer["width"] for _, answer in answers] == list(range(1, 151))
    assert (tmp_path / "149.webp").read_bytes()[8:12] == b"WEBP"


def test_an_image_beyond_the_memory_limit_is_refused_alone(tmp_path: Path) -> None:
    small, large = tmp_path / "small.png", tmp_path / "large.png"
    small.write_bytes(encoded(solid(1)))
    large.write_bytes(encoded(solid((1, 2, 3), (7000, 7000), "RGB"), compress_level=1))  # 147 MB as RGB
    with DecodePool(1, ChildLimits(memory_mb=200)) as pool:
        answers = [answer for _, answer in pool.run([job(small), job(large), job(small)])]
    assert "memory" in answers[1]["error"]
    assert [answers[0]["format"], answers[2]["format"]] == ["PNG", "PNG"]
    with DecodePool(1) as pool:
        assert next(pool.run([job(large)]))[1]["width"] == 7000


def test_a_file_that_kills_the_child_is_refused_alone(tmp_path: Path) -> None:
    names = ["a", "crash-1", "b", "crash-2", "c"]
    with faulty(tmp_path) as pool:
        answers = [answer for _, answer in pool.run([job(name) for name in names])]
    assert [answer.get("ok") for answer in answers] == ["a", None, "b", None, "c"]
    assert "broke the decoder" in answers[1]["error"]


def test_a_file_that_hangs_the_child_is_refused_after_the_time_limit(tmp_path: Path) -> None:
    with faulty(tmp_path, seconds=2.0) as pool:
        answers = [answer for _, answer in pool.run([job("a"), job("hang"), job("b")])]
    assert [answer.get("ok") for answer in answers] == ["a", None, "b"]
    assert "too long" in answers[1]["error"]


def test_a_child_that_does_not_keep_to_the_protocol_is_replaced(tmp_path: Path) -> None:
    with faulty(tmp_path) as pool:
        answers = [answer for _, answer in pool.run([job("babble"), job("b")])]
    assert "error" in answers[0]
    assert answers[1] == {"ok": "b"}


def test_too_many_breakdowns_refuse_the_import(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pool_module, "BREAKDOWNS", 3)
    with faulty(tmp_path) as pool, pytest.raises(ImportRefused, match="Too many files"):
        list(pool.run([job(f"crash-{number}") for number in range(5)]))


def test_closing_does_not_wait_for_a_hanging_child(tmp_path: Path) -> None:
    pool = faulty(tmp_path, seconds=600)
    outcome: list[str] = []

    def use() -> None:
        try:
            list(pool.run([job("hang"), job("a")]))
        except CancelledError:
            outcome.append("cancelled")

    running = threading.Thread(target=use)
    running.start()
    time.sleep(1.0)
    started = time.monotonic()
    pool.close()
    running.join(10)
    assert outcome == ["cancelled"]
    assert time.monotonic() - started < 10


def test_jobs_are_drawn_only_a_few_batches_ahead(tmp_path: Path) -> None:
    drawn = []

    def jobs() -> Any:
        for number in range(5000):
            drawn.append(number)
            yield job("a")

    with faulty(tmp_path) as pool:
        results = pool.run(jobs())
        next(results)
        assert len(drawn) < 1000
        results.close()  # type: ignore[attr-defined]


def test_children_are_gone_after_close(tmp_path: Path) -> None:
    pool = faulty(tmp_path)
    list(pool.run([job("a")]))
    pids = [child._process.pid for child in pool._children]
    pool.close()
    assert len(pids) == 1
    with pytest.raises(ProcessLookupError):
        os.kill(pids[0], 0)
