"""Identity through its api, here and over the wire."""

from datetime import timedelta

from vendrail.api.identity import (
    Act,
    Actor,
    ActorKind,
    ActQuery,
    ApiKey,
    ApiKeyChange,
    ChangeStatus,
    InviteStatus,
    MemberChange,
    Origin,
    PasswordChange,
    PeopleQuery,
    Permission,
    PersonChange,
    Proof,
    ProofStatus,
    Proposal,
    ProposalState,
    ProposalVerdict,
    ResetRequest,
    Role,
    SessionStage,
)
from vendrail.api.identity import NewApiKey as New
from vendrail.kernel.codec import replace
from vendrail.kernel.ids import new_id

CLI = Actor(ActorKind.COMMAND_LINE, None, "root (command line)")
PASSWORD = "a quiet lake at dawn"


async def test_an_invited_owner_joins_once(world):
    """A link makes its person a member, once; nobody joins by it again."""
    invited = await world.invite("Ann@North.example", merchant=world.merchant)
    [link] = await world.identity.read_links([invited.token])
    joined = await world.use(invited.token)
    session = await world.session(joined.token)
    again = await world.use(invited.token)

    assert "ann@north.example" == link.email
    assert "North" == link.merchant_name
    assert SessionStage.OPEN is session.stage
    assert (world.merchant, Role.OWNER) == (
        session.person.memberships[0].merchant,
        session.person.memberships[0].role,
    )
    assert Permission.STAFF_WRITE in session.person.memberships[0].permissions
    assert ProofStatus.REFUSED is again.status
    assert [None] == await world.identity.read_links([invited.token])
    assert invited.token in world.tray.messages[0].values["link"]


async def test_an_invitation_ends(world):
    """After its hours a link opens nothing, nor does one that was withdrawn."""
    late = await world.invite("ann@north.example", merchant=world.merchant)
    world.clock.advance(72 * 3600 + 1)
    gone = await world.invite("bob@north.example", merchant=world.merchant)
    [[link]] = await world.identity.list_invitations([PeopleQuery(world.merchant)])
    statuses = await world.identity.withdraw_links(
        [(link.id, None), (link.id, world.merchant)], CLI
    )

    assert ProofStatus.REFUSED is (await world.use(late.token)).status
    assert [ChangeStatus.NOT_FOUND, ChangeStatus.CHANGED] == statuses
    [[act]] = await world.identity.list_acts([ActQuery(None, 9, act="invitation.withdrawn")])
    assert {"role": link.role.value} == act.before
    assert ProofStatus.REFUSED is (await world.use(gone.token)).status


async def test_only_heads_invite(world):
    """An owner invites to their own merchant; a seller, another's owner and strangers do not."""
    owner = world.actor(await world.session(await world.join("ann@north.example")))
    seller = world.actor(await world.session(await world.join("bo@north.example", Role.SELLER)))
    other = new_id(world.clock.now())
    stranger = world.actor(
        await world.session(await world.join("cy@south.example", merchant=other))
    )

    async def status(by, role=Role.SELLER, merchant=world.merchant):
        return (await world.invite("new@north.example", role, merchant, by)).status

    assert InviteStatus.INVITED is await status(owner)
    assert InviteStatus.NOT_ALLOWED is await status(seller)
    assert InviteStatus.NOT_ALLOWED is await status(stranger)
    assert InviteStatus.NOT_ALLOWED is await status(owner, Role.OPERATOR_ADMIN, None)
    assert InviteStatus.ROLE_MALFORMED is await status(owner, Role.OPERATOR_ADMIN)
    assert InviteStatus.NOT_ALLOWED is await status(owner, Role.OWNER, new_id(world.clock.now()))


async def test_who_signs_in_wrongly_learns_nothing(world):
    """Unknown people, wrong passwords and locked people get one and the same answer."""
    await world.join("ann@north.example")
    await world.join("bo@north.example", Role.SELLER)
    [person] = await world.identity.find_people(["bo@north.example"])
    await world.identity.change_people([PersonChange(person.id, "left", CLI, is_locked=True)])

    answers = [
        await world.sign_in("nobody@north.example"),
        await world.sign_in("ann@north.example", "something else entirely"),
        await world.sign_in("bo@north.example"),
    ]

    assert [answers[0]] * 3 == answers
    assert ProofStatus.REFUSED is answers[0].status
    assert ProofStatus.ACCEPTED is (await world.sign_in("ANN@north.example ")).status


