"""The measures of inpainting, structure control and upscaling, on pictures of which the painter knows the answer."""

from collections import Counter

import numpy as np
import pytest

from classroom_model.evaluation import tasks
from classroom_model.world import painter, scenes


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
    assert tasks.edge_agreement(image, np.roll(image, 1, 1)) > 0.9
    assert tasks.edge_agreement(image, other) < 0.5


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
