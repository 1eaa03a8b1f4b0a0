"""Over a real mail server: what is refused, what is tried again, what must not be."""

import asyncio
import socket

import pytest

from vendrail.notify.senders import SmtpSender


async def test_a_mail_arrives_whole(post, mail_server):
    """The server gets both forms, the recipient, and an id that is the message's own."""
    message = post.message()
    await post.notify.send_messages([message])
    await post.send_all()

    [mail] = mail_server.mails
    assert b"135790" in mail
    assert f"<{message.id}@keys.example>".encode() in mail
    assert b"multipart/alternative" in mail
    assert ["sent"] == await post.states()


@pytest.mark.parametrize("behaviour", ["450", "451"])
async def test_not_now_is_tried_again(post, mail_server, behaviour):
    """A server that says "later" is asked later, and gets the mail once."""
    mail_server.behaviour = behaviour
    await post.notify.send_messages([post.message()])
    await post.send_all()
    assert ["waiting"] == await post.states()
    await post.send_all()
    assert 1 == mail_server.tries
    mail_server.behaviour = "accept"
    post.clock.advance(6)
    await post.send_all()

    assert 1 == len(mail_server.mails)
    assert ["sent"] == await post.states()


@pytest.mark.parametrize("behaviour", ["550", "554"])
async def test_never_is_not_tried_again(post, mail_server, behaviour):
    """A server that refuses for good is not asked again."""
    mail_server.behaviour = behaviour
    await post.notify.send_messages([post.message()])
    for _ in range(5):
        await post.send_all()
        post.clock.advance(100)

    assert 1 == mail_server.tries
    assert ["failed"] == await post.states()


async def test_what_may_have_left_is_not_sent_again(post, mail_server):
    """X25: the server falls silent after the last byte: the mail may be there, so never twice."""
    mail_server.behaviour = "hang up"
    await post.notify.send_messages([post.message()])
    await post.send_all()
    mail_server.behaviour = "accept"
    for _ in range(5):
        post.clock.advance(100)
        await post.send_all()

    assert 1 == len(mail_server.mails)
    assert ["unknown"] == await post.states()


async def test_a_sender_that_died_sends_nothing_twice(post, mail_server):
    """X25: claimed and then lost with its process: nobody can tell, so it is not sent again."""
    await post.notify.send_messages([post.message()])
    async with post.db.reading() as tx:
        await tx.execute("update notify.message set state = 'sending', attempts = 1")
    await post.send_all()

    assert [] == mail_server.mails
    assert ["unknown"] == await post.states()


async def test_an_outage_of_the_server_loses_nothing_fresh(post, mail_server):
    """A server that is away for a minute gets the mail when it is back, once."""
    await mail_server.stop()
    await post.notify.send_messages([post.message()])
    for _ in range(3):
        await post.send_all()
        post.clock.advance(20)
    assert ["waiting"] == await post.states()
    async with post.db.reading() as tx:
        problem = await tx.fetch_value("select problem from notify.message")
    assert "cannot be reached" in problem
    assert "buyer" not in problem


async def test_the_last_line_leaves_at_once(post):
    """The line that makes it a mail is not kept back until the server has acknowledged the rest."""
    server = await asyncio.to_thread(SmtpSender(post.service.settings)._connect)
    try:
        is_at_once = server.sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
    finally:
        await asyncio.to_thread(server.close)

    assert is_at_once
