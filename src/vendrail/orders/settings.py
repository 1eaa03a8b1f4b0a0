"""What can be set for orders."""

from typing import Annotated

from msgspec import Meta

from vendrail.kernel.codec import Record
from vendrail.kernel.config import Help


class OrdersSettings(Record, frozen=True):
    """Times and limits of orders."""

    pay_window_s: Annotated[
        int, Help("How long an order waits for money; the price is locked.")
    ] = 900
    hold_grace_s: Annotated[int, Help("How much longer stock is held than the provider waits.")] = (
        180
    )
    id_age_s_max: Annotated[
        int, Help("How old the id of a new order may be; clocks may differ.")
    ] = 20
    lease_s: Annotated[
        float, Help("How long a runner may hold a saga before another takes it.")
    ] = 60.0
    review_look_s: Annotated[float, Help("How often an order under review looks by itself.")] = 60.0
    provider_look_s_max: Annotated[
        float, Help("Longest wait before a provider is asked again.")
    ] = 3600.0
    saga_attempts_max: Annotated[int, Help("Failures before a saga becomes a person's case.")] = 20
    purchase_batch_max: Annotated[int, Help("Orders filled in one batch.")] = 512
    purchases_in_flight_max: Annotated[int, Help("Batches of purchases in flight at once.")] = 3
    slow_batch_max: Annotated[
        int, Help("Refunds or expiries of one batch: each asks a provider.")
    ] = 64
    slow_in_flight_max: Annotated[int, Help("Batches of refunds and expiries at once.")] = 4
    attempts_per_order_max: Annotated[int, Help("Ways to pay that one order may open.")] = 20
    lookup_code_s: Annotated[int, Help("How long a one-time code is good for.")] = 600
    lookup_days: Annotated[int, Help("How many days back a contact's orders are found.")] = 90
    events_keep_days: Annotated[
        int,
        Meta(ge=1),
        Help("How many days events are kept that all their readers have read."),
    ] = 30
