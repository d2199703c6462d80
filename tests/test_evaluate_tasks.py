"""The measures of what is made of the base model, on pictures of which the painter knows the answer."""

import ast
import json
import re
import shutil
import sys
from collections import Counter
from pathlib import Path

import nbformat
import numpy as np
import pytest
import torch

from classroom_model import evaluate
from classroom_model.evaluation import bench, instructions, judge, tasks
from classroom_model.training import tiny
from classroom_model.world import painter, scenes

NOTEBOOKS = Path(__file__).parent.parent / "notebooks"


@pytest.mark.parametrize(
    ("lesson", "settings"),
    [
        ("06_composition", tasks.CONTROL),
        ("07_inpainting", tasks.INPAINT),
        ("08_upscaling", tasks.UPSCALE),
        ("11_instructions", instructions.CALL),
    ],
)
def test_a_task_is_measured_with_the_settings_that_its_lesson_teaches(lesson, settings):
    code = [c.source for c in nbformat.read(NOTEBOOKS / f"{lesson}.ipynb", 4).cells if c.cell_type == "code"]
    calls = [
        {word.arg: word.value.value for word in node.keywords if isinstance(word.value, ast.Constant)}
        for node in ast.walk(ast.parse(re.sub(r"^\s*[%!].*$", "", "\n".join(code), flags=re.M)))
        if isinstance(node, ast.Call)
    ]
    assert any(settings.items() <= call.items() for call in calls), f"no call of {lesson} has {settings}"


def test_a_case_masks_what_its_prompt_is_about():
    cases = tasks.holes(2)
    assert set(Counter(case.kind for case in cases).values()) == {2}
    assert len({case.kind for case in cases}) == 5
    for case in cases:
        assert 0.005 < case.mask.mean() < 0.6
        seen = getattr(case.scene, case.attribute)
        assert not case.right(seen), f"{case.kind}: nothing would be left to do"
        masks = painter.paint(case.scene).masks
        if case.kind == "a house taken out":
            assert case.mask[masks["house"]].mean() > 0.95


def test_edges_of_a_picture_agree_with_themselves_and_a_shifted_copy_but_not_with_another():
    image = painter.paint(scenes.Scene("car", layout=3)).image
    other = painter.paint(scenes.Scene("landscape", layout=4)).image
    assert tasks.edge_agreement(image, image) == 1
    assert tasks.edge_agreement(image, np.roll(image, 2, 1)) > 0.9
    assert tasks.edge_agreement(image, np.roll(image, 4, 1)) < 0.8
    assert tasks.edge_agreement(image, other) < 0.5


def test_edges_that_the_painter_does_not_paint_are_not_asked_for():
    image = painter.paint(scenes.Scene("car", layout=3)).image
    half = np.full_like(image, 128)
    half[:, :96] = image[:, :96]
    assert tasks.edge_agreement(image, half) < 0.9
    assert tasks.edge_agreement(image, half, half) > 0.95


def test_a_step_at_a_masks_border_is_seen():
    mask = np.zeros((32, 32), bool)
    mask[8:24, 8:24] = True
    image = np.full((32, 32, 3), 100, np.uint8)
    assert tasks.border_step(image, mask) == 0
    image[mask] = 130
    assert tasks.border_step(image, mask) == 30
    assert tasks.border_step(image, np.ones_like(mask)) == 0, "it has no border"


def test_grain_counts_where_the_painted_picture_is_flat():
    truth = np.full((64, 64, 3), 100, np.uint8)
    truth[:, 32:] = np.random.default_rng(0).integers(0, 255, (64, 32, 3))
    assert tasks.grain(truth, truth) < 0.5
    rough = truth.copy()
    rough[:, :28] += np.random.default_rng(1).integers(0, 2, (64, 28, 1)).astype(np.uint8) * 10
    assert 4 < tasks.grain(rough, truth) < 6


def test_psnr_of_a_known_error():
    image = np.full((8, 8, 3), 100, np.uint8)
    assert tasks.psnr(image, image + 10) == pytest.approx(20 * np.log10(255 / 10))


def test_a_seam_is_found_where_it_is():
    rng = np.random.default_rng(0)
    truth = rng.integers(100, 120, (64, 64, 3)).astype(np.uint8)
    image = truth + rng.integers(0, 10, truth.shape).astype(np.uint8)
    assert tasks.seam_ratio(image, truth, [(16, 24)]) == pytest.approx(1, abs=0.05)
    image[:, 16:24] += 20
    assert tasks.seam_ratio(image, truth, [(16, 24)]) > 2
    assert tasks.seam_ratio(image, truth, [(40, 48)]) < 1


def test_instructions_ask_for_what_is_not_there_yet():
    told = instructions.cases(4)
    assert set(Counter(case.kind for case in told).values()) == {4}
    assert len({case.kind for case in told}) == 6
    for case in told:
        assert case.before.style == "photo"
        assert getattr(case.before, case.attribute) != getattr(case.after, case.attribute)
        if case.inside is None:
            continue
        one, two = (painter.paint(scene).image.astype(int) for scene in (case.before, case.after))
        changed = np.abs(one - two).max(2) > 40
        assert changed.sum() > 20
        assert case.inside[changed].mean() > 0.85, f"{case.text}: the rest stays"


def test_every_task_is_measured_and_shown(one_for_all, sd_folders, tmp_path, monkeypatch):
    """On a model of random weights, of which the table says that it falls short."""
    shutil.copytree(sd_folders["lcm_lora"], one_for_all / "lcm_lora")
    tiny.new_tiny().save_pretrained(one_for_all / tiny.FOLDER)
    upscaler = one_for_all / "unet_upscale" / "config.json"
    upscaler.write_text(json.dumps(json.loads(upscaler.read_text()) | {"sample_size": 48}))
    for call in (bench.LESSON, tasks.INPAINT, tasks.CONTROL, tasks.UPSCALE, instructions.CALL):
        monkeypatch.setitem(call, "num_inference_steps", 2)
    torch.manual_seed(0)
    monkeypatch.setattr(bench, "load_classifier", lambda: judge.Classifier().eval())
    monkeypatch.setattr(evaluate, "BUILD", tmp_path)
    monkeypatch.setattr(sys, "argv", ["evaluate", "--quick", "--tasks", "--weights", str(one_for_all)])
    evaluate.main()
    card = (tmp_path / "quick" / "README.md").read_text()
    for task in ("four steps", "tiny decoder", "inpainting", "structure control", "upscaling", "instructions"):
        assert f"| {task}" in card
    assert "**short**" in card
    assert (tmp_path / "quick" / "pictures" / "tasks.jpg").stat().st_size > 100_000
