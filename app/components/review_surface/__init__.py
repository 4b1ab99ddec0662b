"""The review surface component."""
