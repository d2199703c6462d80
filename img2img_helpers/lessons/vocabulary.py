"""The words that the classroom model has learnt, and a warning about those that it has not."""

from __future__ import annotations

import difflib
import functools
import json
import re
import warnings
from typing import TYPE_CHECKING

from .models import CLASSROOM_FOLDER

if TYPE_CHECKING:
    from diffusers import DiffusionPipeline
    from transformers import CLIPTokenizer

_WORD = re.compile(r"[^\W\d_]+…?")
_told: set[str] = set()  # a word is told about once per process, whichever pipeline meets it


def known_words() -> list[str]:
    """The words of the captions that the classroom model was trained with, sorted.

    Returns:
        Lower-case words; a prompt with any other word is one that the model cannot follow in full.

    Example:
        >>> "lake" in known_words(), "dog" in known_words()
        (True, False)
    """
    return list(_read_words())


def warn_about_unknown_words(pipe: DiffusionPipeline) -> None:
    """Have ``pipe``, and every pipeline that shares its text encoder, warn of words it has never seen.

    Args:
        pipe: a pipeline of the classroom model; its outputs stay the same.
    """
    hooks = pipe.text_encoder._forward_pre_hooks.values()
    if not any(isinstance(hook, _UnknownWords) for hook in hooks):  # pipelines share their text encoder
        pipe.text_encoder.register_forward_pre_hook(_UnknownWords(pipe.tokenizer), with_kwargs=True)


@functools.cache
def _read_words() -> tuple[str, ...]:
    return tuple(sorted(json.loads((CLASSROOM_FOLDER / "vocabulary.json").read_text())))


class _UnknownWords:
    """A forward pre-hook; a class, so that a copy of the text encoder copies it too."""

    def __init__(self, tokenizer: CLIPTokenizer):
        self.tokenizer = tokenizer

    def __call__(self, module, args: tuple, kwargs: dict) -> None:
        try:
            ids = kwargs.get("input_ids", args[0] if args else None)
            rows = [] if ids is None else ids.tolist()
            unknown = [word for row in rows for word in self._words(row) if word not in _read_words()]
            new = [word for word in dict.fromkeys(unknown) if word not in _told]
            message = _message(new) if new else ""
        except Exception:  # advice must never break a call that would work without it
            return
        _told.update(new)
        if message:
            warnings.warn(message, stacklevel=1)  # the frames above are torch's and would tell a learner less

    def _words(self, ids: list[int]) -> list[str]:
        """The words behind the ids; one that the tokenizer has lost letters of ends in ``…``."""
        text = self.tokenizer.decode(ids, skip_special_tokens=False)
        # CLIP's end token also stands for characters without a token; left out, it would join two words
        for lost in (*self.tokenizer.all_special_tokens, "\ufffd"):
            text = text.replace(lost, "…")
        return [word for word in _WORD.findall(text.lower()) if len(word) > 1]


def _message(words: list[str]) -> str:
    named = []
    for word in words:
        nearest = difflib.get_close_matches(word.rstrip("…"), _read_words(), n=1, cutoff=0.75)
        named.append(repr(word) + (f" (nearest known: {nearest[0]!r})" if nearest else ""))
    return (
        f"The classroom model has never seen the word{'s' * (len(words) > 1)} {', '.join(named)}, and cannot follow "
        f"{'them' if len(words) > 1 else 'it'}. It knows {len(_read_words())} words: see img2img_helpers.known_words()."
    )
