"""Notify: messages out, once each; never stale, and not all at once after an outage.

A message is taken durably, sealed, and erased when it has left. Where a sender cannot tell whether
a message left before it was cut off, it is not sent again.
"""
