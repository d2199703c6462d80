"""Models from the hub or from a folder: what is there, what arrives, and what went wrong in words."""

from __future__ import annotations

import logging
import re
import ssl
import sys
import urllib.error
import urllib.request
import warnings
from contextlib import contextmanager
from pathlib import Path

from .answers import refusal

_ADVICE = {
    401: "check the id, and if the model is private, log in with the command hf auth login",
    403: "accept the licence on the model's page, then log in with the command hf auth login",
    404: "check the id",
}


def hub_answers() -> bool:
    """Whether the hub can be reached; the hub's own client would retry for minutes when it cannot."""
    from huggingface_hub import constants

    if constants.HF_HUB_OFFLINE:
        return False
    try:
        urllib.request.urlopen(constants.ENDPOINT, timeout=5).close()
    except urllib.error.HTTPError:
        return True  # it answered, if only to refuse this page
    except OSError as error:
        # Python from python.org on a Mac may lack certificates, which the hub's own client brings along
        return isinstance(getattr(error, "reason", None), ssl.SSLError)
    return True


def from_pretrained(cls, model_id: str, size: str, **options):
    """``from_pretrained`` with safe weights only, and half the download where an fp16 variant exists.

    Args:
        cls: a pipeline or a model of diffusers.
        model_id: on the hub, or the path of a folder.
        size: of the download, as the line that announces it says; nothing if unknown.
        options: as for ``from_pretrained``.

    Raises:
        OSError: if the hub's files can't be had.
    """
    options["use_safetensors"] = True
    if Path(model_id).is_dir():
        has_fp16 = any(Path(model_id).rglob("*.fp16.safetensors"))
        return cls.from_pretrained(model_id, **options, **({"variant": "fp16"} if has_fp16 else {}))
    variants = ({"variant": "fp16"}, {})
    for variant in variants:
        try:
            return cls.from_pretrained(model_id, local_files_only=True, **options, **variant)
        except (ValueError, OSError):  # not downloaded yet, or not in this variant
            pass
    if not hub_answers():
        raise OSError("it is not on this computer, and the hub cannot be reached")
    print(f"Downloading {model_id}{size and f' ({size})'}; next time it is here already.", flush=True)
    with _download_bars():
        for variant in variants:
            try:
                return cls.from_pretrained(model_id, **options, **variant)
            except Exception as error:  # the hub's clients raise their transport library's own errors
                failure = error
                if not isinstance(error, ValueError) and not re.search("file named|variant=", str(error)):
                    break  # it is not the variant that is missing
    raise OSError(f"{type(failure).__name__}: {failure}") from failure


@contextmanager
def _download_bars():
    """Let the hub's bars be seen while gigabytes arrive; :func:`quiet` has hidden them."""
    from huggingface_hub.utils import are_progress_bars_disabled, disable_progress_bars, enable_progress_bars

    were_disabled = are_progress_bars_disabled()
    enable_progress_bars()
    try:
        yield
    finally:
        if were_disabled:
            disable_progress_bars()


def told_by_hub(error: BaseException) -> tuple[str, str]:
    """What went wrong when something was asked of the hub, and what to do."""
    cause = error
    while cause is not None:  # diffusers says less than the hub's client below it
        if (answer := getattr(cause, "response", None)) is not None:
            said, advice = refusal(answer.status_code, answer.headers, _ADVICE, "check the id")
            return f"the hub {said}", advice
        cause = cause.__cause__ or cause.__context__
    reason = (str(error).strip() or type(error).__name__).splitlines()[0].rstrip(".")
    return reason, "check the internet connection and the id"


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

    libraries = (diffusers.utils.logging, transformers.utils.logging)
    loggers = [logging.getLogger(name) for name in ("diffusers", "transformers")]
    before = [(logger.handlers, logger.level) for logger in loggers]
    with_bars = [library for library in libraries if library.is_progress_bar_enabled()]
    heard = _MissingWeights()
    for logger, library in zip(loggers, libraries, strict=True):
        logger.handlers = [heard]
        logger.setLevel(logging.WARNING)
        library.disable_progress_bar()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)
            yield heard.notes
    finally:
        for logger, (handlers, level) in zip(loggers, before, strict=True):
            logger.handlers = handlers
            logger.setLevel(level)
        for library in with_bars:
            library.enable_progress_bar()


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
