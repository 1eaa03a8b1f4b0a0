"""Compliance: who merchants are, looked at by people, and which tier they sell in by that.

What merchants tell and show is sealed, read by their owners and by who decides, and deleted when
its time is over. A tier is whatever was accepted and has not expired: nothing else is kept of it.
"""
