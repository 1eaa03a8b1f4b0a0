"""Sales stops: an operator suspends a merchant at once; two people let it sell again."""

from collections.abc import Mapping
from uuid import UUID

import structlog

from vendrail.api.catalog import MerchantId, SalesStop
from vendrail.api.identity import PeopleQuery, Permission, PersonState
from vendrail.api.notify import Message
from vendrail.kernel.errors import Unavailable
from vendrail.kernel.ids import derive, new_id, to_serial
from vendrail.web.console.caller import Caller
from vendrail.web.console.desk import Desk
from vendrail.web.operator.deeds import Deed, Deeds, Said
from vendrail.web.operator.files import read_id

_log = structlog.get_logger(__name__)

_STOPPED, _RESUMED = "sales.stopped", "sales.resumed"


class SalesStops:
    """Stops a merchant's sales and lets them go on, and writes to its people."""

    def __init__(self, desk: Desk, deeds: Deeds) -> None:
        self._desk, self._deeds = desk, deeds
        self._catalog = desk.apis.catalog
        for act in (_STOPPED, _RESUMED):
            deeds.add(Deed(act, Permission.COMPLIANCE_WRITE, self._run))

    async def change(self, caller: Caller, merchant: UUID, *, is_stopped: bool) -> Said:
        """Do it, as the form says why: what harms is stopped by one, what may harm by two begun."""
        [before] = await self._catalog.read_suspensions([MerchantId(merchant)])
        payload = {"merchant": to_serial(merchant), "state": "stopped" if is_stopped else "going"}
        if before and not is_stopped:
            payload["since"] = before.since.isoformat()  # Another stop is resumed by another word.
        return await self._deeds.do(
            caller,
            _STOPPED if is_stopped else _RESUMED,
            f"merchant:{to_serial(merchant)}",
            payload,
            is_joint=not is_stopped,
            before={
                "state": "stopped" if before else "going",
                "reason": before.reason if before else "",
            },
            merchant=merchant,
        )

    async def _run(self, told: Mapping[str, str], _person: str) -> Said:
        merchant = read_id(told["merchant"])
        if merchant is None:
            return Said.NOT_FOUND
        [stop] = await self._catalog.read_suspensions([MerchantId(merchant)])
        if "since" in told and stop is not None and stop.since.isoformat() != told["since"]:
            return Said.OTHERWISE
        reason = told["reason"] if told["state"] == "stopped" else ""
        [is_new] = await self._catalog.stop_sales([SalesStop(MerchantId(merchant), reason)])
        if not is_new:
            return Said.EXISTS
        await self._write_to(merchant, reason)
        return Said.SALES_STOPPED if reason else Said.SALES_RESUMED

    async def _write_to(self, merchant: UUID, reason: str) -> None:
        """Tell everybody who works there; a letter that fails does not undo what was done."""
        apis = self._desk.apis
        [people] = await apis.identity.list_people([PeopleQuery(merchant)])
        now = self._desk.clock.now()
        subject = new_id(now)
        letters = [
            Message(
                derive(subject, f"sales:{person.id}"),
                person.email,
                "sales_stopped" if reason else "sales_resumed",
                person.locale,
                {"reason": reason, "link": f"{self._desk.front.public_url}/merchant"},
            )
            for person in people
            if person.state is PersonState.ACTIVE
        ]
        try:
            await apis.notify.send_messages(letters)
        except Unavailable as error:
            _log.warning("sales.not_told", merchant=str(merchant), error=str(error))
