"""All SQL of payouts."""

from vendrail.kernel.db import Database, Row, Transaction

__all__ = ["Database", "Row", "Transaction"]  # What the rooms of this service may touch of it.
