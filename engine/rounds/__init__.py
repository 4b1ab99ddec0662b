"""Training rounds: a folder, the worker that writes it, and the supervisor that starts workers and watches them.

supervisor (prepare, thread, watch, process; follow) → worker (session; material, recorder, finish, guard, failures) →
folder (files, plan, events, lock, results). This file imports nothing, so that `python -m engine.rounds.worker` gives
its first sign of life at once.
"""
