"""Notify: messages out, once each; never stale, and not all at once after an outage.

What somebody asked for (a code, a link) is taken durably, sealed, and erased when it has left. What
happened (an order was delivered, money went back) is read from the events of orders, and its letter
is written as it leaves, from what is so then. Where a sender cannot tell whether a message left
before it was cut off, it is not sent again by itself.
"""
