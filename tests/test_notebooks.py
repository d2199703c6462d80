"""The notebooks: text pairs, stored outputs, and what every lesson must have."""

import ast
import base64
import io
import re
import socket
from pathlib import Path

import jupytext
import nbformat
import numpy as np
import pytest
from diffusers import PNDMScheduler, StableDiffusionPipeline
from jupytext.compare import NotebookDifference, compare_notebooks
from PIL import Image

from book import address
from img2img_helpers import MODELS
from tests import notebook_outputs, stand_in

ROOT = Path(__file__).parent.parent
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
each_notebook = pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda p: p.stem)


def code_cells(path: Path) -> list[nbformat.NotebookNode]:
    return [c for c in nbformat.read(path, 4).cells if c.cell_type == "code"]


def markdown(path: Path) -> str:
    return "\n\n".join(c.source for c in nbformat.read(path, 4).cells if c.cell_type == "markdown")


def test_every_lesson_has_its_notebook_its_text_and_its_place_on_the_site():
    assert NOTEBOOKS
    stems = [p.stem for p in NOTEBOOKS]
    sources = sorted(p.stem for p in (ROOT / "notebooks" / "source").glob("*.md"))
    assert sources == stems, "run `make sync`, or move notebooks of your own elsewhere"
    listed = re.findall(r"^notebooks/(\w+)$", (ROOT / "book" / "index.md").read_text(), re.M)
    assert listed == stems


def test_every_address_of_the_course_is_the_same():
    repository = address.current()
    assert f'repository-code: "{repository}"' in (ROOT / "CITATION.cff").read_text()
    owner_and_name = repository.removeprefix("https://github.com/")
    colab = f"https://colab.research.google.com/github/{owner_and_name}/blob/main/notebooks"
    readme = (ROOT / "README.md").read_text()
    for path in NOTEBOOKS:
        assert f"{colab}/{path.name}" in readme


@each_notebook
def test_text_pair_agrees(path):
    source = jupytext.read(path.parent / "source" / f"{path.stem}.md")
    try:
        compare_notebooks(source, nbformat.read(path, 4), fmt="md:myst", raise_on_first_difference=True)
    except NotebookDifference as error:
        pytest.fail(f"{path.name} and its text source differ; run `make sync`.\n{error}")


@each_notebook
def test_no_figure_is_lost_in_the_middle_of_a_cell(path):
    """Jupyter shows a cell's last expression alone: what is to be seen before it must be given to `display`."""
    makers = (
        "show_",
        "plot_",
        "check_",
        "describe_",
        "picture_slider",
        "before_after",
        "paint_mask",
        "strength_explorer",
    )
    for cell in code_cells(path):
        tree = ast.parse(re.sub(r"^(\s*)%.*$", r"\1pass", cell.source, flags=re.M))
        shown = tree.body[-1]
        calls = [
            node.value.func
            for node in ast.walk(tree)
            if isinstance(node, ast.Expr) and node is not shown and isinstance(node.value, ast.Call)
        ]
        lost = [func.id for func in calls if isinstance(func, ast.Name) and func.id.startswith(makers)]
        assert not lost, cell.source


@each_notebook
def test_stored_state_is_fit_to_publish(path):
    notebook = nbformat.read(path, 4)
    nbformat.validate(notebook)
    assert "widgets" not in notebook.metadata, "widget state breaks GitHub and Colab"
    cells = [c for c in notebook.cells if c.cell_type == "code"]
    assert [c.execution_count for c in cells] == list(range(1, len(cells) + 1)), "run `make outputs`"
    for cell in cells:
        for output in cell.outputs:
            assert output.output_type != "error"
            for kind in {"image/png", "image/jpeg"} & set(output.get("data", {})):
                alternative = output.metadata.get(kind, {}).get("alt", "")
                assert len(alternative) > 20, "a picture without a text alternative"
            assert not re.search(r"(src|url)\W{1,3}https?://", str(output.get("data", {}))), "a remote picture"
            text = str(output.get("text", "")) + str(output.get("data", {}).get("text/plain", ""))
            assert not re.search(r"/(tmp|root|home|work|Users)/", text), "a path of the machine it was run on"
    assert path.stat().st_size < 2.5e6


