"""Benches: each on a database of its own, its result checked after the clock, a reference beside it."""
