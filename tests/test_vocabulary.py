"""The classroom pipeline's warning about words that it was not trained with."""

import copy
import warnings

import numpy as np
import pytest
import torch
from PIL import Image

from img2img_helpers import known_words, load_pipeline
from img2img_helpers.lessons import vocabulary

UNKNOWN = "a giraffe, a giraffe in waterclor"


@pytest.fixture(autouse=True)
def nothing_told_yet(monkeypatch):
    monkeypatch.setattr(vocabulary, "_told", set())


@pytest.fixture(scope="module")
def loaded():
    """A pipeline of this module's own: other tests would use up the words of a shared one."""
    pipe = load_pipeline("text2img", "classroom")
    pipe.set_progress_bar_config(disable=True)
    return pipe


def told_by(pipe, prompt, **arguments) -> list[str]:
    """The vocabulary's warnings in one short call."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        arguments = {"num_inference_steps": 1, "output_type": "latent", "height": 32, "width": 32} | arguments
        pipe(prompt, **arguments)
    return [str(w.message) for w in caught if "never seen" in str(w.message)]


def test_known_words_are_sorted_and_a_copy():
    words = known_words()
    assert words == sorted(set(words))
    assert {"car", "landscape", "watercolor", "red"} <= set(words)
    assert all(word.isascii() and word.isalpha() and word.islower() for word in words)
    words.clear()
    assert known_words()


@pytest.mark.parametrize("prompt", ["a red car", "A Red Car!!", "red car; (landscape) 42 x", "", ["red", "watercolor"]])
def test_known_words_pass_in_silence(loaded, prompt):
    assert told_by(loaded, prompt) == []


def test_unknown_words_are_named_once_with_the_nearest(loaded):
    assert told_by(loaded, UNKNOWN) == [
        "The classroom model has never seen the words 'giraffe', 'waterclor' (nearest known: 'watercolor'), and "
        f"cannot follow them. It knows {len(known_words())} words: see img2img_helpers.known_words()."
    ]
    assert told_by(loaded, UNKNOWN) == []
    (other,) = told_by(loaded, [UNKNOWN, "a red tiger"])
    assert "never seen the word 'tiger', and cannot follow it." in other


def test_loading_again_does_not_tell_again(loaded):
    assert told_by(loaded, UNKNOWN)
    again = load_pipeline("text2img", "classroom")
    again.set_progress_bar_config(disable=True)
    assert told_by(again, UNKNOWN) == []


def test_negative_prompts_count(loaded):
    (told,) = told_by(loaded, "a red car", negative_prompt="giraffe")
    assert "'giraffe'" in told


def test_a_pipeline_that_shares_the_parts_warns_too(loaded):
    from diffusers import AutoPipelineForInpainting

    pipe = AutoPipelineForInpainting.from_pipe(loaded)
    pipe.set_progress_bar_config(disable=True)
    image = Image.new("RGB", (32, 32))
    (told,) = told_by(pipe, UNKNOWN, image=image, mask_image=image, strength=1.0)
    assert "'giraffe'" in told


def test_the_hook_takes_ids_by_position_and_by_name(loaded):
    for number, call in enumerate((lambda ids: ((ids,), {}), lambda ids: ((), {"input_ids": ids}))):
        args, kwargs = call(loaded.tokenizer(f"a {'giraffe' * (number + 1)}", return_tensors="pt").input_ids)
        with pytest.warns(UserWarning, match="giraffe"):
            loaded.text_encoder(*args, **kwargs)


class LosesLetters:
    """A tokenizer that has no token for some letters: CLIP's end token stands for them."""

    all_special_tokens = ("<|startoftext|>", "<|endoftext|>")

    def decode(self, ids, skip_special_tokens):
        text = "<|startoftext|>red bo<|endoftext|>car caf\ufffd<|endoftext|><|endoftext|>car <|endoftext|>"
        return text.replace("<|endoftext|>", "") if skip_special_tokens else text


def test_a_word_that_the_tokenizer_cuts_stays_apart_from_the_next():
    with pytest.warns(UserWarning, match=r"the words 'bo…' \(nearest known: 'boy'\), 'caf…', and") as caught:
        vocabulary._UnknownWords(LosesLetters())(None, (torch.tensor([[0]]),), {})
    assert len(caught) == 1


def test_no_trouble_reaches_the_call(loaded, monkeypatch):
    monkeypatch.setattr(vocabulary, "_read_words", lambda: 1 / 0)
    assert told_by(loaded, UNKNOWN) == []
    vocabulary._UnknownWords(None)(None, (), {"inputs_embeds": torch.zeros(1, 77, 8)})


def test_a_fallback_warns(pretended_gpu):
    pipe = load_pipeline("text2img")
    pipe.set_progress_bar_config(disable=True)
    assert told_by(pipe, UNKNOWN)


def test_models_of_the_learners_own_never_warn(sd_folders):
    pipe = load_pipeline("text2img", str(sd_folders["base"]))
    pipe.set_progress_bar_config(disable=True)
    assert told_by(pipe, UNKNOWN) == []
    assert not pipe.text_encoder._forward_pre_hooks


def test_outputs_copies_and_saved_files_are_as_without_it(tiny_pipe, tmp_path):
    def edit(pipe):
        generator = torch.Generator().manual_seed(0)
        image = Image.new("RGB", (16, 16), "teal")
        return np.asarray(pipe(UNKNOWN, image, 1.0, num_inference_steps=2, generator=generator).images[0])

    def files(folder):
        return {path.relative_to(folder): path.read_bytes() for path in folder.rglob("*") if path.is_file()}

    plain = edit(tiny_pipe)
    pipe = copy.deepcopy(tiny_pipe)
    pipe.set_progress_bar_config(disable=True)
    vocabulary.warn_about_unknown_words(pipe)
    with pytest.warns(UserWarning, match="giraffe"):
        hooked = edit(pipe)
    np.testing.assert_array_equal(hooked, plain)

    copied = copy.deepcopy(pipe)
    np.testing.assert_array_equal(edit(copied), plain)

    tiny_pipe.save_pretrained(tmp_path / "plain")
    pipe.save_pretrained(tmp_path / "hooked")
    assert files(tmp_path / "hooked") == files(tmp_path / "plain")
    saved = type(pipe).from_pretrained(tmp_path / "hooked", use_safetensors=True)
    assert not saved.text_encoder._forward_pre_hooks
