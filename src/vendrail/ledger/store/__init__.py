"""All of the ledger's SQL: whole batches over arrays, one function a statement or two.

Everyone takes locks in one order, so that batches wait for each other but never in a circle: the
journal's ids, then the pending transfers referred to, then the balances; each of them sorted.
"""
