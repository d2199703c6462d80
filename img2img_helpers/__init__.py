"""Helpers for the img2img course: loading, plots and checks; the diffusers calls stay in the lessons.

Every public name is imported on first use, so that ``import img2img_helpers`` is instant and does
not import torch.
"""

from importlib import import_module

__version__ = "0.1.0"

_NAMES = {  # by the module in lessons/ that has them
    "models": ("MODELS", "ModelCard", "describe_models", "on_classroom"),
    "vocabulary": ("known_words",),
    "pipelines": ("load_pipeline",),
    "images": ("PreparedImage", "example_image", "example_mask", "example_names", "load_image", "prepare_image"),
    "tiles": ("upscale_tiles",),
    "sweep": ("edit_grid", "strength_sweep"),
    "strength": ("StepPlan", "plan_steps"),
    "recipes": ("EditPass", "Recipe"),
    "measure": ("color_distance", "match_colors", "structure_similarity"),
    "plots": ("plot_noise_levels", "plot_preservation", "plot_recipe", "plot_strength_vs_steps", "show_images"),
    "widgets": ("before_after", "paint_mask", "picture_slider"),
    "explorer": ("strength_explorer",),
    "exercises": ("check_edit", "check_prediction", "check_same_image"),
}
_HOME = {name: module for module, names in _NAMES.items() for name in names}
__all__ = sorted(_HOME)


def __getattr__(name: str):
    if name not in _HOME:
        raise AttributeError(f"module 'img2img_helpers' has no attribute {name!r}; it has {', '.join(__all__)}")
    value = getattr(import_module(f".lessons.{_HOME[name]}", __name__), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return [*globals(), *__all__]
