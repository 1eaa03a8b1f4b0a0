"""WebAuthn: what browsers are asked for, and whether what they answer is true. Pure.

What comes from a browser is anybody's invention, and the library raises more than its own errors
over it: whatever cannot be read or does not hold is None.
"""

import secrets
from collections.abc import Sequence

import webauthn
from webauthn.helpers import (
    parse_authentication_credential_json,
    parse_client_data_json,
    parse_registration_credential_json,
)
from webauthn.helpers.structs import (
    AuthenticatorSelectionCriteria,
    PublicKeyCredentialDescriptor,
    ResidentKeyRequirement,
    UserVerificationRequirement,
)

from vendrail.kernel.codec import Record
from vendrail.kernel.http import key_domain

_PREFERRED = UserVerificationRequirement.PREFERRED
_REQUIRED = UserVerificationRequirement.REQUIRED
_CHALLENGE_BYTES = 32
_NAME_LENGTH_MAX = 60
CREDENTIAL_LENGTH_MAX = 16_384
_CREDENTIAL_ID_BYTES_MAX = 1_023  # As WebAuthn bounds them.


class Site(Record, frozen=True):
    """What passkeys are bound to."""

    domain: str
    origin: str


class Claim(Record, frozen=True):
    """What an answer says of itself: nothing of it is proven yet."""

    challenge: bytes
    credential_id: bytes
    owner: bytes | None  # Whose key it is, as the device has it; None: it does not say.


class Made(Record, frozen=True):
    """A passkey that a device has made."""

    credential_id: bytes
    public_key: bytes
    sign_count: int


def read_site(public_url: str) -> Site | None:
    """Give what passkeys are bound to; None: browsers make none for such an address."""
    domain = key_domain(public_url)
    scheme, _, rest = public_url.partition("://")
    authority = rest.split("/", 1)[0].lower()
    port = {"https": ":443", "http": ":80"}.get(scheme, "")
    return Site(domain, f"{scheme}://{authority.removesuffix(port)}") if domain else None


def new_challenge() -> bytes:
    """Make what a device is to sign: nobody guesses it, and nobody has signed it before."""
    return secrets.token_bytes(_CHALLENGE_BYTES)


def make_options(
    site: Site,
    name: str,
    challenge: bytes,
    owner: tuple[bytes, str],
    others: Sequence[bytes],
    wait_s: int,
    *,
    is_verified: bool = False,
) -> str:
    """Ask for a new passkey that finds its account by itself; devices that have one decline.

    `is_verified`: the device must know that it is its owner who holds it.
    """
    id, email = owner
    options = webauthn.generate_registration_options(
        rp_id=site.domain,
        rp_name=name,
        user_id=id,
        user_name=email,
        challenge=challenge,
        timeout=wait_s * 1000,
        authenticator_selection=AuthenticatorSelectionCriteria(
            resident_key=ResidentKeyRequirement.REQUIRED,
            user_verification=_REQUIRED if is_verified else _PREFERRED,
        ),
        exclude_credentials=[PublicKeyCredentialDescriptor(id=each) for each in others],
    )
    return webauthn.options_to_json(options)


def prove_options(
    site: Site,
    challenge: bytes,
    wait_s: int,
    allowed: Sequence[bytes] = (),
    *,
    is_verified: bool = False,
) -> str:
    """Ask for one of some passkeys, or any of the site: the device knows whose it is."""
    options = webauthn.generate_authentication_options(
        rp_id=site.domain,
        challenge=challenge,
        timeout=wait_s * 1000,
        allow_credentials=[PublicKeyCredentialDescriptor(id=each) for each in allowed],
        user_verification=_REQUIRED if is_verified else _PREFERRED,
    )
    return webauthn.options_to_json(options)


def read_claim(credential: str, *, is_new: bool) -> Claim | None:
    """Read what an answer says of itself."""
    if len(credential) > CREDENTIAL_LENGTH_MAX:
        return None
    try:
        if is_new:
            made = parse_registration_credential_json(credential)
            client = parse_client_data_json(made.response.client_data_json)
            return Claim(client.challenge, made.raw_id, None)
        shown = parse_authentication_credential_json(credential)
        client = parse_client_data_json(shown.response.client_data_json)
        return Claim(client.challenge, shown.raw_id, shown.response.user_handle)
    except Exception:  # noqa: BLE001  # Anybody's invention: see above.
        return None


def check_made(
    credential: str, challenge: bytes, site: Site, *, is_verified: bool = False
) -> Made | None:
    """Check a new passkey: made for this challenge, on a page of this site."""
    try:
        found = webauthn.verify_registration_response(
            credential=credential,
            expected_challenge=challenge,
            expected_rp_id=site.domain,
            expected_origin=site.origin,
            require_user_verification=is_verified,
        )
    except Exception:  # noqa: BLE001  # Anybody's invention: see above.
        return None
    is_fitting = len(found.credential_id) <= _CREDENTIAL_ID_BYTES_MAX
    made = Made(found.credential_id, found.credential_public_key, found.sign_count)
    return made if is_fitting else None


def check_proof(
    credential: str, challenge: bytes, site: Site, public_key: bytes, *, is_verified: bool = False
) -> int | None:
    """Check an answer by its passkey's public half; give the counter that the device signed."""
    try:
        found = webauthn.verify_authentication_response(
            credential=credential,
            expected_challenge=challenge,
            expected_rp_id=site.domain,
            expected_origin=site.origin,
            credential_public_key=public_key,
            credential_current_sign_count=0,  # Ours to judge, once the signature holds.
            require_user_verification=is_verified,
        )
    except Exception:  # noqa: BLE001  # Anybody's invention: see above.
        return None
    return found.new_sign_count


def is_counter_good(before: int, now: int) -> bool:
    """Whether a passkey's counter went on. One that went back, or stands, is a copy's.

    Passkeys that are kept in sync between devices do not count: theirs stays 0.
    """
    return now > before or (now == 0 and before == 0)


def clean_name(text: str) -> str:
    """Clean the name that somebody gave to a passkey."""
    return " ".join("".join(c for c in text if c.isprintable()).split())[:_NAME_LENGTH_MAX].strip()
