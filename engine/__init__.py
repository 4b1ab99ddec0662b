"""Starling's engine: store, imports, training rounds, maps, queries, exports. It knows nothing of the app."""

__version__ = "0.1.0"
