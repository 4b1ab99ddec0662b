"""Chooses which images a person should look at next.

To add a strategy: one file, one line in QUERY_STRATEGIES, one test.
"""

from __future__ import annotations

from engine.query.ranking import rank, why
from engine.query.strategies import QUERY_STRATEGIES, Strategy

__all__ = ["QUERY_STRATEGIES", "Strategy", "rank", "why"]
