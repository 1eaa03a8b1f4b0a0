"""Vendrail: the payment and settlement system for key-selling marketplaces."""

__version__ = "0.1.0"