async def test_an_operator_must_have_a_second_factor(world):
    """An operator's first session opens nothing but the set-up of a second factor."""
    token = await world.join("op@example.com", Role.OPERATOR_ADMIN)
    before = await world.session(token)
    secret, enrolled = await world.enrol(token)
    after = await world.session(enrolled.token)
    world.clock.advance(60)
    second = await world.sign_in("op@example.com")
    stage = (await world.session(second.token)).stage
    opened = await world.prove(second.token, world.code(secret))

    assert SessionStage.ENROLMENT is before.stage
    assert SessionStage.OPEN is after.stage
    assert 10 == len(set(enrolled.recovery_codes))
    assert await world.session(token) is None, "the token of before opens nothing any more"
    assert SessionStage.FACTOR is stage
    assert SessionStage.OPEN is (await world.session(opened.token)).stage
    assert await world.session(second.token) is None


async def test_a_code_is_good_once(world):
    """A time-based code is refused when it comes again, and so is one of a step before it."""
    token = await world.join("op@example.com", Role.OPERATOR_ADMIN)
    secret, enrolled = await world.enrol(token)
    world.clock.advance(60)
    code, before = world.code(secret), world.code(secret, -1)
    first = await world.prove(enrolled.token, code)
    again = await world.prove(first.token, code)
    older = await world.prove(first.token, before)
    wrong = await world.prove(first.token, "000000" if code != "000000" else "000001")

    assert ProofStatus.ACCEPTED is first.status
    assert [ProofStatus.REFUSED] * 3 == [again.status, older.status, wrong.status]


async def test_a_recovery_code_is_good_once(world):
    """A recovery code stands in for a lost device, once; new codes end the old ones."""
    token = await world.join("op@example.com", Role.OPERATOR_ADMIN)
    _, enrolled = await world.enrol(token)
    first, second = enrolled.recovery_codes[:2]
    opened = await world.prove(enrolled.token, first.upper())
    again = await world.prove(opened.token, first)
    [renewed] = await world.identity.renew_recovery_codes([opened.token])
    old = await world.prove(opened.token, second)
    new = await world.prove(opened.token, renewed[0])

    assert ProofStatus.ACCEPTED is opened.status
    assert [ProofStatus.REFUSED] * 2 == [again.status, old.status]
    assert ProofStatus.ACCEPTED is new.status


async def test_a_session_changes_its_token_by_and_by(world):
    """After a quarter of an hour a new token is given; the old one lives until it is used."""
    token = await world.join("ann@north.example")
    world.clock.advance(15 * 60)
    fresh = (await world.session(token)).token
    meanwhile = await world.session(token)
    used = await world.session(fresh)
    world.clock.advance(20)
    late = await world.session(token)

    assert fresh not in {"", token}
    assert "" == meanwhile.token
    assert used.id == meanwhile.id == late.id


async def test_a_copied_token_ends_the_session(world):
    """A token that comes long after it was replaced is a thief's: the session is over for all."""
    token = await world.join("ann@north.example")
    world.clock.advance(15 * 60)
    fresh = (await world.session(token)).token
    await world.session(fresh)
    world.clock.advance(31)

    assert await world.session(token) is None
    assert await world.session(fresh) is None
    assert "session.copied" in await world.acts()


async def test_a_session_ends_when_idle_and_in_any_case(world):
    """An hour without a request ends a session, and so do twelve hours with many."""
    idle, busy = await world.join("ann@north.example"), await world.join("bo@north.example")
    for _ in range(12 * 3 - 1):
        world.clock.advance(1200)
        session = await world.session(busy)
        busy = session.token or busy
    before = session
    world.clock.advance(1200)

    assert await world.session(idle) is None
    assert before is not None
    assert await world.session(busy) is None


