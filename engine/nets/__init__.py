"""Networks by name, each a trunk that gives features and a linear head, and the averaged copy."""
