"""Chats: what may leave by Telegram, how it is written, what people say to the bot. Pure."""

import re
from collections.abc import Mapping
from html import escape
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from vendrail.api.notify import ALWAYS_BY_MAIL, TELEGRAM_KINDS, LetterWay
from vendrail.kernel.locales import nearest

TEXT_UNITS_MAX = 4_096  # UTF-16 units after entities are parsed, as Telegram counts offsets.
TICKET_LIFE_S = 600
_NAME_LENGTH_MAX = 80
_SUBJECT_LENGTH_MAX = 300
_COMMAND = re.compile(r"/(start|stop)(?:@\w{1,64})?(?:\s+([A-Za-z0-9_-]{1,64}))?\s*")
_TOKEN = re.compile(r"(\d{3,20}):[A-Za-z0-9_-]{20,100}")
_ADDRESSES = ("https://", "http://")
_NO_ADDRESS = re.compile(r"[?#]")  # What comes behind may open what lies there.
_BLANKS = re.compile(r"\n{3,}")
_HERE = ("member", "administrator", "creator", "restricted")

# Of which kind a letter is; what is not here never leaves by Telegram: codes, keys, invitations.
KINDS: Mapping[str, str] = {
    "stock_low": "stock_low",
    "complaint_staff": "complaint_staff",
    "message_unread": "message_unread",
    "dispute_staff": "dispute_staff",
    "reserve_low": "money",
    "debt_owed": "money",
    "payout_undelivered": "money",
    "fee_changing": "money",
    "fee_kept": "money",
    "deposit_asked": "money",
    "deposit_taken": "money",
    "deposit_returned": "money",
    "supplied_refunded": "money",
    "agency": "shop",
    "sales_stopped": "shop",
    "sales_resumed": "shop",
    "verification": "shop",
    "webhook_disabled": "shop",
    "operator_alert": "operator_alert",
    "payee_added": "security",
    "payee_doubted": "security",
    "staff_passkey": "security",
}

# What the bot answers, by language: a chat was linked, a link was too old, letters have ended, or
# there were none, and what it is for.
LINKED, OLD, ENDED, STRANGER = "linked", "old", "ended", "stranger"
_WORDS: Mapping[str, Mapping[str, str]] = {
    "en": {
        LINKED: "This chat gets letters of {site} from now on. Which ones, you choose under"
        " “Letters to you” in the console. To end them, send /stop.",
        OLD: "This link is not valid any more. Open “Letters to you” in the console of {site} and"
        " press “Connect Telegram” again.",
        ENDED: "This chat gets no letters any more. What concerns you comes by e-mail.",
        STRANGER: "This is the bot of {site}. It writes to people of its consoles: open “Letters to"
        " you” there and press “Connect Telegram”.",
    },
    "zh-Hans": {
        LINKED: "从现在起，此聊天会收到 {site} 的通知。接收哪些，请在控制台的“邮件通知”中选择。"
        "要停止接收，请发送 /stop。",
        OLD: "此链接已失效。请打开 {site} 控制台的“邮件通知”，再次点击“连接 Telegram”。",
        ENDED: "此聊天不再接收通知。与您有关的内容会通过邮件发送。",
        STRANGER: "这是 {site} 的机器人，只向控制台的人员发送通知："
        "请打开控制台的“邮件通知”，点击“连接 Telegram”。",
    },
    "zh-Hant": {
        LINKED: "從現在起，此聊天會收到 {site} 的通知。接收哪些，請在控制台的「郵件通知」中"
        "選擇。要停止接收，請傳送 /stop。",
        OLD: "此連結已失效。請打開 {site} 控制台的「郵件通知」，再次點按「連接 Telegram」。",
        ENDED: "此聊天不再接收通知。與您有關的內容會以郵件寄送。",
        STRANGER: "這是 {site} 的機器人，只向控制台的人員傳送通知："
        "請打開控制台的「郵件通知」，點按「連接 Telegram」。",
    },
    "ja": {
        LINKED: "このチャットに {site} からのお知らせが届くようになりました。"
        "種類はコンソールの「メール通知」で選べます。止めるには /stop を送ってください。",
        OLD: "このリンクはもう使えません。{site} のコンソールで「メール通知」を開き、"
        "「Telegram を接続」をもう一度押してください。",
        ENDED: "このチャットにはもう何も届きません。お知らせはメールで届きます。",
        STRANGER: "{site} のボットです。コンソールの利用者にお知らせを送ります。"
        "コンソールで「メール通知」を開き、「Telegram を接続」を押してください。",
    },
    "ko": {
        LINKED: "이제 이 대화로 {site}의 알림이 옵니다. "
        "종류는 콘솔의 “메일 알림”에서 고를 수 있습니다. 그만 받으려면 /stop 을 보내세요.",
        OLD: "이 링크는 더 이상 쓸 수 없습니다. "
        "{site} 콘솔의 “메일 알림”에서 “Telegram 연결”을 다시 누르세요.",
        ENDED: "이 대화로는 더 이상 알림이 오지 않습니다. 알림은 메일로 옵니다.",
        STRANGER: "{site}의 봇입니다. 콘솔을 쓰는 사람에게 알림을 보냅니다. "
        "콘솔의 “메일 알림”을 열고 “Telegram 연결”을 누르세요.",
    },
    "es": {
        LINKED: "Desde ahora este chat recibe los avisos de {site}. En la consola, en «Correos para"
        " usted», elige cuáles. Para no recibir más, envíe /stop.",
        OLD: "Este enlace ya no es válido. Abra «Correos que recibe» en la consola de {site} y"
        " pulse otra vez «Conectar Telegram».",
        ENDED: "Este chat ya no recibe avisos. Lo que le concierne llega por correo.",
        STRANGER: "Este es el bot de {site}. Escribe a las personas de sus consolas: abra allí"
        " «Correos que recibe» y pulse «Conectar Telegram».",
    },
}