async def test_people_see_and_end_their_sessions(world):
    """A person sees where they are signed in, ends one of them, or all."""
    token = await world.join("ann@north.example")
    other = await world.sign_in("ann@north.example")
    third = await world.sign_in("ann@north.example")
    session = await world.session(token)
    [listed] = await world.identity.list_sessions([session.person.id])
    ended = (await world.session(other.token)).id
    first, second = await world.identity.end_sessions([ended, new_id(world.clock.now())])

    assert 3 == len(listed)
    assert (True, False) == (first, second)
    assert await world.session(other.token) is None
    assert await world.session(third.token) is not None
    assert [2] == await world.identity.end_all_sessions([session.person.id])
    assert await world.session(token) is None


async def test_a_password_is_changed_by_who_knows_it(world):
    """Changing a password needs the one before, a good one after, and ends other sessions."""
    token = await world.join("ann@north.example")
    other = await world.sign_in("ann@north.example")

    async def change(before, after, token=token):
        asked = PasswordChange(token, before, after, Origin())
        return (await world.identity.change_passwords([asked]))[0]

    wrong = await change("not this one at all", "seven grey geese fly")
    short = await change(PASSWORD, "geese")
    common = await change(PASSWORD, "Password123456")
    changed = await change(PASSWORD, "seven grey geese fly")

    assert ProofStatus.REFUSED is wrong.status
    assert ProofStatus.TOO_SHORT is short.status
    assert ProofStatus.TOO_COMMON is common.status
    assert ProofStatus.ACCEPTED is changed.status
    assert await world.session(other.token) is None
    assert await world.session(changed.token) is not None
    assert ProofStatus.REFUSED is (await world.sign_in("ann@north.example")).status


async def test_a_reset_goes_by_mail_and_tells_nothing(world):
    """Asking for a reset answers alike for everybody; the link sets a password, once."""
    token = await world.join("ann@north.example")
    requests = [
        ResetRequest(email, "en", Origin()) for email in ("ann@north.example", "no@north.example")
    ]
    answers = await world.identity.request_resets(requests)
    await world.service.drain()
    [mail] = [each for each in world.tray.messages if each.template == "reset"]
    link = mail.values["link"].rpartition("/")[2]
    done = await world.use(link, "seven grey geese fly")

    assert [ProofStatus.ACCEPTED] * 2 == answers
    assert "ann@north.example" == mail.recipient
    assert ProofStatus.ACCEPTED is done.status
    assert await world.session(token) is None
    assert ProofStatus.REFUSED is (await world.use(link, "eight grey geese fly")).status


async def test_a_reset_ends_chats_once_nobody_can_link_another(world):
    """Whoever is still signed in while a password is set could link a chat until that is done."""
    token = await world.join("ann@north.example")
    await world.identity.request_resets([ResetRequest("ann@north.example", "en", Origin())])
    await world.service.drain()
    link = world.tray.messages[-1].values["link"].rpartition("/")[2]
    were_in = []

    async def look():
        were_in.append(await world.session(token) is not None)

    world.tray.at_end = look
    await world.use(link, "seven grey geese fly")

    assert [True, False] == were_in


async def test_a_reset_does_not_pass_the_second_factor(world):
    """Who has only the mailbox still has to show the second factor."""
    await world.enrol(await world.join("op@example.com", Role.OPERATOR_ADMIN))
    await world.identity.request_resets([ResetRequest("op@example.com", "en", Origin())])
    await world.service.drain()
    link = world.tray.messages[-1].values["link"].rpartition("/")[2]
    done = await world.use(link, "seven grey geese fly")

    assert SessionStage.FACTOR is (await world.session(done.token)).stage
    assert [None] == await world.identity.draft_factors([done.token])


async def test_one_head_stays(world):
    """The last owner can neither leave nor become less; with a second one they can."""
    token = await world.join("ann@north.example")
    ann = await world.session(token)
    leave = MemberChange(ann.person.id, world.merchant, None, CLI)
    less = MemberChange(ann.person.id, world.merchant, Role.SELLER, CLI)
    alone = await world.identity.change_members([leave, less])
    await world.join("bo@north.example")
    second = await world.identity.change_members([less])

    assert [ChangeStatus.LAST_OF_ITS_KIND] * 2 == alone
    assert [ChangeStatus.CHANGED] == second
    assert await world.session(token) is None, "who may do other things begins anew"
    [[_, after]] = await world.identity.list_people([PeopleQuery(world.merchant)])
    assert "member.changed" in await world.acts(world.merchant)
    assert after.memberships[0].role in (Role.SELLER, Role.OWNER)


