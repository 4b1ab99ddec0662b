"""What a round's folder holds: the contract of the worker that writes it and of all who read it."""
