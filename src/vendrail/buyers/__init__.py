"""Buyers' accounts: proven e-mail addresses, the sessions of browsers, and nothing that is needed.

Whoever buys as a guest is never here. An address is sealed and found by its keyed hash; codes,
challenges and tokens are kept as keyed hashes alone, of passkeys their public halves. An account
that is deleted leaves nothing.
"""
