"""The plugin with which `make test` runs the lessons, on a small one."""

import base64
import io

import nbformat
import numpy as np
import pytest
from PIL import Image

from tests.wrong_answers import WRONG, wrong_answers

pytest_plugins = "pytester"
STEM = "a_lesson"
SHOWS = "from PIL import Image\nfrom IPython.display import display\ndisplay(Image.new('RGB', (8, 8)))"
CHECK = "my_answer = ...\ndisplay({'text/plain': '✔' if my_answer in (3, 5) else '✘ not yet'}, raw=True)"


def cell(source: str, *outputs: nbformat.NotebookNode, **metadata) -> nbformat.NotebookNode:
    return nbformat.v4.new_code_cell(source, execution_count=1, outputs=list(outputs), metadata=metadata)


def says(text: str) -> nbformat.NotebookNode:
    return nbformat.v4.new_output("display_data", {"text/plain": text})


def shown(level: int) -> nbformat.NotebookNode:
    png = io.BytesIO()
    Image.fromarray(np.full((8, 8, 3), level, np.uint8)).save(png, format="png")
    data = {
        "image/png": base64.b64encode(png.getvalue()).decode(),
        "text/plain": "<PIL.Image.Image image mode=RGB size=8x8>",
    }
    return nbformat.v4.new_output("display_data", data)


def lesson(stored: int) -> nbformat.NotebookNode:
    return nbformat.v4.new_notebook(
        cells=[
            cell(SHOWS, shown(stored)),
            cell(CHECK, says("✘ not yet")),
            cell(CHECK.replace("...", "3"), says("✔"), tags=["solution"]),
        ]
    )


@pytest.mark.parametrize(
    ("stored", "answers", "failing"),
    [
        (0, ("4", "'three'"), []),
        (90, ("4", "'three'"), ["Cell 0"]),
        (0, ("4", "5"), ["Cell 1, wrong answer 2"]),
    ],
    ids=["right", "a false picture", "a wrong answer accepted"],
)
def test_a_lesson_passes_only_if_its_pictures_are_right_and_its_wrong_answers_are_not(
    pytester, monkeypatch, stored, answers, failing
):
    monkeypatch.setitem(WRONG, STEM, {1: [{"my_answer = ...": f"my_answer = {answer}"} for answer in answers]})
    nbformat.write(lesson(stored), pytester.path / f"{STEM}.ipynb")
    run = pytester.inline_run("-p", "tests.lesson_checks", "--nbval-lax", "--nbval-current-env", f"{STEM}.ipynb")
    passed, skipped, failed = run.listoutcomes()
    assert [report.nodeid.split("::")[-1] for report in failed] == failing
    assert (len(passed), skipped) == (5 - len(failing), [])


def test_every_exercise_wants_two_wrong_answers_that_fit_it(monkeypatch):
    for answers, told in (
        ({}, "has 1 exercises"),
        ({1: [{"...": "4"}]}, "at least two"),
        ({1: [{"...": "4"}, {"his_answer": "4"}]}, "0 times"),
    ):
        monkeypatch.setitem(WRONG, STEM, answers)
        with pytest.raises(ValueError, match=told):
            wrong_answers(lesson(0), STEM)
