"""Wallets: what buyers have paid in and not spent, and what the platform allows of it.

A wallet is the ledger's account `buyer:<id>:wallet`, which never falls below zero. Money that is
spent is reserved first, so many payments at once spend exactly what is there.
"""
