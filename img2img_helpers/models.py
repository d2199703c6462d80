"""The models that the course runs on, as data."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

TASKS = ("img2img", "text2img", "inpaint", "upscale", "controlnet")
CLASSROOM_FOLDER = Path(__file__).parent / "classroom"


@dataclass(frozen=True)
class ModelCard:
    """What a learner wants to know before loading a model.

    Attributes:
        name: what ``load_pipeline(model=…)`` takes.
        title: the name that people use.
        ids: for each task, hub ids or folders that hold the same weights, tried in order.
        controlnet_ids: the ControlNets that go with ``ids["controlnet"]``, likewise.
        licence: of the weights.
        download_gb: for the task img2img, in fp16 where there is such a variant; 0 if bundled or unknown.
        memory_gb: graphics memory (or RAM on a CPU) that one edit at native size needs, roughly.
        native_size: width and height, in pixels, that the model was trained for.
        num_inference_steps: a sensible default.
        guidance_scale: a sensible default.
        checked: month in which ids and figures were last checked against their sources.

    Example:
        >>> MODELS["sd15"].native_size
        512
    """

    name: str
    title: str
    ids: dict[str, tuple[str, ...]]
    licence: str
    download_gb: float
    memory_gb: float
    native_size: int
    num_inference_steps: int
    guidance_scale: float
    checked: str
    controlnet_ids: tuple[str, ...] = ()


_SD15 = ("stable-diffusion-v1-5/stable-diffusion-v1-5", "benjamin-paine/stable-diffusion-v1-5")

MODELS: dict[str, ModelCard] = {
    "classroom": ModelCard(
        name="classroom",
        title="the classroom model",
        ids=dict.fromkeys(TASKS, (str(CLASSROOM_FOLDER),)),
        controlnet_ids=(str(CLASSROOM_FOLDER / "controlnet"),),
        licence="MIT",
        download_gb=0.0,
        memory_gb=0.6,
        native_size=128,
        num_inference_steps=30,
        guidance_scale=7.5,
        checked="2026-11",
    ),
    "sd15": ModelCard(
        name="sd15",
        title="Stable Diffusion 1.5",
        ids={
            "img2img": _SD15,
            "text2img": _SD15,
            "controlnet": _SD15,
            "inpaint": ("stable-diffusion-v1-5/stable-diffusion-inpainting",),
            # Stability AI removed its 2.x models in November 2025; the copy is the community's
            "upscale": ("stabilityai/stable-diffusion-x4-upscaler", "sd2-community/stable-diffusion-x4-upscaler"),
        },
        controlnet_ids=("lllyasviel/control_v11p_sd15_canny", "lllyasviel/sd-controlnet-canny"),
        licence="CreativeML OpenRAIL-M",
        download_gb=2.8,
        memory_gb=3.5,
        native_size=512,
        num_inference_steps=30,
        guidance_scale=7.5,
        checked="2026-11",
    ),
}


def describe_models() -> str:
    """The table of :data:`MODELS`, as Markdown that Jupyter shows as a table.

    Example:
        >>> "Stable Diffusion 1.5" in describe_models()
        True
    """
    rows = [
        "| `model=` | name | tasks | download | memory | native size | steps | guidance | licence | checked |",
        "|---|---|---|---|---|---|---|---|---|---|",
    ]
    for card in MODELS.values():
        download = f"{card.download_gb:g} GB" if card.download_gb else "none: bundled"
        rows.append(
            f"| `{card.name}` | {card.title} | {', '.join(card.ids)} | {download} | about {card.memory_gb:g} GB "
            f"| {card.native_size}×{card.native_size} | {card.num_inference_steps} | {card.guidance_scale:g} "
            f"| {card.licence} | {card.checked} |"
        )
    return _Markdown("\n".join(rows))


class _Markdown(str):
    """A string that Jupyter renders as Markdown."""

    def _repr_markdown_(self) -> str:
        return str(self)
