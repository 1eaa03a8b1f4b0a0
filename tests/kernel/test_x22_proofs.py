"""X22: a captcha that is never enforced."""

import asyncio
import base64
from hashlib import sha256

import pytest

from vendrail.kernel.codec import encode
from vendrail.kernel.limits.gate import Gate
from vendrail.kernel.limits.proofs import Proofs
from vendrail.kernel.vault import Vault


@pytest.fixture
async def db(make_database):
    return await make_database("limits")


@pytest.fixture
def proofs(db, vault, clock):
    return Proofs(db, vault, clock, numbers_max=200)


def find(challenge):
    """Do the work."""
    return next(
        number
        for number in range(challenge.maxnumber + 1)
        if sha256(f"{challenge.salt}{number}".encode()).hexdigest() == challenge.challenge
    )


def solution(challenge, /, **changes):
    """Write what an ALTCHA widget sends, or something else in its place."""
    told = {
        "algorithm": challenge.algorithm,
        "challenge": challenge.challenge,
        "number": find(challenge),
        "salt": challenge.salt,
        "signature": challenge.signature,
        "took": 41,
    }
    return base64.b64encode(encode(told | changes)).decode()


async def test_x22_a_solution_is_good_once_over_all_processes(db, vault, clock, proofs):
    """One solution shown forty times at four processes at once is taken once."""
    processes = [Proofs(db, vault, clock, numbers_max=200) for _ in range(4)]
    payload = solution(proofs.challenge())
    taken = await asyncio.gather(*(processes[n % 4].accept(payload) for n in range(40)))

    assert 1 == taken.count(True)
    assert not await proofs.accept(payload)


async def test_x22_many_solutions_at_once_are_each_taken(proofs):
    """Different solutions do not stand in each other's way."""
    payloads = [solution(proofs.challenge()) for _ in range(50)]

    assert [True] * 50 == await asyncio.gather(*(proofs.accept(each) for each in payloads))


async def test_x22_a_solution_ends_with_its_challenge(proofs, clock):
    """After ten minutes a challenge is over, solved or not; and it stays over."""
    early, late = solution(proofs.challenge()), solution(proofs.challenge())
    clock.advance(599)
    in_time = await proofs.accept(early)
    clock.advance(1)

    assert (True, False, False) == (
        in_time,
        await proofs.accept(late),
        await proofs.accept(early),
    )


async def test_x22_nothing_forged_is_taken(proofs, tmp_path, db, clock):
    """What we did not sign, what was not worked for, and what is no solution at all are refused."""
    other = Proofs(db, Vault.open(tmp_path), clock, numbers_max=200)
    challenge = proofs.challenge()
    number = find(challenge)
    spliced = f"{challenge.salt[:-1]}9&"
    easy = sha256(f"{challenge.salt}0".encode()).hexdigest()
    forged = [
        "",
        "a",
        "%%%",
        base64.b64encode(b"[]").decode(),
        base64.b64encode(b"\xff\xfe").decode(),
        "A" * 3_000,
        solution(other.challenge()),
        solution(challenge, number=number + 1),
        solution(challenge, number=-1),
        solution(challenge, number=str(number)),
        solution(challenge, algorithm="SHA-1"),
        solution(challenge, salt=spliced),
        solution(challenge, salt=challenge.salt[:-1]),
        solution(challenge, challenge=easy, number=0),
        solution(challenge, signature=""),
        solution(challenge, signature="é"),
        solution(challenge, challenge="é"),
    ]

    assert [False] * len(forged) == [await proofs.accept(each) for each in forged]
    assert await proofs.accept(solution(challenge))


async def test_x22_what_was_spent_is_forgotten_when_it_is_over(proofs, db, clock):
    """Spent solutions are kept as long as they could be shown again, and no longer."""
    await proofs.accept(solution(proofs.challenge()))
    clock.advance(700)
    await proofs.accept(solution(proofs.challenge()))
    async with db.reading() as tx:
        kept = await tx.fetch_value("select count(*) from limits.taken")

    assert 1 == kept


async def test_x22_a_gate_asks_under_pressure_alone(proofs, clock):
    """Nobody is asked until an address orders too fast or there is strain; then all who come."""
    strain = False
    gate = Gate(proofs, clock, free_per_minute=3, is_strained=lambda: strain)
    asked = [(await gate.judge("a", "")).is_wanted for _ in range(5)]
    other = (await gate.judge("b", "")).is_wanted
    clock.advance(60)
    later = (await gate.judge("a", "")).is_wanted
    strain = True
    strained = (await gate.judge("c", "")).is_wanted

    assert [False, False, False, True, True] == asked
    assert (False, False, True) == (other, later, strained)
    assert (await gate.judge("a", solution(gate.challenge()))).is_proven
    assert not (await gate.judge("a", "nonsense")).is_proven
