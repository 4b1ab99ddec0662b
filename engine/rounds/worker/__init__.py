"""The process that trains one round and writes its folder: `python -m engine.rounds.worker ROUND_DIR`."""
