"""Judges a labeled set: suspected wrong labels, measured error bounds, and whether another round is worth it.

Works on arrays of labels and probabilities only; it knows neither the store nor the app.
"""
