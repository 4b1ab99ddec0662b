"""Work in a process of its own beside the app: maps, checks, timings."""
