"""The payment providers, emulated as strictly as the real ones.

The sandbox owns a platform key pair, the merchant applications registered with it and their trades.
It verifies every request, signs every reply and notification, lets a person pay on a wallet page,
and makes the mistakes a provider makes, on demand. It knows nothing of the rest of Vendrail: its
signing code is written apart from the payments service, so that each checks the other.
"""
