"""Routing: which channel takes a payment, by expected success, cost, limits and health. Pure."""
