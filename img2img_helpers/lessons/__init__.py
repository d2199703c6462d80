"""What lessons import, through :mod:`img2img_helpers`: every module with a public name."""
