"""A plugin for pytest and nbval: lessons show what is stored, pictures too, and accept no wrong answer.

    python -m pytest -p tests.lesson_checks --nbval-lax --nbval-current-env notebooks/*.ipynb

nbval runs every cell of a lesson once. It does not look at pictures, and of printed lines only at those of cells that
are tagged for it; here every output is compared, with a tolerance. In the same run, before each exercise's own cell, the
answers of tests/wrong_answers.py are given in its place, each a test of its own.
"""

import copy
from collections import defaultdict
from pathlib import Path

import nbformat
import pytest
from nbval.plugin import IPyNbCell, IPyNbFile

from tests.notebook_outputs import cell_differences
from tests.wrong_answers import wrong_answers


class WrongAnswer(IPyNbCell):
    """A cell that is not in the lesson, and whose last output must be a check's refusal."""

    def runtest(self) -> None:
        super().runtest()
        if not self.test_outputs or not self.test_outputs[-1].get("data", {}).get("text/plain", "").startswith("✘"):
            self.raise_cell_error("A wrong answer was accepted")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for lesson in {item.parent: None for item in items if isinstance(item, IPyNbCell)}:
        _insert_wrong_answers(lesson, items)


def _insert_wrong_answers(lesson: IPyNbFile, items: list[pytest.Item]) -> None:
    try:
        answers = wrong_answers(lesson.nb, Path(lesson.path).stem)
    except ValueError as error:
        raise pytest.UsageError(str(error)) from error
    for number, cells in answers.items():
        own = lesson.nb.cells[number]
        at = next((i for i, item in enumerate(items) if getattr(item, "cell", None) is own), None)
        if at is None:  # another cell alone was asked for
            continue
        items[at:at] = [
            WrongAnswer.from_parent(
                lesson,
                name=f"{items[at].name}, wrong answer {i}",
                cell_num=items[at].cell_num,
                cell=cell,
                options=defaultdict(bool),
            )
            for i, cell in enumerate(cells, 1)
        ]


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item):
    stored = copy.deepcopy(getattr(item, "cell", None))  # nbval joins what was printed, in its own copy too
    result = yield
    if isinstance(item, IPyNbCell) and not isinstance(item, WrongAnswer):
        fresh = nbformat.from_dict(dict(stored, outputs=item.test_outputs))
        if told := cell_differences(stored, fresh):
            item.raise_cell_error("Its outputs are not those stored", "\n".join(told))
    return result
