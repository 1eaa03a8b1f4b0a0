"""Promotions: coupons, held with orders and never used more often than their merchant says.

A hold is a row that counts; it becomes a use when its order is paid, and comes back when the order
ends unpaid or all of its money goes back. Codes are derived from our key and kept nowhere.
"""
