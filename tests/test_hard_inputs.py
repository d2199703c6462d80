"""Each mistake of tests/hard_inputs.py gets its sentence."""

from pathlib import Path

import pytest
from diffusers import StableDiffusionUpscalePipeline

from img2img_helpers.common.pictures import MAX_DOWNLOAD
from tests import hard_inputs

ALL = [case for cases in hard_inputs.CASES.values() for case in cases]


@pytest.fixture(scope="module")
def given(tiny_pipe, sd_folders, tmp_path_factory):
    upscaler = StableDiffusionUpscalePipeline.from_pretrained(sd_folders["upscale"])
    with hard_inputs.bad_server() as (server, address):
        folder = tmp_path_factory.mktemp("learner-files")
        yield hard_inputs.Given(folder, tiny_pipe, sd_folders["base"], upscaler, address)
        assert server.sent < 2 * MAX_DOWNLOAD, "an endless answer was read on and on"


def test_there_are_many():
    assert len(ALL) >= 100
    assert len({case.what for case in ALL}) == len(ALL)
    assert Path(hard_inputs.__file__).read_text("utf-8").count("\nCASES") == 1


@pytest.mark.parametrize("case", ALL, ids=[case.what for case in ALL])
@pytest.mark.xdist_group("hard inputs")
def test_a_mistake_gets_its_sentence(case, given):
    with pytest.raises((ValueError, OSError)) as caught:
        case.run(given)
    assert hard_inputs.tidied(str(caught.value), given) == case.told


def test_every_sentence_is_one():
    for case in ALL:
        assert "\n" not in case.told
        assert "`" not in case.told, "the site shows it as code"
        assert case.told.endswith("."), case
        assert len(case.told) < 300, case