async def test_an_api_key_opens_what_its_scopes_say(world):
    """A key is told once, found by its whole secret, and opens nothing once revoked or over."""
    owner = world.actor(await world.session(await world.join("ann@north.example")))
    seller = world.actor(await world.session(await world.join("bo@north.example", Role.SELLER)))

    def key(scopes, **more):
        return ApiKey(new_id(world.clock.now()), world.merchant, "import", scopes, **more)

    kept = key([Permission.KEYS_WRITE])
    ends_at = world.clock.now() + timedelta(hours=1)
    dated = key([Permission.ORDERS_READ], ends_at=ends_at)
    made, timed, wide, refused = await world.identity.make_api_keys(
        [
            New(kept, owner),
            New(dated, owner),
            New(key([Permission.STAFF_WRITE]), owner),
            New(key([Permission.KEYS_WRITE]), seller),
        ]
    )
    found = await world.identity.check_api_keys([made.secret, made.secret[:-1], timed.secret])
    world.clock.advance(3601)
    later = await world.identity.check_api_keys([made.secret, timed.secret])
    revoked = await world.identity.revoke_api_keys([(world.merchant, kept.id)], owner)
    [none] = await world.identity.check_api_keys([made.secret])

    assert ["scopes_malformed", "not_allowed"] == [wide.status, refused.status]
    assert [kept.id, None, dated.id] == [each and each.id for each in found]
    assert [Permission.KEYS_WRITE] == found[0].scopes
    assert [kept.id, None] == [each and each.id for each in later]
    assert [ChangeStatus.CHANGED] == revoked
    assert none is None


async def test_networks_of_a_key_are_changed_by_its_own_merchants_owner(world):
    """Another merchant's owner finds no such key, a seller may not, and a revoked one stays."""
    owner = world.actor(await world.session(await world.join("ann@north.example")))
    seller = world.actor(await world.session(await world.join("bo@north.example", Role.SELLER)))
    key = ApiKey(new_id(world.clock.now()), world.merchant, "k", [Permission.KEYS_WRITE])
    await world.identity.make_api_keys([New(key, owner)])
    there = ApiKeyChange(world.merchant, key.id, ["10.0.0.0/8"], owner)
    elsewhere = replace(there, merchant=new_id(world.clock.now()))
    malformed = [["10.0.0.5/8"], ["here"], ["fe80::1%eth0"], [f"10.0.0.{n}" for n in range(51)]]
    statuses = await world.identity.change_api_keys(
        [elsewhere, replace(there, by=seller)]
        + [replace(there, networks=each) for each in malformed]
    )
    [[kept]] = await world.identity.list_api_keys([world.merchant])
    await world.identity.revoke_api_keys([(world.merchant, key.id)], owner)
    revoked = await world.identity.change_api_keys([there])

    assert ["not_allowed"] * 2 + ["networks_malformed"] * 4 == statuses
    assert [] == kept.networks
    assert ["not_found"] == revoked


async def test_the_log_is_read_by_pages(world):
    """Acts are written once, and read newest first: by place, person, kind of act, page."""
    acts = []
    for number in range(5):
        world.clock.advance(1)
        by = Actor(
            ActorKind.PERSON, None, f"p{number % 2}@x.example", Origin("10.0.0.9", "Firefox")
        )
        id = new_id(world.clock.now())
        acts.append(Act(id, by, "product.priced", f"product:{number}", world.merchant, {"p": "1"}))
    first = await world.identity.record_acts(acts)
    again = await world.identity.record_acts(acts[:1])
    [page] = await world.identity.list_acts([ActQuery(world.merchant, 2)])
    [rest] = await world.identity.list_acts([ActQuery(world.merchant, 9, after=page[-1].id)])
    [own] = await world.identity.list_acts([ActQuery(world.merchant, 9, actor="p1@x.example")])
    [other] = await world.identity.list_acts([ActQuery(new_id(world.clock.now()), 9)])
    [kind] = await world.identity.list_acts([ActQuery(None, 9, act="product.")])

    assert ([True] * 5, [False]) == (first, again)
    assert [each.id for each in reversed(acts)] == [each.id for each in page + rest]
    assert ["product:3", "product:1"] == [each.subject for each in own]
    assert [] == other
    assert 5 == len(kind)
    assert "10.0.0.9" == page[0].by.origin.address


