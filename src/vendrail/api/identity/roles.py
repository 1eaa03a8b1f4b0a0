"""What a person or program may do: roles, and the permissions that they hold."""

from enum import StrEnum


class Role(StrEnum):
    """What a person is to a merchant, or to the operator of the platform."""

    OWNER = "owner"
    SELLER = "seller"
    FINANCE = "finance"
    SUPPORT = "support"
    OPERATOR_ADMIN = "operator_admin"
    OPERATOR_FINANCE = "operator_finance"
    OPERATOR_RISK = "operator_risk"
    OPERATOR_SUPPORT = "operator_support"


class Permission(StrEnum):
    """What may be done: within one merchant, or for an operator's role on the whole platform.

    Those in `KEY_SCOPES` may be given to an API key too.
    """

    OVERVIEW_READ = "overview:read"
    PRODUCTS_READ = "products:read"
    PRODUCTS_WRITE = "products:write"
    KEYS_READ = "keys:read"  # Counts and batches, never a key itself.
    KEYS_WRITE = "keys:write"
    KEYS_EXPORT = "keys:export"
    ORDERS_READ = "orders:read"
    ORDERS_WRITE = "orders:write"  # Send again, say more, confirm by hand.
    REFUNDS_WRITE = "refunds:write"
    BALANCE_READ = "balance:read"
    PAYOUTS_WRITE = "payouts:write"  # Ask for them, review them, fill their reserves.
    SHOP_WRITE = "shop:write"
    VERIFICATION_WRITE = "verification:write"  # Say who the merchant is: personal data.
    STAFF_READ = "staff:read"
    STAFF_WRITE = "staff:write"
    API_KEYS_WRITE = "api_keys:write"
    WEBHOOKS_READ = "webhooks:read"  # Where programs are told, and what happened.
    WEBHOOKS_WRITE = "webhooks:write"
    AUDIT_READ = "audit:read"
    SAGAS_WRITE = "sagas:write"
    REVIEWS_WRITE = "reviews:write"
    UNMATCHED_WRITE = "unmatched:write"
    CHANNELS_READ = "channels:read"
    CHANNELS_WRITE = "channels:write"
    MERCHANTS_READ = "merchants:read"
    MERCHANTS_WRITE = "merchants:write"
    COMPLIANCE_WRITE = "compliance:write"  # Say who may sell.
    SYSTEM_READ = "system:read"


KEY_SCOPES = (
    Permission.PRODUCTS_READ,
    Permission.PRODUCTS_WRITE,
    Permission.KEYS_READ,
    Permission.KEYS_WRITE,
    Permission.ORDERS_READ,
    Permission.ORDERS_WRITE,
    Permission.REFUNDS_WRITE,
    Permission.BALANCE_READ,
    Permission.PAYOUTS_WRITE,
    Permission.SHOP_WRITE,
    Permission.WEBHOOKS_READ,
    Permission.WEBHOOKS_WRITE,
)
