"""Channels: one file per provider, found by entry points, so that others can ship theirs."""
