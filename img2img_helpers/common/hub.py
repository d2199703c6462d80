"""The model hub: whether it answers, what is downloaded from it, and what went wrong, in words."""

from __future__ import annotations

import json
import re
import ssl
import urllib.error
import urllib.request
from collections.abc import Callable, Sequence
from pathlib import Path

from .devices import is_out_of_memory
from .http_errors import refusal

LORA_FILE = "pytorch_lora_weights.safetensors"
_ADVICE = {
    401: "check the id, and if the model is private, log in with the command hf auth login",
    403: "accept the licence on the model's page, then log in with the command hf auth login",
    404: "check the id",
}


def _silence() -> tuple[str, str]:
    """What is wrong where a model is not here and the hub says nothing, and what to do."""
    from huggingface_hub import constants

    if constants.HF_HUB_OFFLINE:  # as a class's server sets it
        return "HF_HUB_OFFLINE keeps the hub out", "unset it, or run python -m img2img_helpers.prefetch before"
    return "the hub cannot be reached", "check the internet connection and the id"


def _out_of_reach() -> OSError:
    return OSError(f"it is not on this computer, and {_silence()[0]}")


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


def settings_on_hub(model_id: str, name: str) -> dict | None:
    """The JSON file ``name`` of a model on the hub, which is small; None if the model has no such file.

    Raises:
        OSError: if it is not here and can't be had.
    """
    from huggingface_hub import hf_hub_download
    from huggingface_hub.utils import EntryNotFoundError

    try:
        path = hf_hub_download(model_id, name, local_files_only=True)
    except (ValueError, OSError):  # not downloaded yet
        if not hub_answers():
            raise _out_of_reach() from None
        try:
            path = hf_hub_download(model_id, name)
        except EntryNotFoundError:
            return None
        except Exception as error:  # the hub's clients raise their transport library's own errors
            raise OSError(f"{type(error).__name__}: {error}") from error
    try:
        return json.loads(Path(path).read_text("utf-8"))
    except ValueError as error:
        raise OSError(f"its {name} is damaged") from error


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
    return _fetched(cls.from_pretrained, model_id, size, ({"variant": "fp16"}, {}), options)


def load_lora_weights(pipe, model_id: str, size: str, adapter_name: str) -> None:
    """``pipe.load_lora_weights`` in the same way, from the file that diffusers saves a LoRA as."""
    options = {"weight_name": LORA_FILE, "adapter_name": adapter_name, "use_safetensors": True}
    if Path(model_id).is_dir():
        pipe.load_lora_weights(model_id, **options)
    else:
        _fetched(pipe.load_lora_weights, model_id, size, ({},), options)


def _fetched(load: Callable, model_id: str, size: str, variants: Sequence[dict], options: dict):
    """What ``load`` makes of the first of ``variants`` that is here or, if none is, that the hub has.

    Shows the hub's bars; :func:`~img2img_helpers.common.loading.quiet`, which hides them, puts them back in the end.
    """
    from huggingface_hub.utils import enable_progress_bars

    for variant in variants:
        try:
            return load(model_id, local_files_only=True, **options, **variant)
        except Exception as error:  # not here, or in part: each part of a model then raises an error of its own
            if is_out_of_memory(error):
                raise
    if not hub_answers():
        raise _out_of_reach()
    print(f"Downloading {model_id}{size and f' ({size})'}; next time it is here already.", flush=True)
    enable_progress_bars()  # let gigabytes be seen arriving
    for variant in variants:
        try:
            return load(model_id, **options, **variant)
        except Exception as error:  # the hub's clients raise their transport library's own errors
            if is_out_of_memory(error):
                raise
            failure = error
            if not isinstance(error, ValueError) and not re.search("file named|variant=", str(error)):
                break  # it is not the variant that is missing
    raise OSError(f"{type(failure).__name__}: {failure}") from failure


def told_by_hub(error: BaseException) -> tuple[str, str]:
    """What went wrong when something was asked of the hub, and what to do."""
    cause = error
    while cause is not None:  # diffusers says less than the hub's client below it
        if (answer := getattr(cause, "response", None)) is not None:
            said, advice = refusal(answer.status_code, answer.headers, _ADVICE, "check the id")
            return f"the hub {said}", advice
        cause = cause.__cause__ or cause.__context__
    reason = (str(error).strip() or type(error).__name__).splitlines()[0].rstrip(".")
    return reason, _silence()[1]
