"""One model for few labels, fitted anew within the blink of an eye after every few answers; no torch.

features → `space` (coordinates) → `graph` (neighbours) → `model` (prior, rounds) → `refit` (warm start, added images).
The transductive algorithm of `engine.algorithms` is the same model as a round.
"""
