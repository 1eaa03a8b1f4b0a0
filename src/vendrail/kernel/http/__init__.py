"""The edge of HTTP: problems instead of tracebacks, safe headers, honest addresses, safe forms."""

from vendrail.kernel.http.addresses import Proxies, is_within, key_domain, limit_key
from vendrail.kernel.http.cardwatch import leave_to_page
from vendrail.kernel.http.edge import Edge
from vendrail.kernel.http.files import as_attachment, find_below
from vendrail.kernel.http.forms import Csrf
from vendrail.kernel.http.problems import (
    PROBLEM_HANDLERS,
    PROBLEM_TYPE,
    is_hang_up,
    new_application,
    problem_body,
    problem_response,
    too_many,
)

__all__ = [
    "PROBLEM_HANDLERS",
    "PROBLEM_TYPE",
    "Csrf",
    "Edge",
    "Proxies",
    "as_attachment",
    "find_below",
    "is_hang_up",
    "is_within",
    "key_domain",
    "leave_to_page",
    "limit_key",
    "new_application",
    "problem_body",
    "problem_response",
    "too_many",
]
