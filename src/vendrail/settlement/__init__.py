"""Settlement: whose money it is. Owns fee terms and the fate of refunds; the ledger owns the sums.

Every movement's id derives from the order, capture or refund it belongs to, so that doing a thing
again moves nothing. A sale is split to the minor unit in one ledger call and no commit of its own.
"""
