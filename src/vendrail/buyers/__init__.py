"""Buyers' accounts: proven e-mail addresses, the sessions of browsers, and nothing that is needed.

Whoever buys as a guest is never here. An address is sealed and found by its keyed hash; codes and
tokens are kept as keyed hashes alone. An account that is deleted leaves nothing.
"""
