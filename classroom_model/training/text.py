"""Stage 3: the tokenizer, and a text encoder that learns to read before the UNet listens to it."""

from __future__ import annotations

import copy
import json
import math
import re
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from safetensors.torch import load_file, save_file
from torch import nn
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTokenizer, CLIPTokenizerFast

from ..world.captions import caption, instruction
from ..world.scenes import (
    BACKDROPS,
    COLORS,
    FLAWS,
    FOREGROUNDS,
    PALETTES,
    PEOPLE,
    PLACES,
    STYLES,
    SUBJECTS,
    TIMES,
    WATERS,
    Scene,
)
from .data import edit_pair, scene_at
from .loop import WEIGHTS, Length, forget_this_computer, pick_device, train

TEXT_WIDTH = 192
INSTRUCTIONS = 1 / 6  # of what the text encoder learns to read: what the instruct model will be told
# Whole tokens for words that captions may come to use; some do by now.
RESERVED_WORDS = (
    "a an the and of in on with at to by for from near under over behind front left right middle center top bottom "
    "background foreground ground image picture portrait person woman man face smiling wearing golden crown jewels "
    "hair watch wristwatch product photography leather steel gold silver strap dial studio ethereal fantasy crystal "
    "crystals glowing magical pink cyan teal brown gray grey vibrant blues warm oranges maintaining original color "
    "palette tones cluttered deformed noisy clean soft hard light lighting moody neon futuristic bright dark fog mist "
    "rain snow clouds cloudy sky sun moon stars winter summer autumn spring morning evening castle village boat "
    "bridge fence flowers grass rocks beach sea ocean desert forest field cottage"
)
# What a caption can be asked about: an attribute of Scene, or a flaw, and the possible answers.
QUESTIONS = {
    "subject": SUBJECTS,
    "style": STYLES,
    "time": TIMES,
    "backdrop": BACKDROPS,
    "water": WATERS,
    "foreground": FOREGROUNDS,
    "clouds": (False, True),
    "color": COLORS,
    "place": PLACES,
    "person": PEOPLE,
    "crown": (False, True),
    "palette": PALETTES,
    "fine": (False, True),
    **dict.fromkeys(FLAWS, (False, True)),
}


def caption_words(captions: list[str]) -> list[str]:
    """The different words of ``captions``, sorted: what the package calls the model's vocabulary."""
    return sorted({word for text in captions for word in re.findall("[a-z]+", text)})


def read_text(index: int, rng: np.random.Generator) -> tuple[str, Scene]:
    """Something to read about training scene ``index``, and that scene: a caption or, one time in six, an instruction."""
    if rng.random() < INSTRUCTIONS:
        before, after, name = edit_pair(index)
        return instruction(before, after, name, rng), after
    scene = scene_at(index)
    return caption(scene, rng), scene


def new_tokenizer(folder: Path) -> CLIPTokenizer:
    """Write to ``folder`` a tokenizer in CLIP's format that knows every caption word whole."""
    rng = np.random.default_rng(0)
    captions = [read_text(i, rng)[0] for i in range(36_000)]
    (folder.parent / "vocabulary.json").write_text(json.dumps(caption_words(captions)) + "\n")
    # single letters too, so that any word can be spelt
    captions += [RESERVED_WORDS, " ".join("abcdefghijklmnopqrstuvwxyz0123456789")] * 50
    write_tokenizer(folder, {"<|startoftext|>": 0, "<|endoftext|>": 1}, [])
    blank = CLIPTokenizerFast.from_pretrained(folder)
    made = blank.train_new_from_iterator(captions, vocab_size=2000, show_progress=False)
    made.model_max_length = 77  # as in Stable Diffusion 1.5
    made.save_pretrained(folder)
    bpe = json.loads((folder / "tokenizer.json").read_text())["model"]
    (folder / "tokenizer.json").unlink()
    write_tokenizer(folder, bpe["vocab"], bpe["merges"])
    return CLIPTokenizer.from_pretrained(folder)


