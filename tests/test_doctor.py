"""The doctor: what it finds, what it advises, and when it says that the course will not run."""

import os
import subprocess
import sys
from collections import namedtuple
from pathlib import Path

import pytest
import torch
from PIL import Image

from img2img_helpers import doctor


@pytest.fixture
def quick(monkeypatch):
    """Without the edit, which takes seconds."""
    monkeypatch.setattr(doctor, "_edit", lambda model: [])
    return doctor.examine


def told(report, word):
    return next(finding for finding in report if word in finding.told)


def test_a_sound_computer_offline_passes(sd_folders):
    report = doctor.examine(str(sd_folders["base"]))
    assert report, repr(report)
    assert "The course will run." in repr(report)
    hub = told(report, "hub")
    assert hub.fine is None  # the tests are cut off
    assert "needs no internet" in hub.advice
    assert "test edit" in repr(report)
    assert "Colour of the result" in repr(report)
    home = str(Path.home())
    assert not any(place in repr(report) for place in (home, "/tmp/", "/work/"))


def test_the_command_ends_with_a_status_that_scripts_can_use(monkeypatch, capsys, quick):
    assert doctor.main([]) == 0
    monkeypatch.setattr(doctor, "LEAST_DISK", 1e12)
    assert doctor.main([]) == 1
    printed = capsys.readouterr().out
    assert "✘ Disk" in printed
    assert "The course will not run yet" in printed


def test_it_runs_as_a_command():
    ran = subprocess.run([sys.executable, "-m", "img2img_helpers.doctor"], capture_output=True, text=True)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert "192×192 pixels" in ran.stdout


def test_missing_and_old_packages_are_named(monkeypatch, quick):
    wanted = ["torch>=2.4", "no-such-package>=1", "numpy>=99", 'other>=3; extra == "train"']
    monkeypatch.setattr(doctor.metadata, "requires", lambda name: wanted)
    report = quick()
    assert not report
    found = told(report, "no-such-package")
    assert "no-such-package is missing; numpy is" in found.told
    assert "must be >=99" in found.told
    assert "make course" in found.advice


def test_a_check_that_breaks_is_a_finding_and_the_others_go_on(monkeypatch):
    def broken(model):
        raise RuntimeError("cannot open /data/anna/x.safetensors of https://huggingface.co/owner/name\nsecond line")

    monkeypatch.setattr(doctor, "_edit", broken)
    report = doctor.examine()
    assert not report
    assert told(report, "cannot open …/x.safetensors of https://huggingface.co/owner/name").fine is False
    assert "second line" not in repr(report)
    assert told(report, "Python").fine


@pytest.mark.parametrize(
    ("said", "told"),
    [
        ("no '/Users/Anna Maria/models/x.safetensors' here", "no '…/x.safetensors' here"),
        ('[Errno 2] no "C:\\Users\\Anna Maria\\x.json"', '[Errno 2] no "…/x.json"'),
        (
            "no /home/Anna Maria/models/x.safetensors, see https://example.org/a/b",
            "no …/x.safetensors, see https://example.org/a/b",
        ),
        ("1/2 of it; and/or", "1/2 of it; and/or"),
    ],
)
def test_a_folder_whose_name_holds_a_blank_is_private_too(monkeypatch, said, told):
    monkeypatch.setenv("HOME", "/home/Anna Maria")
    monkeypatch.setenv("USERPROFILE", "/home/Anna Maria")
    assert doctor._first_line(OSError(said)) == told


def test_what_is_printed_on_the_way_names_no_folder_either(sd_folders, capsys):
    doctor.main(["--model", str(sd_folders["base"])])
    printed = capsys.readouterr().out
    assert str(sd_folders["base"].parent) not in printed
    assert f"…/{sd_folders['base'].name}" in printed


def test_the_report_may_go_to_a_file_that_lacks_its_signs():
    """As `doctor > report.txt` on Windows."""
    code = "from img2img_helpers import doctor; doctor._edit = lambda model: []; doctor.main([])"
    environment = os.environ | {"PYTHONIOENCODING": "cp1252"}
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, env=environment)
    assert ran.returncode == 0, ran.stderr.decode()
    assert "+ Python 3" in ran.stdout.decode("cp1252")


def test_a_gpu_with_little_memory_free(monkeypatch):
    monkeypatch.setattr(doctor, "pick_device", lambda: ("cuda", "an NVIDIA GPU was found"))
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda: (1_000_000_000, 8_000_000_000))
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda: "Card")
    (found,) = doctor._device()
    assert found.told == "Device: Card, 1.0 of 8.0 GB free"
    assert "IMG2IMG_MODEL=classroom" in found.advice


def test_little_memory_is_told(monkeypatch):
    memory = namedtuple("memory", "available total")(500_000_000, 4_000_000_000)
    monkeypatch.setattr("psutil.virtual_memory", lambda: memory)
    assert doctor._memory() == [doctor.Finding(None, "Memory: 0.5 of 4.0 GB free", "Close programs.")]


def test_the_causes_of_a_black_picture_are_told_apart():
    black, red = Image.new("RGB", (8, 8)), Image.new("RGB", (8, 8), "red")
    assert doctor.judge_color(red, False, lambda: True).fine
    assert "safety checker" in doctor.judge_color(black, True, lambda: True).told
    overflow = doctor.judge_color(black, False, lambda: True)
    assert "left the dtype's range" in overflow.told
    assert "float32" in overflow.advice
    dark = doctor.judge_color(black, False, lambda: False)
    assert dark.fine is False
    assert "all numbers are finite" in dark.told


def test_an_overflow_in_the_vae_is_found(tiny_pipe, monkeypatch):
    monkeypatch.setattr(doctor, "load_pipeline", lambda task, model: tiny_pipe)
    assert told(doctor._edit("tiny"), "Colour").fine
    hook = tiny_pipe.vae.decoder.mid_block.register_forward_hook(lambda layer, inputs, output: output * float("inf"))
    try:
        with pytest.warns(RuntimeWarning, match="invalid value"):
            found = told(doctor._edit("tiny"), "Colour")
    finally:
        hook.remove()
    assert "left the dtype's range" in found.told
