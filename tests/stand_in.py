"""Run lessons on a stand-in for Stable Diffusion 1.5, and say which cells fail.

    python -m tests.stand_in notebooks/*.ipynb

It is the classroom model with Stable Diffusion's habits: PNDM that names no ``timestep_spacing`` (Euler ancestral for
instructions), a safety checker, folders of their own for masks, instructions and upscaling, a native size 64 pixels larger.
What a lesson asserts must hold on it too. Its pictures are worse than the classroom model's, which was not trained at that
size.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import nbformat
from diffusers import EulerAncestralDiscreteScheduler, PNDMScheduler, StableDiffusionPipeline
from diffusers.pipelines.stable_diffusion import StableDiffusionSafetyChecker
from transformers import CLIPConfig, CLIPImageProcessor

from img2img_helpers import load_pipeline
from img2img_helpers.lessons.models import CLASSROOM_FOLDER
from tests.isolation import ROOT, isolate_this_process
from tests.notebook_outputs import execute

LARGER = {"upscale": 64 // 4}  # latents; for other tasks 64 // 8


def safety_checker() -> StableDiffusionSafetyChecker:
    """The smallest, of random numbers, that finds nothing to hide."""
    small = {"hidden_size": 8, "intermediate_size": 8, "num_hidden_layers": 1, "num_attention_heads": 1}
    checker = StableDiffusionSafetyChecker(CLIPConfig(vision_config=small, text_config=small, projection_dim=8))
    for limits in (checker.concept_embeds_weights, checker.special_care_embeds_weights):
        limits.data.fill_(2)  # a cosine is at most 1
    return checker


def write_all(folder: Path) -> dict[str, Path]:
    """One folder a kind of model, as :func:`tests.tiny_models.as_sd15` wants them."""
    folders = {}
    for name, task in {"base": "img2img", **{task: task for task in ("inpaint", "upscale", "instruct")}}.items():
        pipe = load_pipeline(task, "classroom", device="cpu")
        pipe.unet.register_to_config(sample_size=pipe.unet.config.sample_size + LARGER.get(task, 64 // 8))
        parts = pipe.components
        if task != "upscale":
            settings = {k: v for k, v in pipe.scheduler.config.items() if k not in ("timestep_spacing", "_class_name")}
            # InstructPix2Pix comes with one that draws fresh noise at each step
            scheduler = EulerAncestralDiscreteScheduler if task == "instruct" else PNDMScheduler
            parts["scheduler"] = scheduler.from_config(settings)
            checked = {"safety_checker": safety_checker(), "feature_extractor": CLIPImageProcessor(size=224)}
            parts |= checked | {"requires_safety_checker": True}
        cls = StableDiffusionPipeline if task == "img2img" else type(pipe)
        folders[name] = folder / name
        cls(**parts).save_pretrained(folders[name])
    return folders | {name: CLASSROOM_FOLDER / name for name in ("controlnet", "lcm_lora", "vae_tiny")}


def run(notebook: nbformat.NotebookNode, folders: dict[str, Path]) -> nbformat.NotebookNode:
    """``notebook`` run with these folders in place of Stable Diffusion 1.5; a cell that fails does not end it."""
    given = {name: str(folder) for name, folder in folders.items()}
    first = nbformat.v4.new_code_cell(
        f"import sys\nsys.path.insert(0, {str(ROOT)!r})\nfrom img2img_helpers import MODELS\nfrom tests import tiny_models\n"
        f"MODELS['sd15'] = tiny_models.as_sd15({given!r})"
    )
    notebook.cells[1:1] = [first]
    return execute(notebook, model="sd15")


def main() -> None:
    if len(sys.argv) < 2:
        sys.exit("usage: python -m tests.stand_in notebooks/*.ipynb")
    isolate_this_process()
    failed = False
    with tempfile.TemporaryDirectory() as folder:
        folders = write_all(Path(folder))
        for path in map(Path, sys.argv[1:]):
            ran = run(nbformat.read(path, 4), folders)
            errors = [
                (cell.source, output)
                for cell in ran.cells
                for output in cell.get("outputs", [])
                if output.output_type == "error" and "raises-exception" not in cell.metadata.get("tags", [])
            ]
            print(f"{path.stem}: {len(errors) or 'no'} cell{'' if len(errors) == 1 else 's'} failed", flush=True)
            for source, output in errors:
                print(f"--- {output.ename}: {output.evalue}\n{source}\n")
            failed |= bool(errors)
    sys.exit(failed)


if __name__ == "__main__":
    main()
