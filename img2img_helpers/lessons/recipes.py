"""A multi-pass edit as data: run it, keep it in a file, run it again."""

from __future__ import annotations

import hashlib
import json
import os
import platform
import warnings
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

from PIL import Image, PngImagePlugin

from ..common.settings import RULES, checked, short
from ..common.settings import path as as_path
from ..common.writing import make_folder, write_whole
from .images import load_for, load_image
from .strength import plan_steps
from .sweep import decode

if TYPE_CHECKING:
    import torch
    from diffusers import DiffusionPipeline

CHAINS = ("pixels", "latents")
PNG_KEY = "img2img_recipe"  # the text chunk of a PNG that carries a recipe
MAX_PASSES = 100
MAX_BYTES = 3_000_000  # of a recipe file: as many passes with the longest prompts are less, whatever the alphabet


@dataclass(frozen=True)
class EditPass:
    """One img2img call, but for the image that goes into it.

    Attributes:
        prompt: what the image is to become.
        strength: above 0, up to 1.
        seed: of the generator that draws this pass's noise, 0 to 2⁶³ − 1.
        negative_prompt: what it is not to become.
        num_inference_steps: 1 to 1000.
        guidance_scale: 0 to 100; at 1 or below there is no guidance.

    Raises:
        ValueError: for a value of the wrong type or out of range; says which values work.

    Example:
        >>> EditPass("dramatic sunset lighting", strength=0.4, seed=7).num_inference_steps
        30
    """

    prompt: str
    strength: float = 0.5
    seed: int = 0
    negative_prompt: str = ""
    num_inference_steps: int = 30
    guidance_scale: float = 7.5

    def __post_init__(self) -> None:
        for name in ("prompt", "negative_prompt"):
            value = getattr(self, name)
            if not isinstance(value, str) or len(value) > 2000:
                raise ValueError(f"{name} must be a text of at most 2000 characters, not {short(value)}.")
        for name in RULES:
            object.__setattr__(self, name, checked(name, getattr(self, name)))
        if self.strength == 0:
            raise ValueError("strength must be above 0: at 0 no step would run.")


