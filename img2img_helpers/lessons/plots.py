"""The course's figures: one quiet style, legible on light and dark pages, with a text alternative."""

from __future__ import annotations

import contextlib
import functools
import io
import textwrap
import unicodedata
from collections.abc import Mapping
from os import PathLike
from typing import TYPE_CHECKING

import matplotlib
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties, findfont, fontManager, get_font
from matplotlib.text import Text
from PIL import Image

from ..common.settings import checked, listed, number, short
from ..common.settings import text as as_text
from .images import load_for, load_image
from .models import on_classroom
from .strength import NothingRunsError, plan_steps

if TYPE_CHECKING:
    from collections.abc import Sequence

    from diffusers import DiffusionPipeline, SchedulerMixin

    from .recipes import Recipe

# Okabe and Ito's colour-blind-safe palette: blue, orange, green, purple, sky blue, vermilion
COLORS = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00")
INK, PALE = "#222222", "#D9DEE3"
STYLE = {
    "figure.facecolor": "white",  # opaque, so that dark ink also shows on a dark page
    "font.size": 10,
    "axes.titlesize": 10,
    "axes.edgecolor": "#888888",
    "axes.labelcolor": INK,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.color": "#EBEBEB",
    "axes.axisbelow": True,
    "text.color": INK,
    "text.parse_math": False,  # a prompt may name dollars
    "xtick.color": INK,
    "ytick.color": INK,
    "legend.frameon": False,
    "savefig.dpi": 90,
}
MOST_COLORS = 4000  # of a plot: a few, and the shades at the rims of lines and letters
WIDTH = 8.2  # inches: 740 pixels, a notebook's column


class CourseFigure(Figure):
    """A matplotlib figure that Jupyter shows as a picture with :attr:`alt` as its text alternative."""

    alt: str = ""

    def draw(self, renderer) -> None:
        for shown in self.findobj(Text):
            _make_legible(shown)
        super().draw(renderer)

    def _ipython_display_(self) -> None:
        from IPython.display import display

        drawn = io.BytesIO()
        with matplotlib.rc_context(STYLE):
            self.savefig(drawn, format="png")
        kind, data = _small(Image.open(drawn).convert("RGB"))
        display({kind: data, "text/plain": self.alt}, raw=True, metadata={kind: {"alt": self.alt}})


def _make_legible(shown: Text) -> None:
    """Give a text fonts that have its letters, if this computer does; name the signs and leave out the letters else."""
    wanted = {letter for letter in shown.get_text() if ord(letter) > 126 or letter == "\t"}
    for letter in sorted(wanted - _letters(findfont(shown.get_fontproperties()))):
        family = _family_with(letter)
        if family is None:
            category = unicodedata.category(letter)
            named = unicodedata.name(letter, "").lower() if category == "So" else ""
            invisible = category in ("Cc", "Cf", "Mn", "Sk")  # tabs, joiners, emoji's colours
            shown.set_text(shown.get_text().replace(letter, f"({named})" if named else " " if invisible else "…"))
        elif family not in shown.get_family():
            shown.set_family([*shown.get_family(), family])


@functools.cache
def _family_with(letter: str) -> str | None:
    """The first font family of this computer that has ``letter``; Last Resort has a box for everything."""
    for family in sorted({font.name for font in fontManager.ttflist}):
        if "lastresort" not in family.lower().replace(" ", ""):
            # a font that is gone, or that FreeType cannot read, has nothing
            with contextlib.suppress(OSError, RuntimeError, ValueError):
                if letter in _letters(findfont(FontProperties(family=[family]), fallback_to_default=False)):
                    return family
    return None


@functools.cache
def _letters(file: str) -> frozenset[str]:
    return frozenset(map(chr, get_font(file).get_charmap()))


def _small(picture: Image.Image) -> tuple[str, bytes]:
    """``picture`` as a file a third as large as a full PNG, and its MIME type.

    A plot has few colours: a palette does. On pictures a palette puts stains that the model did not make, so they
    become JPEG.
    """
    file = io.BytesIO()
    if picture.getcolors(MOST_COLORS):
        picture.quantize(256, kmeans=2).save(file, format="png", optimize=True)
        return "image/png", file.getvalue()
    picture.save(file, format="jpeg", quality=92, subsampling=0, optimize=True)
    return "image/jpeg", file.getvalue()