async def test_a_second_person_must_agree(world):
    """Nobody approves what they put up, nor who lacks the permission; it is done once."""
    one = await world.session(
        (await world.enrol(await world.join("a@x.cn", Role.OPERATOR_FINANCE)))[1].token
    )
    two = await world.session(
        (await world.enrol(await world.join("b@x.cn", Role.OPERATOR_ADMIN)))[1].token
    )
    risk = await world.session(
        (await world.enrol(await world.join("c@x.cn", Role.OPERATOR_RISK)))[1].token
    )
    id = new_id(world.clock.now())
    put = Proposal(
        id,
        "capture.confirm",
        "order:1",
        {"amount": "500"},
        Permission.UNMATCHED_WRITE,
        "seen",
        world.actor(one),
    )
    [view] = await world.identity.propose_acts([put])

    async def verdict(session):
        asked = ProposalVerdict(id, is_approved=True, by=world.actor(session))
        return (await world.identity.decide_proposals([asked]))[0]

    early = await world.identity.finish_proposals([id])
    statuses = [await verdict(one), await verdict(risk), await verdict(two), await verdict(two)]
    finished = await world.identity.finish_proposals([id, id])

    assert ProposalState.OPEN is view.state
    assert [ChangeStatus.UNCHANGED] == early
    assert ["not_allowed", "not_allowed", "changed", "unchanged"] == statuses
    assert ["changed", "unchanged"] == finished


async def test_the_wrong_password_confirms_nothing(world):
    """Without a second factor a privileged act wants the password again, and the right one."""
    token = await world.join("ann@north.example")
    before = await world.session(token)
    world.clock.advance(700)
    wrong = await world.prove(token, password="not this one at all")
    right = await world.prove(token, password=PASSWORD)
    after = await world.session(right.token)

    assert ProofStatus.REFUSED is wrong.status
    assert after.confirmed_at - before.confirmed_at == timedelta(seconds=700)


async def test_a_lost_device_is_reset_by_hand(world):
    """Who resets a second factor is in the log, and what was open of the person is over."""
    _, enrolled = await world.enrol(await world.join("op@example.com", Role.OPERATOR_ADMIN))
    session = await world.session(enrolled.token)
    change = PersonChange(session.person.id, "lost phone", CLI, is_factor_removed=True)
    statuses = await world.identity.change_people([change, change])
    again = await world.sign_in("op@example.com")

    assert [ChangeStatus.CHANGED, ChangeStatus.UNCHANGED] == statuses
    assert await world.session(enrolled.token) is None
    assert SessionStage.ENROLMENT is (await world.session(again.token)).stage
    assert "factor.removed" in await world.acts()
    assert ProofStatus.REFUSED is (
        (await world.identity.set_factors([Proof(again.token, "000000")]))[0].status
    )


async def test_the_chain_is_followed_by_stretches(world):
    """A stretch of the chain is checked from a seal's number on; a changed act is named."""
    for number in range(5):
        await world.invite(f"p{number}@north.example", merchant=world.merchant)
    while await world.service.seal_acts():
        pass
    first = await world.identity.check_seals(0, 3)
    rest = await world.identity.check_seals(first.last_number, 3)
    end = await world.identity.check_seals(rest.last_number, 3)
    async with world.db.transaction() as tx:
        row = await tx.fetch_row("select act from identity.seal where number = 4")
        await tx.execute("update identity.act set actor = 'x' where id = $1", row["act"])
    changed = await world.identity.check_seals(first.last_number, 3)

    assert [(3, 3, True), (5, 2, True), (5, 0, True)] == [
        (each.last_number, each.checked_count, each.is_whole) for each in (first, rest, end)
    ]
    assert (False, row["act"]) == (changed.is_whole, changed.broken_act)