@dataclass
class Recipe:
    """The passes of an edit, in order, and what they were last run with.

    Attributes:
        passes: one or more :class:`EditPass`.
        chain: how a pass hands its result to the next: as ``pixels`` (decoded, rounded to 8 bit and
            encoded again) or as ``latents``.
        made_with: filled in by :meth:`run`: model, scheduler, device, dtype, versions, and a digest of the
            image that went in.

    Raises:
        ValueError: if there is no pass, or too many, or ``chain`` is not known.

    Example:
        >>> recipe = Recipe([EditPass("oil painting style", 0.6, num_inference_steps=5), EditPass("sunset", 0.4, num_inference_steps=5)])
        >>> first, last = recipe.run(pipe, example_image("landscape").resize((192, 192)))
        >>> last.size
        (192, 192)
    """

    passes: tuple[EditPass, ...]
    chain: str = "pixels"
    made_with: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if isinstance(self.passes, (str, EditPass, Mapping)) or not hasattr(self.passes, "__iter__"):
            raise ValueError("passes must be a list of EditPass(prompt, strength, seed).")
        self.passes = tuple(self.passes)
        if not 1 <= len(self.passes) <= MAX_PASSES:
            raise ValueError(f"A recipe has from 1 to {MAX_PASSES} passes, not {len(self.passes)}.")
        for number, one in enumerate(self.passes, 1):
            if not isinstance(one, EditPass):
                raise ValueError(f"Pass {number} must be an EditPass(prompt, strength, seed), not {short(one)}.")
        if self.chain not in CHAINS:
            raise ValueError(f"chain must be {' or '.join(map(repr, CHAINS))}, not {short(self.chain)}.")
        if not isinstance(self.made_with, Mapping):
            raise ValueError(f"made_with must be a dict, which Recipe.run fills in, not {short(self.made_with)}.")

    def run(self, pipe: DiffusionPipeline, image, folder: str | os.PathLike | None = None) -> list[Image.Image]:
        """Run all passes, each with a fresh generator of its own seed.

        Args:
            pipe: an img2img pipeline.
            image: what the first pass starts from, anything :func:`~img2img_helpers.load_image` takes, of a
                size that ``pipe`` takes; see :func:`~img2img_helpers.prepare_image`.
            folder: where to save every pass as soon as it is finished, ``pass-1.png`` and so on, each with
                its recipe inside. Passes that the same recipe has left there are loaded, not made again: run
                it again after an interruption and it goes on.

        Returns:
            The image after each pass; the last is the result.

        Raises:
            ValueError: before anything is run: if a pass would run no step, if the image has a size that
                ``pipe`` would cut, if ``pipe`` is not one of Stable Diffusion 1 or 2 and ``chain`` is ``latents``, or if ``folder`` holds the passes of another recipe.
            OSError: before anything is run: if ``folder`` cannot be made. A disk that is full later is a warning.
        """
        from tqdm.auto import tqdm

        image = load_for(pipe, image)
        for number, one in enumerate(self.passes, 1):
            try:
                plan_steps(pipe, one.strength, one.num_inference_steps)
            except ValueError as error:
                raise ValueError(f"Pass {number}: {error}") from error
        if self.chain == "latents" and not hasattr(pipe, "run_safety_checker"):
            raise ValueError(f"{type(pipe).__name__} cannot chain latents here; use chain='pixels'.")
        here = provenance(pipe, image)
        store = None
        if folder is not None:
            store = _Store(replace(self, made_with=here), as_path("folder", folder))
        for line in self.differences(here):
            print(line)
        self.made_with = here
        made, current = [], image
        for number, one in enumerate(tqdm(self.passes, desc="passes", unit="pass"), 1):
            finished = store.load(number) if store else None
            if finished is None:
                finished = self._one_pass(pipe, one, current)
                if store:
                    try:
                        store.save(number, *finished)
                    except OSError as error:  # what has been made must still come back
                        warnings.warn(f"{error} This pass and those after it are not kept there.", stacklevel=2)
                        store = None
            picture, current = finished
            made.append(picture)
        return made

    def _one_pass(self, pipe: DiffusionPipeline, one: EditPass, current) -> tuple[Image.Image, object]:
        """The picture after a pass from ``current``, and what the next pass starts from: the picture, or its latents."""
        import torch

        # the CPU's noise is the same on every device; from torch 2.12 on, in another dtype the same but for rounding
        call = asdict(one) | {"image": current, "generator": torch.Generator().manual_seed(one.seed)}
        del call["seed"]
        if self.chain == "pixels":
            picture = pipe(**call).images[0]
            return picture, picture
        latents = pipe(output_type="latent", **call).images
        return decode(pipe, latents)[0], latents

    def differences(self, made_with: Mapping[str, str]) -> list[str]:
        """What is not as it was when this recipe was last run, a sentence each.

        Args:
            made_with: of the run to compare with, as in the attribute of that name.

        Returns:
            An empty list if nothing differs or it was never run. The result is then the same image, unless the
            model's own weights were changed in memory, as by ``fuse_lora``.
        """
        told = []
        for name, before in ({"adapters": "none"} | self.made_with if self.made_with else {}).items():
            now = made_with.get(name, "none")
            if now != before and name == "image":
                told.append("This is another image than the recipe was made with, or its pixels have changed.")
            elif now != before:
                told.append(f"The recipe was made with {name} {before}, this is {now}: the result may differ.")
        return told

    def save(self, path: str | os.PathLike, image: Image.Image | None = None) -> Path:
        """Write the recipe as JSON, or into a PNG file that shows ``image``.

        Args:
            path: ends in ``.json``, or in ``.png`` if there is an ``image``.
            image: the recipe's result.

        Raises:
            ValueError: for another ending, or a PNG without an image.
            OSError: if the file cannot be written; one that was there before is left as it was.
        """
        path = as_path("path", path)
        if path.suffix.lower() not in (".json", ".png") or (path.suffix.lower() == ".png") != (image is not None):
            raise ValueError(
                f"A recipe is saved as 'name.json', or as 'name.png' with its image; not as {path.name!r} "
                f"with{'out' if image is None else ''} an image."
            )
        if image is None:
            text = json.dumps(self._as_data(), indent=2, ensure_ascii=False)
            write_whole(path, lambda part: part.write_text(text, "utf-8"))
        else:
            _save_png(path, load_image(image), self._as_data())
        return path

    @classmethod
    def load(cls, path: str | os.PathLike) -> Recipe:
        """Read a recipe from a JSON file or from a PNG that carries one.

        The file may come from anybody: every key, type and range is checked, and nothing in it is run.

        Raises:
            FileNotFoundError: if there is no such file.
            ValueError: if it holds no recipe, or one with a wrong entry; says which.
        """
        path = as_path("path", path)
        if not os.path.isfile(path):  # Path's own raises an error for a text too long for a name
            raise FileNotFoundError(
                f"There is no recipe file {str(path)!r}; the current folder is {Path.cwd().name!r}."
            )
        text = _png_text(path) if path.suffix.lower() == ".png" else _json_text(path)
        if text is None:
            raise ValueError(f"{path.name} carries no recipe; only PNG files that Recipe.save wrote do.")
        try:
            data = json.loads(text, parse_constant=_no_constant)
        except (ValueError, RecursionError) as error:
            raise ValueError(f"{path.name} holds no recipe: it is not valid JSON.") from error
        return cls._from_data(data, path.name)

    def _as_data(self) -> dict:
        passes = [asdict(one) for one in self.passes]
        return {"format": 1, "chain": self.chain, "passes": passes, "made_with": dict(self.made_with)}

    @classmethod
    def _from_data(cls, data, name: str) -> Recipe:
        _check_keys(data, {"format", "passes"}, {"chain", "made_with"}, f"The recipe in {name}")
        if data["format"] != 1:
            raise ValueError(f"The recipe in {name} has the format {short(data['format'])}; this version reads 1.")
        if not isinstance(data["passes"], list):
            raise ValueError(f"The recipe in {name} must have a list of passes.")
        known, passes = {one.name for one in fields(EditPass)}, []
        for number, one in enumerate(data["passes"][: MAX_PASSES + 1], 1):
            where = f"Pass {number} in {name}"
            _check_keys(one, {"prompt"}, known - {"prompt"}, where)
            try:
                passes.append(EditPass(**one))
            except ValueError as error:
                raise ValueError(f"{where}: {error}") from error
        made_with = data.get("made_with", {})
        texts = isinstance(made_with, dict) and all(isinstance(value, str) for value in made_with.values())
        if not texts or len(made_with) > 20:
            raise ValueError(f"The recipe in {name} must have texts only in made_with.")
        return cls(passes, data.get("chain", "pixels"), made_with)


