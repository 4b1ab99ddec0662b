from __future__ import annotations

import gc
import sys
import types

import pytest

from app import garbage


def test_objects_of_modules_are_looked_at_once_and_those_imported_later_once_more(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    gc.unfreeze()
    monkeypatch.setattr(garbage, "_modules", 1)
    try:
        garbage.spare_modules()
        first = gc.get_freeze_count()
        assert first > 10_000
        assert len(gc.get_objects()) < 10_000
        kept = [[] for _ in range(5_000)]
        garbage.spare_modules()
        assert gc.get_freeze_count() < first + 1_000, "without a new module nothing is taken out"
        monkeypatch.setitem(sys.modules, "imported_later", types.ModuleType("imported_later"))
        garbage.spare_modules()
        assert gc.get_freeze_count() > first + len(kept) - 1_000
    finally:
        gc.unfreeze()
