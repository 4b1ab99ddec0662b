"""Keeps Streamlit's collection of garbage, which follows every run of a page and halts all threads, short."""

from __future__ import annotations

import atexit
import gc
import sys

_modules = 0


def spare_modules() -> None:
    """Take what imported modules hold, nearly all objects of this process, out of the collections to come.

    Done anew when modules have been imported since: looking at those of torch, pandas and plotly takes a third of a
    second each time. What is no longer referred to is freed as before; only cycles made before this are not.
    """
    global _modules
    if len(sys.modules) == _modules:
        return
    if not _modules:
        atexit.register(gc.unfreeze)  # else libraries complain at the end that their objects are still there
    _modules = len(sys.modules)
    gc.collect()
    gc.freeze()
