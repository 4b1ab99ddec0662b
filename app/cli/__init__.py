"""The command `starling`."""
