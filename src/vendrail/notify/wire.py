"""How mails are written for their way: what every server takes, and no link cut in pieces."""

from email.policy import EmailPolicy
from typing import Any

_WHOLE = ("list-unsubscribe", "list-unsubscribe-post")


class _Wire(EmailPolicy):
    """Mail as it travels; links of headers stay whole, as programs read them."""

    def fold(self, name: str, value: Any) -> str:
        """Fold a header; the library would encode a word that is longer than a line."""
        if name.lower() in _WHOLE:
            return f"{name}: {value}{self.linesep}"
        folded: str = super().fold(name, value)
        return folded

    def fold_binary(self, name: str, value: Any) -> bytes:
        """Fold a header into bytes."""
        if name.lower() in _WHOLE:
            return f"{name}: {value}{self.linesep}".encode("ascii")
        folded: bytes = super().fold_binary(name, value)
        return folded


WIRE = _Wire(linesep="\r\n", raise_on_defect=False)