@matplotlib.rc_context(STYLE)
def show_images(
    images: Sequence[Image.Image],
    titles: Sequence[str] = (),
    *,
    columns: int | None = None,
    alt: str = "",
    made_by: DiffusionPipeline | None = None,
) -> CourseFigure:
    """Show images side by side.

    Args:
        images: a list of anything :func:`~img2img_helpers.load_image` takes, or a single one.
        titles: one for each image, or none.
        columns: how many in a row; by default all, at most 5.
        alt: what the figure shows, for those who cannot see it; made from the titles if empty.
        made_by: the pipeline that made the images, where ``alt`` tells what the classroom model made: with another
            model's, the titles take its place.

    Raises:
        ValueError: for no images, another number of titles than of images, or no columns.

    Example:
        >>> figure = show_images([example_image("car"), example_image("night")], ["a car", "night"])
        >>> figure.savefig("pictures.png")
    """
    if isinstance(images, (Image.Image, str, bytes, PathLike)) or getattr(images, "ndim", 4) < 4:  # an array, a tensor
        images = [images]
    titles = ["" if title is None else str(title) for title in listed("titles", () if titles is None else titles)]
    images = [load_image(image) for image in listed("images", images)]
    if not images:
        raise ValueError("show_images got an empty list; give it at least one image.")
    if titles and len(titles) != len(images):
        raise ValueError(
            f"show_images needs one title for each image, or none: {len(images)} images, {len(titles)} titles."
        )
    columns = min(len(images), 5) if columns is None else number("columns", columns, 1, 20, whole=True)
    rows = -(-len(images) // columns)
    # few images get a narrower figure, so that none is blown up beyond comfort
    width = min(WIDTH, 2.7 * columns)
    tallest = max(image.height / image.width for image in images)
    lines = 1 + max((title.count("\n") for title in titles), default=-1)
    height = width / columns * tallest + (0.2 if lines < 2 else 0.24) * lines
    figure = _figure(width, rows * (height + 0.06))
    axes = figure.subplots(rows, columns, squeeze=False).ravel()
    for ax in axes:
        ax.axis("off")
    for ax, image in zip(axes, images, strict=False):
        ax.imshow(image, interpolation="lanczos")
    for ax, title in zip(axes, titles, strict=False):
        ax.set_title(title, pad=4)
    if made_by is not None and not on_classroom(made_by):
        alt = ""
    figure.alt = alt or "Images side by side: " + "; ".join(t.replace("\n", " ") for t in titles or ["untitled"])
    return figure


@matplotlib.rc_context(STYLE)
def plot_strength_vs_steps(
    pipeline_or_scheduler: DiffusionPipeline | SchedulerMixin,
    num_inference_steps: int = 30,
    strengths: Sequence[float] = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0),
) -> CourseFigure:
    """For each strength one row: the steps skipped, the steps run, the first timestep, the signal kept.

    Everything is read from :func:`~img2img_helpers.plan_steps`. A strength at which nothing would
    run has an empty row that says so.

    Example:
        >>> figure = plot_strength_vs_steps(pipe, num_inference_steps=30)
    """
    strengths = [checked("strength", strength) for strength in listed("strengths", strengths, least=1)]
    figure = _figure(WIDTH, 0.34 * len(strengths) + 1.1)
    ax = figure.subplots()
    told = []
    for row, strength in enumerate(strengths):
        try:
            plan = plan_steps(pipeline_or_scheduler, strength, num_inference_steps)
        except NothingRunsError:
            ax.barh(row, num_inference_steps, color=PALE, height=0.72)
            note = "nothing runs"
        else:
            ax.barh(row, plan.steps_skipped, color=PALE, height=0.72)
            ax.barh(row, plan.steps_run, left=plan.steps_skipped, color=COLORS[0], height=0.72)
            at = plan.steps_skipped + plan.steps_run / 2
            ax.text(at, row, str(plan.steps_run), ha="center", va="center", color="white", fontweight="bold")
            calls = f", {plan.unet_calls} UNet calls" if plan.unet_calls != plan.steps_run else ""
            note = f"from t = {plan.start_timestep:.0f}, signal kept {plan.signal_kept:.2f}{calls}"
        ax.text(num_inference_steps * 1.01, row, note, va="center")
        told.append(f"strength {strength:g}: {note}")
    ax.set_yticks(range(len(strengths)), [f"{s:g}" for s in strengths])
    ax.invert_yaxis()
    ax.set_xlim(0, num_inference_steps)
    ax.set(xlabel="step (noisy end at the left)", ylabel="strength")
    ax.grid(False)
    scheduler = getattr(pipeline_or_scheduler, "scheduler", pipeline_or_scheduler)
    ax.set_title(
        f"{num_inference_steps} steps of {type(scheduler).__name__}: skipped (grey) and run (blue)", loc="left"
    )
    figure.alt = f"Steps skipped and run for {len(strengths)} strengths. " + "; ".join(told) + "."
    return figure


