"""The map component."""
