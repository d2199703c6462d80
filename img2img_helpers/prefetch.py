"""Download what load_pipeline will ask for, before class.

    python -m img2img_helpers.prefetch --dry-run              what would be downloaded, and how much
    python -m img2img_helpers.prefetch                        Stable Diffusion 1.5, for img2img
    python -m img2img_helpers.prefetch --tasks inpaint controlnet
    python -m img2img_helpers.prefetch --few-steps            with the LCM-LoRA of load_pipeline(few_steps=True)

Files that are here already are not fetched again, and an interrupted download goes on where it stopped. The
classroom model needs none of this: it is part of the package.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from .common.hub import told_by_hub
from .lessons.models import MODELS, TASKS, ModelCard

NAMES = ("model.", "diffusion_pytorch_model.", "pytorch_lora_weights.")  # of weights in the libraries' own format
SPARE = 2 * 10**9  # bytes that should stay free on the disk


@dataclass(frozen=True)
class Download:
    """The files of one hub model that ``load_pipeline`` reads.

    Attributes:
        model_id: on the hub.
        files: path in the repository → bytes.
        missing: those of ``files`` that are not on this computer yet.
        compared: whether the hub said which files there are; else ``files`` are those that are here.
    """

    model_id: str
    files: dict[str, int]
    missing: tuple[str, ...] = ()
    compared: bool = True

    @property
    def bytes_missing(self) -> int:
        return sum(self.files[name] for name in self.missing)


def wanted_files(listing: dict[str, int]) -> dict[str, int]:
    """Of a repository's files (path → bytes) those that ``load_pipeline`` reads.

    Configuration and vocabulary, and of every part the safetensors weights, in half precision where there are
    such. Checkpoints for other programs, which lie at the top, are left out unless the repository is a single
    part itself, as a ControlNet's is.
    """
    weights = [n for n in listing if n.endswith(".safetensors") and n.rpartition("/")[2].startswith(NAMES)]
    if "model_index.json" in listing:
        weights = [name for name in weights if "/" in name]
    chosen = []
    for folder in {name.rpartition("/")[0] for name in weights}:
        here = [name for name in weights if name.rpartition("/")[0] == folder]
        half = [name for name in here if ".fp16." in name]
        chosen += half or [name for name in here if name.count(".") == 1]
    texts = [n for n in listing if n.endswith((".json", ".txt")) and not n.startswith(".") and "non_ema" not in n]
    return {name: listing[name] for name in sorted([*chosen, *texts])}


def find_here(ids: Iterable[str]) -> Download | None:
    """The first of ``ids`` that is whole on this computer, as far as that can be told without the hub, or None."""
    from huggingface_hub import snapshot_download

    for model_id in ids:
        try:
            folder = Path(snapshot_download(model_id, local_files_only=True))
        except (ValueError, OSError):
            continue
        listing = {
            path.relative_to(folder).as_posix(): path.stat().st_size for path in folder.rglob("*") if path.is_file()
        }
        files = wanted_files(listing)
        if any(name.endswith(".safetensors") for name in files) and not _lacks(folder, files):
            return Download(model_id, files, compared=False)
    return None


def _lacks(folder: Path, files: Iterable[str]) -> set[str]:
    """Parts that ``model_index.json`` lists and that are not among ``files``, and models without their weights."""
    names = [name.rpartition("/") for name in files]
    index = folder / "model_index.json"
    listed = json.loads(index.read_text("utf-8")) if index.is_file() else {}
    parts = {name for name, told in listed.items() if isinstance(told, list) and told[1]}
    models = {part for part, _, file in names if file == "config.json"}
    weighty = {part for part, _, file in names if file.endswith(".safetensors")}
    return (parts - {part for part, _, _ in names}) | (models - weighty)


def find_download(ids: Iterable[str]) -> Download:
    """Ask the hub for the first of ``ids`` that it has; where it does not answer, look for one that is here.

    Raises:
        OSError: if none can be had; says why.
    """
    from huggingface_hub import HfApi, try_to_load_from_cache

    last: Exception | None = None
    for model_id in ids:
        try:
            found = HfApi().model_info(model_id, files_metadata=True, timeout=20).siblings
        except Exception as error:  # the hub's clients raise their transport library's own errors
            last = error
            continue
        files = wanted_files({file.rfilename: file.size or 0 for file in found})
        if not any(name.endswith(".safetensors") for name in files):
            last = ValueError(f"{model_id} holds no safetensors weights")
            continue
        here = {name for name in files if isinstance(try_to_load_from_cache(model_id, name), str)}
        return Download(model_id, files, tuple(name for name in files if name not in here))
    if here := find_here(ids):
        return here
    reason, advice = told_by_hub(last) if last else ("there are no ids", "name one")
    raise OSError(f"None of {', '.join(ids)} could be found: {reason}; {advice}.")


def free_for_models() -> int:
    """Bytes free on the disk that downloaded models go to."""
    from huggingface_hub import constants

    cache = Path(constants.HF_HUB_CACHE)
    return shutil.disk_usage(next(folder for folder in (cache, *cache.parents) if folder.exists())).free


def _size(count: int) -> str:
    return f"{count / 1e9:.1f} GB" if count >= 1e8 else f"{count / 1e6:.0f} MB"


def _groups(card: ModelCard, tasks: list[str], few_steps: bool) -> dict[tuple[str, ...], list[str]]:
    """The ids to fetch, and the tasks that need them."""
    groups: dict[tuple[str, ...], list[str]] = {}
    for task in tasks:
        groups.setdefault(card.ids[task], []).append(task)
        if task == "controlnet":
            groups.setdefault(card.controlnet_ids, []).append(task)
        if task == "img2img" and card.preview_ids:
            groups[card.preview_ids] = ["previews (lesson 3)"]
    if few_steps and card.few_steps_ids:
        groups[card.few_steps_ids] = ["few steps"]
    return groups


def main(arguments: list[str] | None = None) -> int:
    """Run the command; returns 0 if all is there in the end."""
    from huggingface_hub import snapshot_download

    hub_models = [name for name, card in MODELS.items() if not Path(next(iter(card.ids.values()))[0]).is_dir()]
    parser = argparse.ArgumentParser(prog="python -m img2img_helpers.prefetch", description=__doc__.split("\n")[0])
    parser.add_argument("--model", choices=hub_models, default=hub_models[0])
    parser.add_argument("--tasks", nargs="+", choices=TASKS, default=["img2img"], metavar="TASK", help=", ".join(TASKS))
    parser.add_argument("--few-steps", action="store_true", help="the model's LCM-LoRA too")
    parser.add_argument("--dry-run", action="store_true", help="only say what would be downloaded")
    args = parser.parse_args(arguments)

    failed, found = False, []
    for ids, tasks in _groups(MODELS[args.model], args.tasks, args.few_steps).items():
        try:
            found.append(find_download(ids))
        except OSError as error:
            print(error)
            failed = True
            continue
        total, missing = sum(found[-1].files.values()), found[-1].bytes_missing
        state = "is here already" if not missing else f"{_size(missing)} to download"
        if not found[-1].compared:
            state += ", though it could not be compared with the hub"
        print(f"{found[-1].model_id}, for {' and '.join(tasks)}: {_size(total)}, {state}")
    needed = sum(download.bytes_missing for download in found)
    free = free_for_models()
    print(f"To download: {_size(needed)}. Free on the disk: {_size(free)}.")
    if args.dry_run:
        return int(failed)
    if needed and needed + SPARE > free:
        print(f"That is not enough room; free {_size(needed + SPARE - free)} and run this again.")
        return 1
    for download in found:
        if download.missing:
            try:
                snapshot_download(download.model_id, allow_patterns=list(download.files))
            except Exception as error:  # as above
                reason = f"{type(error).__name__}: {error}".strip().splitlines()[0]
                print(f"{download.model_id} broke off ({reason}); run this again and it goes on from there.")
                failed = True
    print("Something is missing." if failed else "All is here: load_pipeline needs no internet now.")
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
