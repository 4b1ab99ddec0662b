"""The upload box component."""
