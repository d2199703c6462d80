"""Write a file whole or not at all, and say in a sentence why it cannot be."""

from __future__ import annotations

import errno
import os
from contextlib import suppress
from pathlib import Path


def make_folder(folder: Path) -> Path:
    """``folder``, made if it was not there; an ``OSError`` of one sentence if that cannot be."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise _unwritable(folder, error) from error
    return folder


def write_whole(path: Path, writer) -> None:
    """A file is there whole or not at all."""
    part = path.with_name(f"{path.name}.{os.getpid()}.part")  # another notebook may write the same file
    try:
        writer(part)
        os.replace(part, path)
    except OSError as error:
        raise _unwritable(path, error) from error
    finally:  # after an interruption too
        with suppress(OSError):
            part.unlink(missing_ok=True)


def _unwritable(path: Path, error: OSError) -> OSError:
    reason = error.strerror or type(error).__name__
    full = error.errno == errno.ENOSPC
    advice = "make room on the disk" if full else "choose a folder that is there and that you may write to"
    return OSError(f"{path} could not be written ({reason}); {advice}.")
