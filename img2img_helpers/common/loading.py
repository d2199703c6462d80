"""What the libraries say while they load a model: held back, but for weights that are missing or damaged."""

from __future__ import annotations

import logging
import sys
import warnings
from contextlib import contextmanager
from pathlib import Path


def damaged_file(folder: Path) -> str:
    """The first weights file of ``folder`` that is none, such as a Git LFS pointer, by its path in there; or nothing."""
    from safetensors import SafetensorError, safe_open

    for file in sorted(folder.rglob("*.safetensors")):
        try:
            with safe_open(file, "pt"):
                pass
        except (SafetensorError, OSError):
            return file.relative_to(folder).as_posix()
    return ""


@contextmanager
def quiet():
    """Hold back the libraries' loading bars and notes, which would push the lesson off the screen.

    Yields a list of the notes that weights were missing and have been drawn at random.
    """
    import diffusers
    import transformers
    from huggingface_hub.utils import are_progress_bars_disabled, disable_progress_bars

    libraries = (diffusers.utils.logging, transformers.utils.logging)
    loggers = [logging.getLogger(name) for name in ("diffusers", "transformers")]
    before = [(logger.handlers, logger.level) for logger in loggers]
    with_bars = [library for library in libraries if library.is_progress_bar_enabled()]
    without_the_hubs = are_progress_bars_disabled()
    heard = _MissingWeights()
    for logger, library in zip(loggers, libraries, strict=True):
        logger.handlers = [heard]
        logger.setLevel(logging.WARNING)
        library.disable_progress_bar()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)
            # diffusers passes it to a client of the hub that no longer wants it
            warnings.filterwarnings("ignore", "The `local_dir_use_symlinks`")
            yield heard.notes
    finally:
        for logger, (handlers, level) in zip(loggers, before, strict=True):
            logger.handlers = handlers
            logger.setLevel(level)
        for library in with_bars:
            library.enable_progress_bar()
        if without_the_hubs:
            disable_progress_bars()


class _MissingWeights(logging.Handler):
    def __init__(self) -> None:
        super().__init__()
        self.notes: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        told = record.getMessage()
        if "newly initialized" in told or "MISSING" in told:
            self.notes.append(told)
        elif record.levelno >= logging.ERROR:
            print(told, file=sys.stderr)
