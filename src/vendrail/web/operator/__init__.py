"""The operator's console: what waits for a person, what was paid, who may do what, what was done.

Everything that changes something is a deed: it wants a reason, is in the log before it is done, and
above a limit is done only when a second person has said yes.
"""