@each_notebook
def test_cover_in_the_readme_is_the_stored_picture(path):
    cover = notebook_outputs.COVERS / f"{path.stem}.jpg"
    assert cover.read_bytes() == notebook_outputs.cover(nbformat.read(path, 4)), "run `make outputs`"
    assert str(cover.relative_to(ROOT)) in (ROOT / "README.md").read_text()


@each_notebook
def test_lesson_follows_the_template(path):
    text = markdown(path)
    assert text.startswith("# ")
    for part in ("You will learn to", "Before you start", "Time.", "odel are you on", "## Exercises",
                 "## When it goes wrong", "## Summary", "Words of this lesson", "Further reading"):  # fmt: skip
        assert part in text or (part == "odel are you on" and "Which computer are you on" in text), part
    assert text.count("**Predict.**") >= 4
    assert len(re.findall(r"\*\*Exercise \d · (Predict|Tune|Write)\.\*\*", text)) >= 3
    assert not re.search(r"!\[[^]]*\]\(https?:|<img[^>]+https?:", text), "a remote picture"
    for link in re.findall(r"\]\(([^)#]+)\)", text):
        assert link.startswith("https://") or (path.parent / link).is_file(), f"dead link {link}"


@each_notebook
def test_parts_called_by_hand_are_fed_where_they_compute(path):
    """With model offload ``pipe.device`` is the CPU, where the parts wait, and `vae.encode` computes on the GPU."""
    for cell in code_cells(path):
        assert not re.search(r"(to\(|device=)\w+\.device\b", cell.source), cell.source


@each_notebook
def test_first_cell_installs_on_colab_only(path):
    repository = address.current()
    first = code_cells(path)[0]
    test, told, install = first.source.removeprefix("import sys\n\n").splitlines()
    assert test == 'if "google.colab" in sys.modules:'
    assert re.fullmatch(r' {4}print\("Installing the course: \d+ MB, about .+ \.\.\."\)', told)
    # without the extra [course], which would replace Colab's own Jupyter under the running notebook
    assert install == f"    %pip install -q git+{repository}"
    assert first.source == code_cells(NOTEBOOKS[0])[0].source
    assert not first.outputs


@each_notebook
def test_solutions_are_folded_and_pass_and_unsolved_exercises_do_not(path):
    cells = code_cells(path)
    solutions = [c for c in cells if "solution" in c.metadata.get("tags", [])]
    assert len(solutions) >= 3
    for cell in solutions:
        assert cell.source.startswith("# @title Solution")  # Colab's fold
        assert cell.metadata["jupyter"] == {"source_hidden": True, "outputs_hidden": True}  # JupyterLab's
        assert "hide-cell" in cell.metadata["tags"]  # the site's
        assert cell.outputs[-1].data["text/plain"].startswith("✔"), cell.source
        unsolved = cells[cells.index(cell) - 1]
        assert unsolved.outputs[-1].data["text/plain"].startswith("✘"), unsolved.source


def test_models_are_named_as_in_the_table_of_models():
    """A model that has moved is changed in MODELS; nobody then finds its old place in a lesson."""
    hub_id = re.compile(
        r"\b[\w-]+/[\w.-]*(?:diffusion|control|upscaler|pix2pix|lora|sdxl|sd15|flux|taesd)[\w.-]*", re.IGNORECASE
    )
    known = {one for card in MODELS.values() for one in card.all_ids if not Path(one).is_absolute()}
    assert len(known) >= 5
    assert all(hub_id.fullmatch(one) for one in known), "this test must see every hub id"
    pages = [*NOTEBOOKS, ROOT / "README.md", *(ROOT / "book").glob("*.md")]
    texts = {path: "".join(c.source for c in nbformat.read(path, 4).cells) if path.suffix == ".ipynb" else path.read_text()
             for path in pages}  # fmt: skip
    repository = "/".join(address.split(address.current()))
    for path, text in texts.items():
        text = re.sub(r"https?://[^\s)>\"]+", "", text)
        unknown = set(hub_id.findall(text)) - known - {repository}
        assert not unknown, f"{path.name}: {unknown}"


