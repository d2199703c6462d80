"""Helpers for the img2img course: loading, plots and checks; the diffusers calls stay in the lessons.

Every public name is imported on first use, so that ``import img2img_helpers`` is instant and does
not import torch.
"""

from importlib import import_module

__version__ = "0.1.0"

_HOME = {
    "MODELS": "models",
    "ModelCard": "models",
    "describe_models": "models",
    "on_classroom": "models",
    "known_words": "vocabulary",
    "load_pipeline": "pipelines",
    "PreparedImage": "images",
    "example_image": "images",
    "example_mask": "images",
    "example_names": "images",
    "load_image": "images",
    "prepare_image": "images",
    "upscale_tiles": "tiles",
    "edit_grid": "sweep",
    "strength_sweep": "sweep",
    "StepPlan": "strength",
    "plan_steps": "strength",
    "EditPass": "recipes",
    "Recipe": "recipes",
    "color_distance": "measure",
    "match_colors": "measure",
    "structure_similarity": "measure",
    "plot_noise_levels": "plots",
    "plot_preservation": "plots",
    "plot_recipe": "plots",
    "plot_strength_vs_steps": "plots",
    "show_images": "plots",
    "before_after": "widgets",
    "paint_mask": "widgets",
    "picture_slider": "widgets",
    "strength_explorer": "explorer",
    "check_edit": "exercises",
    "check_prediction": "exercises",
    "check_same_image": "exercises",
}
__all__ = sorted(_HOME)


def __getattr__(name: str):
    if name not in _HOME:
        raise AttributeError(f"module 'img2img_helpers' has no attribute {name!r}; it has {', '.join(__all__)}")
    value = getattr(import_module(f".lessons.{_HOME[name]}", __name__), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return [*globals(), *__all__]