class _Store:
    """The finished passes of one recipe in a folder."""

    def __init__(self, recipe: Recipe, folder: Path) -> None:
        self.recipe, self.folder = recipe, make_folder(folder)
        for number in range(1, len(recipe.passes) + 1):
            if self._png(number).exists() and not self._is_ours(number):
                raise ValueError(
                    f"{self._png(number)} is from another recipe or image, and would be lost; choose another folder."
                )

    def _png(self, number: int) -> Path:
        return self.folder / f"pass-{number}.png"

    def _latents(self, number: int) -> Path:
        return self.folder / f"pass-{number}.safetensors"

    def _up_to(self, number: int) -> Recipe:
        return replace(self.recipe, passes=self.recipe.passes[:number])

    def _is_ours(self, number: int) -> bool:
        try:
            return is_same(Recipe.load(self._png(number)), self._up_to(number))
        except ValueError:
            return False

    def load(self, number: int):
        if not self._png(number).exists():
            return None
        with Image.open(self._png(number)) as stored:
            picture = stored.convert("RGB")
        if self.recipe.chain == "pixels":
            return picture, picture
        return (picture, _load_latents(self._latents(number))) if self._latents(number).exists() else None

    def save(self, number: int, picture: Image.Image, current) -> None:
        if self.recipe.chain == "latents":
            write_whole(self._latents(number), lambda part: _save_latents(part, current))
        _save_png(self._png(number), picture, self._up_to(number)._as_data())  # last: a pass with a picture is whole


def is_same(one: Recipe, other: Recipe, names: Iterable[str] = ("model", "adapters", "scheduler", "image")) -> bool:
    """Whether two recipes differ in nothing but what they were made with, and of that in none of ``names``."""
    return (one.passes, one.chain) == (other.passes, other.chain) and all(
        one.made_with.get(name) == other.made_with.get(name) for name in names
    )


def _save_latents(path: Path, latents: torch.Tensor) -> None:
    import torch
    from safetensors.torch import save

    # kept, since the next pass rounds its sums in another order where numbers lie in another order in memory
    channels_last = latents.is_contiguous(memory_format=torch.channels_last)
    path.write_bytes(save({"latents": latents.cpu().contiguous()}, {"channels_last": str(channels_last)}))


