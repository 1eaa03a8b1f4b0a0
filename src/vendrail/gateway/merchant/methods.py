"""Merchants' ways to pay: which of those that the platform offers a merchant takes."""

import msgspec

from vendrail.api.payments import MerchantMethod, MethodChoice, MethodChoiceStatus, Payments
from vendrail.gateway.exchange import Answer, Exchange, Refusal, said
from vendrail.gateway.merchant import problems
from vendrail.gateway.merchant.bodies import (
    MerchantMethodBody,
    MerchantMethodListBody,
    PutMethodsBody,
)
from vendrail.gateway.merchant.keyring import Keyring, Program
from vendrail.kernel.clock import Clock
from vendrail.kernel.codec import encode
from vendrail.kernel.ids import new_id, to_serial

_PUT = msgspec.json.Decoder(PutMethodsBody)
_BODY_BYTES_MAX = 16_384


class MethodRoom:
    """Lists a merchant's ways to pay, and switches them."""

    def __init__(self, payments: Payments, keyring: Keyring, clock: Clock) -> None:
        self._payments = payments
        self._keyring = keyring
        self._clock = clock

    async def list_methods(self, _: Exchange, program: Program, __: str) -> Answer:
        """List each way with its switch and its cost."""
        [found] = await self._payments.list_merchant_methods([program.merchant])
        return said(200, encode(_listed(found)))

    async def put_methods(self, exchange: Exchange, program: Program, _: str) -> Answer:
        """Say which ways are off, all others being on; written to the log before it counts."""
        body = await exchange.json(_PUT, _BODY_BYTES_MAX)
        [before] = await self._payments.list_merchant_methods([program.merchant])
        was = sorted(each.method for each in before if not each.is_on)
        wanted = sorted(set(body.methods_off))
        if not set(wanted) <= {each.method for each in before}:
            raise Refusal(problems.METHOD_UNKNOWN)
        if before and not any(each.currencies and each.method not in wanted for each in before):
            raise Refusal(problems.METHODS_NONE_LEFT)
        if was != wanted:
            await self._keyring.record(
                program,
                "methods.switched",
                f"merchant:{to_serial(program.merchant)}",
                once=new_id(self._clock.now()).hex,
                before={"off": ", ".join(was)},
                after={"off": ", ".join(wanted)},
            )
        choice = MethodChoice(program.merchant, wanted)
        [status] = await self._payments.put_method_choices([choice])
        if status is MethodChoiceStatus.NONE_LEFT:
            raise Refusal(problems.METHODS_NONE_LEFT)
        if status is MethodChoiceStatus.METHOD_UNKNOWN:
            raise Refusal(problems.METHOD_UNKNOWN)
        [after] = await self._payments.list_merchant_methods([program.merchant])
        return said(200, encode(_listed(after)))


def _listed(methods: list[MerchantMethod]) -> MerchantMethodListBody:
    return MerchantMethodListBody(
        [
            MerchantMethodBody(
                each.method,
                each.title,
                each.currencies,
                each.is_on,
                each.cost_permyriad,
                each.cost_minor,
                each.cost_permyriad_max,
                each.cost_minor_max,
            )
            for each in methods
        ]
    )
