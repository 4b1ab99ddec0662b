"""Benchmarks of the whole product on a project of its own."""
