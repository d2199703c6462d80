"""What a server says when it refuses, in words, and what to do."""

from __future__ import annotations

import http
from collections.abc import Mapping

_LATER = "it has a problem of its own: try again later"


def refusal(status: int, headers: Mapping[str, str], advice: Mapping[int, str], otherwise: str) -> tuple[str, str]:
    """An HTTP status in words, and what to do about it.

    Args:
        status: such as 404.
        headers: of the answer; ``Retry-After`` is heeded.
        advice: by status.
        otherwise: what to do about any other status below 500.
    """
    name = http.HTTPStatus(status).phrase if status in set(http.HTTPStatus) else "an unknown answer"
    todo = _LATER if status >= 500 else advice.get(status, otherwise)
    if str(wait := headers.get("Retry-After") or "").isdecimal():
        todo = f"wait {wait} seconds and try again"
    elif status == http.HTTPStatus.TOO_MANY_REQUESTS:
        todo = "it has had too many calls from here: wait some minutes and try again"
    return f"answers {status} ({name})", todo
