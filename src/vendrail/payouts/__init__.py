"""Payouts: merchants' money leaves the platform, exactly once.

Owns payees and payouts. Promises that never more goes out than the balance and the channel's
reserve have, that what is unknown is asked again and never sent anew, and that what comes back is
the merchant's again.
"""