def plot_noise_levels(
    pipe: DiffusionPipeline, image, strengths: Sequence[float], *, num_inference_steps: int = 30, seed: int = 0
) -> CourseFigure:
    """The image where an edit of each strength starts: its latents with that much noise, decoded.

    Args:
        pipe: an img2img pipeline with a VAE and a scheduler that has ``alphas_cumprod``.
        image: at a size the model takes.
        strengths: 0 to 1; 0 shows the VAE round trip.
        num_inference_steps: of the edit; with fewer steps it starts at less noise.
        seed: of the noise, the same at every strength.

    Raises:
        ValueError: as :func:`~img2img_helpers.plan_steps` does.

    Example:
        >>> image = prepare_image(example_image("car"), 192).image
        >>> figure = plot_noise_levels(pipe, image, [0, 0.5, 1])
    """
    import torch

    strengths = [checked("strength", strength) for strength in listed("strengths", strengths, least=1)]
    image, generator = load_for(pipe, image), torch.Generator().manual_seed(checked("seed", seed))
    plans = [plan_steps(pipe, strength, num_inference_steps) if strength else None for strength in strengths]
    device, dtype = pipe._execution_device, pipe.vae.dtype
    with torch.no_grad():
        pixels = pipe.image_processor.preprocess(image).to(device, dtype)
        # the generator's two draws in the pipeline's order: this is where an edit with that seed starts
        latents = pipe.vae.encode(pixels).latent_dist.sample(generator) * pipe.vae.config.scaling_factor
        noise = torch.randn(latents.shape, generator=generator, dtype=dtype).to(device)
        shown, titles = [], []
        for strength, plan in zip(strengths, plans, strict=True):
            kept = plan.signal_kept if plan else 1.0
            noisy = kept * latents + (1 - kept**2) ** 0.5 * noise
            decoded = pipe.vae.decode(noisy / pipe.vae.config.scaling_factor).sample
            shown += pipe.image_processor.postprocess(decoded)
            titles.append(f"strength {strength:g}\nsignal kept {kept:.2f}")
    told = "; ".join(title.replace("\n", ", ") for title in titles)
    return show_images(shown, titles, alt=f"The image dissolving into noise: {told}.")


