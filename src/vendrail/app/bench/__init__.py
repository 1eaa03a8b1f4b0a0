"""Benches: each on a database of its own, its result checked, a reference beside it."""
