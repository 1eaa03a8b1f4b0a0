"""Webhooks: merchants' programs hear of what happens, once each event, signed, in time.

What happened is read from the events of other services, and kept for merchants who have an
endpoint and for nobody else. Each endpoint has its own turn and its own bound: one that does not
answer holds up nobody but itself. What it has not heard is told again, ever more slowly, and
dropped with a reason once it is too old to be of use.
"""
