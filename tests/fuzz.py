"""For the tests that throw anything at the package."""

from collections.abc import Callable


def outcome(call: Callable, *arguments) -> tuple[object, str]:
    """What ``call`` returns and an empty text, or None and the message of its ``ValueError``; all else is a failure."""
    try:
        return call(*arguments), ""
    except ValueError as error:
        return None, str(error)
