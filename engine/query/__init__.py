"""Chooses which images a person should look at next.

To add a strategy: one file, one line in QUERY_STRATEGIES, one test.
"""

from __future__ import annotations

from engine.query.order import random_order
from engine.query.pick import available, pick
from engine.query.pool import Picks, Pool
from engine.query.strategies import QUERY_STRATEGIES, Strategy

__all__ = ["QUERY_STRATEGIES", "Picks", "Pool", "Strategy", "available", "pick", "random_order"]
