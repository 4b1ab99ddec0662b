"""Training without storage: pools, the loop that yields, evaluation, calibration, checkpoints, devices."""
