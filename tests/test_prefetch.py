"""`python -m img2img_helpers.prefetch`, with a made-up hub: no test touches the network."""

import dataclasses
import functools
import json
import shutil
from types import SimpleNamespace

import huggingface_hub
import pytest

from img2img_helpers import MODELS, prefetch

SD15 = {  # the kinds of files in the real repository
    ".gitattributes": 1,
    "README.md": 2,
    "model_index.json": 3,
    "v1-5-pruned.safetensors": 7_000_000_000,
    "v1-5-pruned.ckpt": 7_000_000_000,
    "feature_extractor/preprocessor_config.json": 4,
    "scheduler/scheduler_config.json": 5,
    "text_encoder/config.json": 6,
    "text_encoder/model.safetensors": 492_000_000,
    "text_encoder/model.fp16.safetensors": 246_000_000,
    "text_encoder/pytorch_model.bin": 492_000_000,
    "tokenizer/merges.txt": 500_000,
    "tokenizer/vocab.json": 1_000_000,
    "unet/config.json": 7,
    "unet/diffusion_pytorch_model.fp16.safetensors": 1_720_000_000,
    "unet/diffusion_pytorch_model.safetensors": 3_440_000_000,
    "unet/diffusion_pytorch_model.non_ema.safetensors": 3_440_000_000,
    "vae/config.json": 8,
    "vae/diffusion_pytorch_model.safetensors": 335_000_000,
}
LORA = {"README.md": 1, "pytorch_lora_weights.safetensors": 135_000_000, "pytorch_lora_weights.bin": 135_000_000}
CONTROL = {"config.json": 100, "diffusion_pytorch_model.safetensors": 723_000_000}
TINY = {
    "config.json": 100,
    "diffusion_pytorch_model.safetensors": 10_000_000,
    "taesd_decoder.safetensors": 5_000_000,  # for other programs
    "taesd_encoder.safetensors": 5_000_000,
}


def test_it_takes_what_load_pipeline_reads_and_no_more():
    chosen = prefetch.wanted_files(SD15)
    assert [name for name in chosen if name.endswith("safetensors")] == [
        "text_encoder/model.fp16.safetensors",
        "unet/diffusion_pytorch_model.fp16.safetensors",
        "vae/diffusion_pytorch_model.safetensors",
    ]
    assert {"model_index.json", "tokenizer/merges.txt", "scheduler/scheduler_config.json"} <= set(chosen)
    assert not any(name.endswith((".bin", ".ckpt", ".md")) or "non_ema" in name for name in chosen)


def test_a_controlnets_weights_lie_at_the_top():
    listing = {
        "config.json": 1,
        "diffusion_pytorch_model.safetensors": 9,
        "diffusion_pytorch_model.fp16.safetensors": 5,
    }
    assert set(prefetch.wanted_files(listing)) == {"config.json", "diffusion_pytorch_model.fp16.safetensors"}


@pytest.fixture
def hub(monkeypatch):
    """A hub that has lost every first id; what it downloads is here from then on."""
    state = SimpleNamespace(here=set(), fetched=[], fails=False)
    gone = {card.ids[task][0] for card in MODELS.values() for task in card.ids if len(card.ids[task]) > 1}

    def model_info(self, model_id, **options):
        if model_id in gone:
            raise RuntimeError("404 Client Error.\nRepository Not Found")
        small = {"control": CONTROL, "lora": LORA, "taesd": TINY}
        files = next((files for word, files in small.items() if word in model_id), SD15)
        return SimpleNamespace(siblings=[SimpleNamespace(rfilename=n, size=s) for n, s in files.items()])

    def snapshot_download(model_id, allow_patterns):
        if state.fails:
            raise ConnectionResetError("connection lost\nat byte 7")
        state.fetched.append(model_id)
        state.here |= {(model_id, name) for name in allow_patterns}

    monkeypatch.setattr(huggingface_hub.HfApi, "model_info", model_info)
    monkeypatch.setattr(huggingface_hub, "snapshot_download", snapshot_download)
    monkeypatch.setattr(
        huggingface_hub, "try_to_load_from_cache", lambda model, name: "a/path" if (model, name) in state.here else None
    )
    return state


def test_a_dry_run_says_how_much_and_fetches_nothing(hub, capsys):
    assert prefetch.main(["--dry-run", "--tasks", "img2img", "text2img"]) == 0
    told = capsys.readouterr().out
    mirror = MODELS["sd15"].ids["img2img"][1]
    assert f"{mirror}, for img2img and text2img: 2.3 GB, 2.3 GB to download" in told
    assert "madebyollin/taesd, for previews (lesson 3): 10 MB, 10 MB to download" in told
    assert "To download: 2.3 GB. Free on the disk: " in told
    assert not hub.fetched


def test_it_fetches_once_and_then_knows(hub, capsys, monkeypatch):
    monkeypatch.setattr(prefetch.shutil, "disk_usage", lambda folder: SimpleNamespace(free=10**11))
    assert prefetch.main(["--tasks", "controlnet"]) == 0
    assert hub.fetched == [MODELS["sd15"].ids["img2img"][1], MODELS["sd15"].controlnet_ids[0]]
    assert "All is here" in capsys.readouterr().out
    assert prefetch.main(["--tasks", "controlnet"]) == 0
    assert len(hub.fetched) == 2
    assert "is here already" in capsys.readouterr().out