@each_notebook
def test_runs_on_a_model_like_stable_diffusion_too(path, tiny_pipe, sd_folders, tmp_path):
    """SD 1.5's format: VAE factor 8, noise prediction, PNDM. Random weights, so what a cell asserts may fail."""
    base = tmp_path / "base"
    scheduler = PNDMScheduler.from_config(tiny_pipe.scheduler.config, skip_prk_steps=True)
    StableDiffusionPipeline.from_pipe(tiny_pipe, scheduler=scheduler).save_pretrained(base)
    ran = stand_in.run(nbformat.read(path, 4), sd_folders | {"base": base})
    for cell in ran.cells:
        for output in cell.get("outputs", []):
            assert output.output_type != "error" or output.ename == "AssertionError", cell.source
    printed = "".join(o.get("text", "") for cell in ran.cells for o in cell.get("outputs", []))
    assert "Stable Diffusion 1.5 for img2img" in printed, "another model was used"


def test_these_tests_are_cut_off_from_the_network():
    with pytest.raises(OSError, match="the tests block the network"):
        socket.getaddrinfo("example.org", 80)
    with pytest.raises(OSError, match="the tests block the network"):
        socket.create_connection(("192.0.2.1", 80), 1)


def test_kernels_are_cut_off_from_the_network():
    code = (
        "import socket, urllib.request\n"
        "for reach in (lambda: socket.create_connection(('192.0.2.1', 80), 1), lambda: urllib.request.urlopen('https://example.org')):\n"
        "    try:\n        reach()\n    except OSError as error:\n        print('the tests block the network' in str(error))\n"
    )
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(code)])
    (output,) = notebook_outputs.execute(notebook).cells[0].outputs
    assert output.text == "True\nTrue\n"


def picture(array) -> str:
    png = io.BytesIO()
    Image.fromarray(array).save(png, format="png")
    return base64.b64encode(png.getvalue()).decode()


def one_cell(*outputs, **metadata) -> nbformat.NotebookNode:
    return nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell("x", outputs=list(outputs), metadata=metadata)])


def test_the_comparison_can_fail():
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 250, (20, 20, 3), dtype=np.uint8)

    def shows(array, alternative="a plot: 0.51"):
        return nbformat.v4.new_output("display_data", {"image/png": picture(array), "text/plain": alternative})

    def says(text):
        return nbformat.v4.new_output("stream", name="stdout", text=text)

    differences = notebook_outputs.differences
    assert not differences(one_cell(shows(pixels)), one_cell(shows(pixels + 1)))
    assert differences(one_cell(shows(pixels)), one_cell(shows(pixels + 4)))
    assert differences(one_cell(shows(pixels)), one_cell(shows(pixels[:10])))
    assert differences(one_cell(shows(pixels)), one_cell())
    assert differences(one_cell(shows(pixels)), one_cell(shows(pixels, "a plot: 0.61")))
    assert not differences(one_cell(says("kept 0.512 of 9 steps")), one_cell(says("kept 0.514 of 9 steps")))
    assert differences(one_cell(says("kept 0.512 of 9 steps")), one_cell(says("kept 0.612 of 9 steps")))
    assert differences(one_cell(says("kept 0.512 of 9 steps")), one_cell(says("kept 0.512 of 8 steps")))
    assert not differences(one_cell(says("a"), tags=["nbval-ignore-output"]), one_cell(says("b")))


def test_the_instructors_guide_plans_every_section_in_the_lessons_own_time():
    guide = (ROOT / "book" / "instructor.md").read_text()
    for path in NOTEBOOKS:
        number = int(path.stem[:2])
        (title, part) = re.search(rf"^### Lesson {number} · (.+?)\n(.*?)(?=^##)", guide, re.M | re.S).groups()
        rows = re.findall(r"^\| (\d+|Exercises) \| (\d+) \|", part, re.M)
        text = markdown(path)
        sections = re.findall(r"^## (\d+)\. ", text, re.M)
        assert [name for name, _ in rows] == [*sections, "Exercises"], path.stem
        total = re.search(r"\*\*Time\.\*\* (\d+) minutes", text)[1]
        assert sum(int(minutes) for _, minutes in rows) == int(total), path.stem
        assert title.endswith(f"({total} minutes)")
