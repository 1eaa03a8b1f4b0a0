"""Passkeys (WebAuthn), for each service that signs somebody in by them."""

from vendrail.kernel.passkeys.ceremonies import (
    Claim,
    Made,
    Site,
    check_made,
    check_proof,
    clean_name,
    is_counter_good,
    make_options,
    new_challenge,
    prove_options,
    read_claim,
    read_site,
)
from vendrail.kernel.passkeys.rows import PasskeyRows

__all__ = [
    "Claim",
    "Made",
    "PasskeyRows",
    "Site",
    "check_made",
    "check_proof",
    "clean_name",
    "is_counter_good",
    "make_options",
    "new_challenge",
    "prove_options",
    "read_claim",
    "read_site",
]