@matplotlib.rc_context(STYLE)
def plot_preservation(
    strengths: Sequence[float],
    kept: dict[str, Sequence[float]],
    *,
    ceiling: float | None = None,
    measure: str = "structure kept (SSIM)",
) -> CourseFigure:
    """How much of the input is kept, or has changed, as strength rises.

    Args:
        strengths: 0 to 1.
        kept: for each line's name, one measurement a strength, such as
            :func:`~img2img_helpers.structure_similarity` with the input.
        ceiling: the same measurement of the VAE round trip alone, which no edit exceeds.
        measure: what was measured, from 0 to 1: the axis's label.

    Raises:
        ValueError: if a line has another number of measurements than there are strengths.

    Example:
        >>> figure = plot_preservation([0.3, 0.6, 0.9], {"seed 0": [0.9, 0.7, 0.4]}, ceiling=0.95)
    """
    if not isinstance(kept, Mapping) or not kept:
        raise ValueError(f"kept must be a dict of a name and its measurements for each line, not {short(kept)}.")
    strengths = [number("strengths", strength) for strength in listed("strengths", strengths, least=1)]
    kept = {str(name): [number(str(name), one) for one in listed(str(name), values)] for name, values in kept.items()}
    ceiling = None if ceiling is None else number("ceiling", ceiling)
    measure = as_text("measure", measure) or "measured"
    for name, values in kept.items():
        if len(values) != len(strengths):
            raise ValueError(
                f"plot_preservation needs one measurement a strength: {name!r} has {len(values)}, "
                f"but there are {len(strengths)} strengths."
            )
    figure = _figure(WIDTH * 0.8, 3.4)
    ax = figure.subplots()
    for i, (name, values) in enumerate(kept.items()):
        marker, color = "osD^vP"[i % 6], COLORS[i % len(COLORS)]
        ax.plot(strengths, values, color=color, marker=marker, markersize=5, label=name)
    if ceiling is not None:
        ax.axhline(ceiling, color=INK, linestyle="--", linewidth=1)
        ax.text(1, ceiling + 0.012, "VAE round trip: the ceiling", ha="right", va="bottom", fontsize=9)
    ax.set(xlabel="strength", ylabel=measure, ylim=(0, 1.05), xlim=(0, 1.02))
    if len(kept) > 1:
        ax.legend(loc="best")
    lines = (f"{name} {', '.join(f'{v:.2f}' for v in values)}" for name, values in kept.items())
    at = ", ".join(f"{s:g}" for s in strengths)
    figure.alt = f"{measure[0].upper()}{measure[1:]} at strength {at}: " + "; ".join(lines) + "."
    return figure


@matplotlib.rc_context(STYLE)
def plot_recipe(recipe: Recipe, image, made: Sequence[Image.Image]) -> CourseFigure:
    """A multi-pass edit as a strip: the input and the picture after each pass, with its prompt, strength and seed.

    Args:
        recipe: whose passes were run.
        image: what went in.
        made: what :meth:`Recipe.run` gave, a picture a pass.

    Raises:
        ValueError: if there is not one picture a pass.

    Example:
        >>> image = prepare_image(example_image("car"), 192).image
        >>> recipe = Recipe([EditPass("oil painting style", 0.5, num_inference_steps=5)])
        >>> figure = plot_recipe(recipe, image, recipe.run(pipe, image))
    """
    if not hasattr(recipe, "passes"):
        raise ValueError(f"plot_recipe needs a Recipe, not {short(recipe)}.")
    made = listed("made", made)
    if len(made) != len(recipe.passes):
        raise ValueError(f"plot_recipe needs one picture a pass: {len(recipe.passes)} passes, {len(made)} pictures.")
    notes, told = ["the input"], ["the input"]
    for i, one in enumerate(recipe.passes, 1):
        settings = f"strength {one.strength:g}, seed {one.seed}"
        prompt = textwrap.fill(textwrap.shorten(one.prompt, 64, placeholder=" …"), 24)
        notes.append(f"pass {i}\n{settings}\n{prompt}")
        told.append(f"pass {i}: {settings}, {one.prompt}")
    columns = min(len(notes), 4)
    figure = show_images([image, *made], columns=columns, alt=f"A recipe: {'; '.join(told)}.")
    lines, rows = 1 + max(note.count("\n") for note in notes), -(-len(notes) // columns)
    figure.set_figheight(figure.get_figheight() + 0.2 * lines * rows)
    for ax, note in zip(figure.axes, notes, strict=False):
        ax.set_anchor("N")  # the room that is left is for the notes
        ax.set_title(note, y=0, pad=-6, va="top", loc="left", fontsize=9)
    return figure


def _figure(width: float, height: float) -> CourseFigure:
    """A figure outside pyplot, so that Jupyter shows it once and nothing need be closed."""
    figure = CourseFigure(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(figure)
    return figure
