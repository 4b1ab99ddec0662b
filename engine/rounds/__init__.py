"""Training rounds: planned from the store, run by a worker process, watched by a thread in the app.

plan → thread (watch, process) → worker (session, finish; recorder, failures) → results, guard; follow for the
command line. This file imports nothing, so that `python -m engine.rounds.worker` gives its first sign of life
at once.
"""
