"""Disputes: what payers' banks take back, acted on.

Exactly the disputed money is frozen when a dispute is told, leaves when it is lost, and is the
merchant's again when it is won; however often and in whatever order that is told.
"""
