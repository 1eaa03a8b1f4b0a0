"""An independent SDK of WeChat Pay at the other end: one JSON line in, one out.

Never imported by the tests: it is started as a program with the interpreter of `.venv-peers`.
"""

import json
import sys

import requests
from wechatpayv3 import WeChatPay, WeChatPayType, core, utils

core.Core._init_certificates = lambda self: None  # Fetched when a reply names one, not before.
_sdks = {}


def sdk_of(app):
    """Make the SDK's object for a merchant, once."""
    name = json.dumps(app, sort_keys=True)
    if name not in _sdks:
        made = WeChatPay(
            wechatpay_type=WeChatPayType.NATIVE,
            mchid=app["mchid"],
            private_key=app["private_key"],
            cert_serial_no=app["serial_no"],
            appid=app["appid"],
            apiv3_key=app["api_key"],
            notify_url=app.get("notify_url", "http://127.0.0.1/notify"),
            public_key=app.get("public_key"),
            public_key_id=app.get("public_key_id"),
        )
        made._core._gate_way = app["api_url"]
        _sdks[name] = made
    return _sdks[name]


def call(sdk, ask):
    """Call one of the SDK's own functions, its reply verified by the SDK."""
    arguments = dict(ask["arguments"])
    if "pay_type" in arguments:
        arguments["pay_type"] = WeChatPayType[arguments["pay_type"].upper()]
    try:
        code, message = getattr(sdk, ask["call"])(**arguments)
    except Exception as error:  # noqa: BLE001 - The SDK raises nothing finer.
        return {"error": str(error)}
    if isinstance(message, bytes):
        return {"code": code, "bytes": message.hex()}
    return {"code": code, "result": json.loads(message) if message else None}


def send(sdk, ask):
    """Sign with the SDK's own function, and send with changes: headers, body, the signed parts."""
    told, core = ask["send"], sdk._core
    body = told.get("body", "")
    header = utils.build_authorization(
        told.get("signed_path", told["path"]),
        told["method"],
        told.get("mchid", core._mchid),
        told.get("serial_no", core._cert_serial_no),
        core._private_key,
        data=told.get("signed_body", body),
    )
    headers = {
        "Authorization": header,
        "Accept": "application/json",
        "Content-Type": "application/json",
        "User-Agent": "peer",
        "Wechatpay-Serial": core._public_key_id or "",
    }
    headers |= told.get("headers", {})
    old, new = told.get("replace", ["", ""])
    headers["Authorization"] = (
        headers["Authorization"].replace(old, new) if old else headers["Authorization"]
    )
    reply = requests.request(
        told["method"],
        core._gate_way + told["path"],
        data=body.encode(),
        headers={name: value for name, value in headers.items() if value != ""},
        timeout=20,
    )
    return {"code": reply.status_code, "result": reply.json() if reply.content else None}


def callback(sdk, ask):
    """Verify and open a callback."""
    told = ask["callback"]
    try:
        return {"result": sdk.callback(told["headers"], told["body"])}
    except Exception as error:  # noqa: BLE001 - The SDK raises nothing finer.
        return {"error": str(error)}


def authorize(sdk, ask):
    """Sign a request as of a moment."""
    told = ask["authorize"]
    clock = utils.time.time
    utils.time.time = lambda: told["moment"]
    header = utils.build_authorization(
        told["path"],
        told["method"],
        sdk._core._mchid,
        sdk._core._cert_serial_no,
        sdk._core._private_key,
        data=told["body"],
        nonce_str=told["nonce"],
    )
    utils.time.time = clock
    return {"result": header}


def sign(sdk, ask):
    """Sign what a page hands to the wallet."""
    return {"result": sdk.sign(ask["sign"])}


def encrypt(sdk, ask):
    """Seal a name for the platform."""
    return {"result": sdk._core.encrypt(ask["encrypt"])}


for line in sys.stdin:
    ask = json.loads(line)
    sdk = sdk_of(ask["app"])
    names = (call, send, callback, authorize, sign, encrypt)
    operation = next(each for each in names if each.__name__ in ask)
    sys.stdout.write(json.dumps(operation(sdk, ask)) + "\n")
    sys.stdout.flush()
