"""Who comes with an API key: which merchant it is for, what it may do, and how often."""

from collections.abc import Awaitable, Callable, Mapping
from typing import NamedTuple
from uuid import UUID

from vendrail.api.identity import Act, Actor, ActorKind, ApiKey, Identity, Origin, Permission
from vendrail.gateway import problems as common
from vendrail.gateway.exchange import Exchange, Pairs, Refusal
from vendrail.gateway.merchant import problems
from vendrail.kernel.batcher import Batcher
from vendrail.kernel.clock import Clock
from vendrail.kernel.http import is_within
from vendrail.kernel.ids import derive
from vendrail.kernel.limits import SharedLimit
from vendrail.kernel.telemetry import Metrics

_KEY_LENGTH_MAX = 200
_TOLD_MAX = 10_000


class Program(NamedTuple):
    """A program at the door: its key, and from where it asks."""

    key: ApiKey
    actor: Actor

    @property
    def merchant(self) -> UUID:
        """Give whose program it is."""
        return self.key.merchant


class Keyring:
    """Checks keys, scopes and rates, and writes what programs do to the log."""

    def __init__(
        self,
        identity: Identity,
        clock: Clock,
        limit: SharedLimit | None,
        capacity: int,
        metrics: Metrics | None,
        act_limit: Callable[[str], Awaitable[float]] | None = None,
    ) -> None:
        self._act_limit = act_limit
        self._clock = clock
        self._told: dict[UUID, str] = {}  # In which hour keys were last refused a network.
        self._identity = identity
        self._limit = limit
        self._capacity = capacity
        self._checks: Batcher[str, ApiKey | None] = Batcher(
            identity.check_api_keys, name="gateway.check_api_keys", metrics=metrics
        )
        self.check: Callable[[str], Awaitable[ApiKey | None]] = self._checks.submit

    async def admit(self, exchange: Exchange, address: str) -> Program:
        """Say who comes; without a key that stands, nobody."""
        scheme, _, secret = exchange.header(b"authorization").partition(" ")
        secret = secret.strip()
        key = None
        if scheme.lower() == "bearer" and 0 < len(secret) <= _KEY_LENGTH_MAX:
            key = await self.check(secret)
        if key is None:
            challenge = [("www-authenticate", "Bearer")]
            raise Refusal(problems.API_KEY_MISSING, headers=challenge)
        origin = Origin(address, exchange.header(b"user-agent")[:200])
        program = Program(key, Actor(ActorKind.API_KEY, key.id, key.prefix, origin))
        if key.networks and not is_within(address, key.networks):
            await self._tell_refused(program)
            detail = f"This key is not good from {address or 'here'}; its owner can allow that."
            raise Refusal(problems.NETWORK_NOT_ALLOWED, detail)
        return program

    async def _tell_refused(self, program: Program) -> None:
        """Write to the log that a key came from elsewhere: once an hour, however often it comes."""
        hour = self._clock.now().strftime("%Y%m%d%H")
        if self._told.get(program.key.id) == hour:
            return
        if len(self._told) >= _TOLD_MAX:
            self._told.clear()
        self._told[program.key.id] = hour
        subject = f"api_key:{program.key.prefix}"
        after = {"address": program.actor.origin.address}
        await self.record(program, "api_key.refused", subject, once=hour, after=after)

    async def count(self, program: Program) -> Pairs:
        """Count one request of a key; give the headers that say how it stands."""
        if self._limit is None:
            return []
        name = program.key.id.hex
        wait_s = await self._limit.take(name)
        left, reset_s = self._limit.standing(name)
        headers = [
            (b"ratelimit-limit", b"%d" % self._capacity),
            (b"ratelimit-remaining", b"%d" % left),
            (b"ratelimit-reset", b"%d" % max(1, round(reset_s + 0.499))),
        ]
        if wait_s > 0:
            told = [(name.decode(), value.decode()) for name, value in headers]
            told.append(("retry-after", str(max(1, round(wait_s + 0.499)))))
            raise Refusal(common.RATE_LIMITED, headers=told)
        return headers

    async def take_turn(self, program: Program) -> None:
        """Refuse a key that has the log written again and again: it is kept for good."""
        wait_s = await self._act_limit(str(program.key.id)) if self._act_limit is not None else 0
        if wait_s > 0:
            told = [("retry-after", str(max(1, round(wait_s + 0.499))))]
            raise Refusal(common.RATE_LIMITED, headers=told)

    def need(self, program: Program, scope: Permission) -> None:
        """Refuse what the key has no scope for."""
        if scope not in program.key.scopes:
            raise Refusal(problems.SCOPE_MISSING, f"This key has no scope {scope}.")

    async def record(
        self,
        program: Program,
        act: str,
        subject: str,
        *,
        once: str,
        after: Mapping[str, str],
        before: Mapping[str, str] | None = None,
        reason: str = "",
    ) -> None:
        """Write an act to the log, before it is done; `once` names it, and its repeats."""
        id = derive(program.key.id, f"{act}:{once}")
        written = Act(
            id, program.actor, act, subject, program.merchant, dict(before or {}), dict(after),
            reason,
        )  # fmt: skip
        await self._identity.record_acts([written])


def idempotency_key(exchange: Exchange) -> str:
    """Give the key that names a write and its repeats."""
    key = exchange.header(b"idempotency-key").strip()
    if not 16 <= len(key) <= 255:
        raise Refusal(problems.IDEMPOTENCY_KEY_MISSING)
    return key
