"""Files beside pages: the links below a page of a console to what it shows, as files."""

import re
from typing import NamedTuple

from vendrail.api.identity import Permission
from vendrail.web.console import lists
from vendrail.web.console.caller import Caller


class _FileBeside(NamedTuple):
    """A file beside a page."""

    pattern: re.Pattern[str]  # Of the page's path.
    suffix: str
    title: str  # Marked by `message`.
    permission: Permission


class FilesBeside:
    """Knows which files stand beside which page."""

    def __init__(self) -> None:
        self._files: list[_FileBeside] = []

    def add(self, page: str, suffix: str, title: str, permission: Permission) -> None:
        """Show a link to a file below a page, whose address goes on with a suffix."""
        pattern = lists.list_of(page, permission, {}).pattern
        self._files.append(_FileBeside(pattern, suffix, title, permission))

    def of(self, caller: Caller) -> list[tuple[str, str]]:
        """Give the files of the page that is asked for, each an address and what its link says."""
        here = caller.request.url.path
        return [
            (here + each.suffix, each.title)
            for each in self._files
            if each.pattern.fullmatch(here) and caller.may(each.permission)
        ]