def _load_latents(path: Path) -> torch.Tensor:
    import torch
    from safetensors import safe_open

    with safe_open(path, "pt") as file:
        channels_last = (file.metadata() or {}).get("channels_last") == "True"
        latents = file.get_tensor("latents")
    return latents.contiguous(memory_format=torch.channels_last if channels_last else torch.contiguous_format)


def provenance(pipe: DiffusionPipeline, image: Image.Image, **others: Image.Image) -> dict[str, str]:
    """What an edit of ``image``, and of ``others`` such as a mask, is made with.

    As :attr:`Recipe.made_with` keeps it; names no folder.
    """
    device = pipe._execution_device.type  # with parts kept on the CPU until they are needed, still the GPU
    if device == "cuda":
        import torch

        device = torch.cuda.get_device_name(pipe._execution_device)
    elif device == "cpu":
        device = f"cpu ({platform.machine()})"
    name = str(pipe.config.get("_name_or_path") or "unknown")
    digests = {
        what: _digest(f"{one.size}".encode() + one.tobytes()) for what, one in {"image": image, **others}.items()
    }
    return {
        "model": Path(name).name if Path(name).exists() else name,  # a folder's path is nobody else's business
        "pipeline": type(pipe).__name__,
        **_adapters(pipe),
        "scheduler": f"{type(pipe.scheduler).__name__} ({_digest(pipe.scheduler.to_json_string().encode())[:8]})",
        "device": device,
        "dtype": str(pipe.dtype).removeprefix("torch."),
        "torch": version("torch").split("+")[0],
        "diffusers": version("diffusers"),
        **digests,
    }


def _adapters(pipe: DiffusionPipeline) -> dict[str, str]:
    """Which LoRAs change what ``pipe`` makes, and a digest of their weights and scales; empty if none does."""
    names, digest = set(), hashlib.sha256()
    for part in pipe.components.values():
        for place, layer in part.named_modules() if getattr(part, "peft_config", None) else ():
            if not hasattr(layer, "lora_A") or layer.disable_adapters:
                continue
            for name in layer.active_adapters:
                if name in layer.lora_A and layer.scaling[name]:
                    names.add(name)
                    digest.update(f"{place} {name} {layer.scaling[name]:g}".encode())
                    for weight in (layer.lora_A[name].weight, layer.lora_B[name].weight):
                        digest.update(weight.detach().float().cpu().numpy().tobytes())
    return {"adapters": f"{', '.join(sorted(names))} ({digest.hexdigest()[:8]})"} if names else {}


def _digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()[:16]


def _save_png(path: Path, image: Image.Image, data: dict) -> None:
    info = PngImagePlugin.PngInfo()
    info.add_itxt(PNG_KEY, json.dumps(data, ensure_ascii=False))
    write_whole(path, lambda part: image.save(part, format="PNG", pnginfo=info))


def _png_text(path: Path) -> str | None:
    try:
        with Image.open(path, formats=["PNG"]) as stored:
            stored.load()  # a text may stand behind the pixels
            return stored.text.get(PNG_KEY)
    except Exception as error:  # Pillow's readers raise nearly anything over damaged files
        raise ValueError(f"{path.name} could not be read as a PNG image.") from error


def _json_text(path: Path) -> str:
    if path.stat().st_size > MAX_BYTES:
        raise ValueError(f"{path.name} has more than {MAX_BYTES // 1000} kB, too much for a recipe.")
    try:
        return path.read_text("utf-8-sig")  # some editors put a mark in front
    except UnicodeDecodeError as error:
        raise ValueError(f"{path.name} holds no recipe: it is not a text file.") from error


def _no_constant(name: str):
    raise ValueError(f"{name} is not a number that JSON knows")


def _check_keys(data, needed: set[str], allowed: set[str], where: str) -> None:
    if not isinstance(data, dict):
        raise ValueError(f"{where} must be a set of named entries, not {short(data)}.")
    for name in sorted(needed - set(data)):
        raise ValueError(f"{where} has no entry {name!r}.")
    for name in sorted(set(data) - needed - allowed):
        raise ValueError(
            f"{where} has an unknown entry {short(name)}; known are {', '.join(sorted(needed | allowed))}."
        )