def write_tokenizer(folder: Path, vocabulary: dict[str, int], merges: list[tuple[str, str]]) -> None:
    """Stable Diffusion's own two files, which every version of transformers reads."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "vocab.json").write_text(json.dumps(vocabulary))
    (folder / "merges.txt").write_text("\n".join(["#version: 0.2", *map(" ".join, merges)]) + "\n")


def new_text_encoder(tokenizer: CLIPTokenizer) -> CLIPTextModel:
    return CLIPTextModel(
        CLIPTextConfig(
            vocab_size=len(tokenizer),
            hidden_size=TEXT_WIDTH,
            intermediate_size=4 * TEXT_WIDTH,
            num_hidden_layers=2,
            num_attention_heads=4,
            max_position_embeddings=tokenizer.model_max_length,
            bos_token_id=tokenizer.bos_token_id,
            eos_token_id=tokenizer.eos_token_id,
            pad_token_id=tokenizer.pad_token_id,
        )
    )


def name_as_stable_diffusion_does(folder: Path) -> None:
    """Begin the names of a saved text encoder's weights with ``text_model.``.

    transformers 5 leaves that out when it saves; transformers 4 then finds none of the weights, and draws its own.
    """
    path = folder / "model.safetensors"
    weights = {f"text_model.{name.removeprefix('text_model.')}": weight for name, weight in load_file(path).items()}
    save_file(weights, path, metadata={"format": "pt"})


def load_in_float32(folder: Path) -> None:
    """Name float32 in a text encoder's settings, whatever its file holds.

    transformers 5 loads it in the dtype that its settings name, diffusers everything else in float32: a plain
    ``from_pretrained`` of the whole folder would mix the two, and fail at the first call.
    """
    path = folder / "config.json"
    settings = json.loads(path.read_text())
    named = [name for name in ("dtype", "torch_dtype") if name in settings]  # version 4 names it torch_dtype
    path.write_text(json.dumps(settings | dict.fromkeys(named, "float32"), indent=2) + "\n")


def tokenize(tokenizer: CLIPTokenizer, texts: list[str]) -> torch.Tensor:
    """Token ids, (n, 77), padded and cut as the pipelines do it."""
    options = {"padding": "max_length", "max_length": tokenizer.model_max_length, "truncation": True}
    # without masks and by way of NumPy in half the time
    return torch.from_numpy(tokenizer(texts, return_tensors="np", return_attention_mask=False, **options).input_ids)


class Reader(nn.Module):
    """A text encoder with one question about the picture for each of QUESTIONS.

    It answers from the end token and from the last of the padding: the UNet looks at both.
    """

    def __init__(self, text_encoder: CLIPTextModel) -> None:
        super().__init__()
        self.text_encoder = text_encoder
        self.heads = nn.ModuleDict({name: nn.Linear(TEXT_WIDTH, len(of)) for name, of in QUESTIONS.items()})

    def forward(self, tokens: torch.Tensor) -> dict[str, torch.Tensor]:
        """Logits (2, n, answers) for each question."""
        hidden = self.text_encoder(tokens)[0]
        end = (tokens == self.text_encoder.config.eos_token_id).int().argmax(1)
        summary = torch.stack([hidden[torch.arange(len(tokens)), end], hidden[:, -1]])
        return {name: head(summary) for name, head in self.heads.items()}


def reading_loss(logits: dict[str, torch.Tensor], scenes: list[Scene]) -> torch.Tensor:
    """Cross-entropy of the answers. What a caption leaves out can only be guessed; that costs all alike."""
    loss = torch.zeros(())
    for name, values in QUESTIONS.items():
        answers = [name in scene.flaws if name in FLAWS else getattr(scene, name) for scene in scenes]
        right = torch.tensor([values.index(answer) for answer in answers], device=logits[name].device)
        loss = loss + F.cross_entropy(logits[name].float().flatten(0, 1), right.repeat(2))
    return loss


def train_text(until: Length, batch: int, lr: float, device_name: str) -> None:
    """Make the tokenizer and a text encoder that can tell from a caption what is in the picture.

    CLIP learns that from pictures and their captions. Our painter knows the answers, so a few
    minutes will do, and the UNet need not wait until its own, much fainter gradient has taught
    words: with an untrained text encoder it did not follow colours after 3,300 steps.
    """
    device = pick_device(device_name)
    torch.manual_seed(0)
    tokenizer = new_tokenizer(WEIGHTS / "tokenizer")
    reader = Reader(new_text_encoder(tokenizer)).to(device).train()
    reader.text_encoder.set_attn_implementation("eager")  # twice as quick to train on a CPU as the fused one

    def loss_at(step: int) -> torch.Tensor:
        rng = np.random.default_rng([3, step])
        texts, scenes = zip(*(read_text(int(i), rng) for i in rng.integers(1_000_000, size=batch)), strict=True)
        return reading_loss(reader(tokenize(tokenizer, list(texts)).to(device)), scenes)

    def save() -> None:
        copy.deepcopy(reader.text_encoder).half().save_pretrained(WEIGHTS / "text_encoder")
        name_as_stable_diffusion_does(WEIGHTS / "text_encoder")
        load_in_float32(WEIGHTS / "text_encoder")
        forget_this_computer(WEIGHTS / "text_encoder")

    options = {"ema_decay": 0.99, "every": math.inf, "anew": True}
    train("text", reader, loss_at, until=until, batch=batch, lr=lr, device=device, save=save, **options)
