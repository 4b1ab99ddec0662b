"""Starts a worker for each queued round, watches it, and settles the round when it ends."""
