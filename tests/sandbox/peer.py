"""An independent SDK at the other end: runs in a venv of its own, one JSON line in, one out.

Never imported by the tests: it is started as a program with the interpreter of `.venv-peers`.
"""

import json
import sys

from alipay import AliPay, DCAliPay
from alipay.exceptions import AliPayException, AliPayValidationError

_sdks = {}


def sdk_of(app):
    """Make the SDK's object for an application, once."""
    name = json.dumps(app, sort_keys=True)
    if name not in _sdks:
        sign_type = app.get("sign_type", "RSA2")
        if "app_cert" in app:
            made = DCAliPay(
                appid=app["app_id"],
                app_private_key_string=app["private_key"],
                app_public_key_cert_string=app["app_cert"],
                alipay_public_key_cert_string=app["alipay_cert"],
                alipay_root_cert_string=app["root_cert"],
                sign_type=sign_type,
            )
        else:
            made = AliPay(
                appid=app["app_id"],
                app_private_key_string=app["private_key"],
                alipay_public_key_string=app["alipay_public_key"],
                sign_type=sign_type,
            )
        made._gateway = app["gateway"]
        _sdks[name] = made
    return _sdks[name]


def call(sdk, ask):
    """Call one of the SDK's own methods, reply verified by the SDK."""
    try:
        return {"result": getattr(sdk, ask["call"])(**ask["arguments"])}
    except AliPayValidationError:
        return {"error": "reply signature does not hold"}
    except AliPayException as error:
        return {"error": str(error)}


def api(sdk, ask):
    """Call a gateway method the SDK has no function for, reply verified by the SDK."""
    return call(
        sdk, {"call": "server_api", "arguments": {"api_name": ask["api"], **ask["arguments"]}}
    )


def build(sdk, ask):
    """Build and sign a request with changes made before signing: a wrong one, well signed."""
    data = sdk.build_body(ask["build"], ask["content"])
    for name, value in ask["changes"].items():
        if value is None:
            data.pop(name, None)
        else:
            data[name] = value
    return {"query": sdk.sign_data(data)}


def verify(sdk, ask):
    """Verify a notification."""
    data = dict(ask["verify"])
    signature = data.pop("sign", "")
    try:
        return {"result": bool(sdk.verify(data, signature))}
    except (AliPayException, ValueError) as error:
        return {"error": str(error)}


for line in sys.stdin:
    ask = json.loads(line)
    sdk = sdk_of(ask["app"])
    operation = next(each for each in (call, api, build, verify) if each.__name__ in ask)
    sys.stdout.write(json.dumps(operation(sdk, ask)) + "\n")
    sys.stdout.flush()
