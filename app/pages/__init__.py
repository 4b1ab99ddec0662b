"""One file a page; a page reaches the project through its desks, and imports neither torch nor SQL."""