def test_the_adapter_for_few_steps_is_fetched_on_request(hub, capsys, monkeypatch):
    monkeypatch.setattr(prefetch.shutil, "disk_usage", lambda folder: SimpleNamespace(free=10**11))
    assert prefetch.main(["--few-steps"]) == 0
    assert hub.fetched == [MODELS["sd15"].ids["img2img"][1], "madebyollin/taesd", MODELS["sd15"].few_steps_ids[0]]
    assert "lcm-lora-sdv1-5, for few steps: 0.1 GB, 0.1 GB to download" in capsys.readouterr().out


def test_a_card_without_adapter_or_previews_is_whole_all_the_same(hub, monkeypatch):
    monkeypatch.setattr(prefetch.shutil, "disk_usage", lambda folder: SimpleNamespace(free=10**11))
    bare = dataclasses.replace(MODELS["sd15"], few_steps_ids=(), preview_ids=())
    monkeypatch.setitem(MODELS, "sd15", bare)
    assert prefetch.main(["--few-steps"]) == 0
    assert hub.fetched == [bare.ids["img2img"][1]]


def test_a_full_disk_is_told_beforehand(hub, capsys, monkeypatch):
    monkeypatch.setattr(prefetch.shutil, "disk_usage", lambda folder: SimpleNamespace(free=10**9))
    assert prefetch.main([]) == 1
    assert "not enough room; free 3.3 GB and run this again" in capsys.readouterr().out
    assert not hub.fetched


def test_a_full_disk_matters_to_nobody_who_has_it_all(hub, capsys, monkeypatch):
    monkeypatch.setattr(prefetch.shutil, "disk_usage", lambda folder: SimpleNamespace(free=10**11))
    assert prefetch.main([]) == 0
    monkeypatch.setattr(prefetch.shutil, "disk_usage", lambda folder: SimpleNamespace(free=10**9))
    assert prefetch.main([]) == 0
    assert "All is here" in capsys.readouterr().out


def test_a_download_that_breaks_off_is_one_sentence(hub, capsys, monkeypatch):
    monkeypatch.setattr(prefetch.shutil, "disk_usage", lambda folder: SimpleNamespace(free=10**11))
    hub.fails = True
    assert prefetch.main([]) == 1
    told = capsys.readouterr().out
    assert "broke off (ConnectionResetError: connection lost); run this again and it goes on" in told
    assert "at byte 7" not in told


def test_a_model_that_is_nowhere_is_one_sentence(hub, capsys, monkeypatch):
    def model_info(self, model_id, **options):
        raise OSError("no route to host\nat all")

    monkeypatch.setattr(huggingface_hub.HfApi, "model_info", model_info)
    monkeypatch.setattr(prefetch, "find_here", lambda ids: None)
    assert prefetch.main(["--dry-run"]) == 1
    told = capsys.readouterr().out
    for model_id in MODELS["sd15"].ids["img2img"]:
        assert model_id in told
    assert "no route to host; check the internet connection and the id." in told


@pytest.fixture
def cache(tmp_path, monkeypatch):
    """The cache with SD15's files, as the hub's client keeps them, and no hub."""
    model_id = MODELS["sd15"].ids["text2img"][0]
    folder = tmp_path / f"models--{model_id.replace('/', '--')}"
    snapshot = folder / "snapshots" / "abc"
    parts = {"scheduler": ["diffusers", "S"], "text_encoder": ["transformers", "T"], "image_encoder": [None, None]}
    parts |= {name: ["diffusers", "M"] for name in ("tokenizer", "unet", "vae", "feature_extractor")}
    for name in prefetch.wanted_files(SD15):
        (snapshot / name).parent.mkdir(parents=True, exist_ok=True)
        (snapshot / name).write_text(json.dumps({"_class_name": "P"} | parts) if name == "model_index.json" else "x")
    (folder / "refs").mkdir()
    (folder / "refs" / "main").write_text("abc")

    def model_info(self, model_id, **options):
        raise OSError("no route to host")

    snapshot_download = huggingface_hub.snapshot_download
    monkeypatch.setattr(huggingface_hub, "snapshot_download", functools.partial(snapshot_download, cache_dir=tmp_path))
    monkeypatch.setattr(huggingface_hub.HfApi, "model_info", model_info)
    return snapshot


def test_offline_a_model_that_is_whole_is_here(cache, capsys):
    assert prefetch.main(["--tasks", "text2img"]) == 0
    told = capsys.readouterr().out
    assert "is here already, though it could not be compared with the hub" in told
    assert "All is here" in told


@pytest.mark.parametrize("lost", ["unet/diffusion_pytorch_model.fp16.safetensors", "tokenizer", "vae"])
def test_offline_a_model_that_lacks_a_part_is_missing(cache, capsys, lost):
    gone = cache / lost
    shutil.rmtree(gone) if gone.is_dir() else gone.unlink()
    assert prefetch.main(["--tasks", "text2img"]) == 1
    assert "Something is missing." in capsys.readouterr().out


def test_the_classroom_model_is_no_download(capsys):
    with pytest.raises(SystemExit):
        prefetch.main(["--model", "classroom"])
    assert "invalid choice" in capsys.readouterr().err