class Heard(NamedTuple):
    """What somebody did towards the bot in a chat of their own."""

    chat_id: int
    name: str
    language: str
    deed: str  # `start`, `stop`, `block`; empty: anything else.
    ticket: str = ""


def way_of(template: str, ways: Mapping[str, LetterWay]) -> LetterWay:
    """Say by which ways a letter reaches a reader who has linked a chat."""
    kind = KINDS.get(template)
    if kind is None:
        return LetterWay.MAIL
    way = ways.get(kind, LetterWay.BOTH)
    return LetterWay.BOTH if way is LetterWay.TELEGRAM and kind in ALWAYS_BY_MAIL else way


def is_fit(ways: Mapping[str, LetterWay]) -> bool:
    """Say whether there are such kinds, and security is not without e-mail."""
    return all(
        kind in TELEGRAM_KINDS and not (way is LetterWay.TELEGRAM and kind in ALWAYS_BY_MAIL)
        for kind, way in ways.items()
    )


def bot_id(token: str) -> int | None:
    """Give the number of the bot that a token is of; None: it is no token."""
    found = _TOKEN.fullmatch(token)
    return int(found[1]) if found is not None else None


def units(text: str) -> int:
    """Count a text as Telegram does."""
    return len(text.encode("utf-16-le", "replace")) // 2


def bare(values: Mapping[str, str]) -> dict[str, str]:
    """Give a letter's values without what addresses carry: it may be what opens them.

    Links of ours keep their path, for it leads to the page; of any other address the host is told.
    """
    return {
        name: _bare(value, is_ours=name == "link") if value.startswith(_ADDRESSES) else value
        for name, value in values.items()
    }


def _bare(address: str, *, is_ours: bool) -> str:
    plain = _NO_ADDRESS.split(address)[0]
    try:
        host = urlsplit(plain).hostname
    except ValueError:  # It only begins as an address does.
        host = None
    return plain if is_ours or host is None else host


def compose(subject: str, body: str, link: str = "") -> str:
    """Write a letter as Telegram's HTML; one that is too long is cut, and ends with its link."""
    head = " ".join(subject.split())[:_SUBJECT_LENGTH_MAX]
    lines = "\n".join(line.strip() for line in body.strip().split("\n"))
    text = _BLANKS.sub("\n\n", lines).strip()
    room = TEXT_UNITS_MAX - units(head) - 2
    if units(text) > room:
        end = f"…\n\n{link}" if link else "…"
        text = _cut(text, room - units(end)) + end
    return f"<b>{escape(head, quote=False)}</b>\n\n{escape(text, quote=False)}"


def _cut(text: str, units_max: int) -> str:
    cut = text[: max(0, units_max)]
    while units(cut) > units_max:
        cut = cut[:-1]
    return cut


def say(what: str, language: str, site_name: str) -> str:
    """Write what the bot answers, as plain text."""
    return _WORDS[nearest(language) or "en"][what].format(site=site_name)


def hear(update: Mapping[str, Any]) -> Heard | None:
    """Read one piece of the bot's news; None: nothing of a private chat that concerns us."""
    member = update.get("my_chat_member")
    if isinstance(member, Mapping):
        return _heard_of(member, _member_deed(member))
    message = update.get("message")
    if not isinstance(message, Mapping):
        return None
    found = _COMMAND.fullmatch(str(message.get("text", ""))[:200])
    if found is None:
        return _heard_of(message, "")
    heard = _heard_of(message, found[1])
    return heard._replace(ticket=found[2] or "") if heard is not None else None


def _member_deed(member: Mapping[str, Any]) -> str:
    new = member.get("new_chat_member")
    is_here = isinstance(new, Mapping) and new.get("status") in _HERE
    return "" if is_here else "block"


def _heard_of(told: Mapping[str, Any], deed: str) -> Heard | None:
    chat, person = told.get("chat"), told.get("from")
    if not isinstance(chat, Mapping) or chat.get("type") != "private":
        return None
    number = chat.get("id")
    if not isinstance(number, int):
        return None
    who = person if isinstance(person, Mapping) else {}
    parts = [str(who.get(part, "")) for part in ("first_name", "last_name")]
    name = " ".join(filter(None, parts))
    if username := str(who.get("username", "")):
        name = f"{name} (@{username})".strip()
    return Heard(number, name[:_NAME_LENGTH_MAX], str(who.get("language_code", "en"))[:20], deed)
