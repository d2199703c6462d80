"""What the site makes of the lessons, the README and the package before Sphinx reads them."""

from __future__ import annotations

import ast
import html
import importlib
import re
import shutil
from pathlib import Path

import address
import nbformat
from docutils import nodes
from latex2mathml.converter import convert
from live import build as live
from sphinx.util.osutil import relative_uri

import img2img_helpers
from img2img_helpers.lessons.models import CLASSROOM_FOLDER
from tests import hard_inputs

NEEDS_KERNEL = {  # by how the stored output begins, which is the widget's name, for its state is not kept
    "StrengthExplorer": "a slider that makes an edit of any strength while you watch",
    "MaskPainter": "the picture, with a brush to paint a mask on it",
    "FileUpload": "a button to upload a picture of your own",
}
# in which lessons the model also runs on the site: before which heading, what it says there, and what it starts with,
# which is what the lesson has there
TRY_HERE = {
    "03_mechanics": (
        "## 9.",
        "The same loop in JavaScript, [200 lines]({source}), runs in this page. It starts with your edit: the same cottage, "
        "prompt and seed, 18 of 30 steps. Compare its picture with yours.",
        {"picture": "cottage", "prompt": "oil painting in the style of Van Gogh", "strength": "0.6", "steps": "all"},
    ),
    "05_object_edits": (
        "## 4.",
        "Or look for the strength by hand, in this page, from 0.4 on. It has no negative prompt, guidance 7.5 and seed 0, so "
        "the car turns blue at another strength.",
        {"picture": "car", "prompt": "A blue car on a city street", "strength": "0.4", "steps": "all"},
    ),
    "11_instructions": (
        "## 6.",
        "Of the three tools img2img runs in this page. It starts with the edit above, strength 0.9. Lower it until the street "
        "is back: what colour is the car?",
        {"picture": "car", "prompt": "a blue car on a city street", "strength": "0.9", "steps": "all"},
    ),
}
HERO = "05_object_edits"  # the lesson whose first slider stands on the home page
GROUPS = {
    "pipelines": "Load a pipeline",
    "models": "The models",
    "images": "Pictures in and out",
    "strength": "Strength and steps",
    "sweep": "Many edits at once",
    "recipes": "Several passes",
    "tiles": "Larger pictures",
    "measure": "Measure",
    "plots": "Figures",
    "explorer": "Strength while you watch",
    "widgets": "Widgets",
    "exercises": "Check exercises",
    "vocabulary": "The classroom model's words",
}


def publish(lesson: nbformat.NotebookNode) -> nbformat.NotebookNode:
    """``lesson`` for a page: its pictures' text alternatives where MyST-NB looks, a sentence for each live widget."""
    has_studio = any("data-live" in cell.source for cell in lesson.cells)
    pictures = [name for cell in lesson.cells for name in re.findall(r'example_image\("(\w+)"\)', cell.source)]
    for cell in lesson.cells:
        outputs = cell.get("outputs", [])
        alternatives = [
            about["alt"] for output in outputs for about in output.get("metadata", {}).values() if "alt" in about
        ]
        if alternatives:
            cell.metadata["mystnb"] = {"image": {"alt": " ".join(alternatives)}}
        for output in outputs:
            shown = output.get("data", {}).get("text/plain", "")
            what = next((told for name, told in NEEDS_KERNEL.items() if shown.startswith(name)), "")
            if what:
                note = (
                    f'<p class="needs-kernel">In the running notebook: {what}. Start it with the rocket button at the top, '
                    "or on your own computer.</p>"
                )
                prompt = re.fullmatch(r"StrengthExplorer\((.+)\)", shown)
                if prompt and live.can_build() and not has_studio:
                    has_studio = True
                    note += "<p>Or try it here, in your browser, in four steps:</p>"
                    start = {"prompt": ast.literal_eval(prompt[1])}
                    if pictures:
                        start["picture"] = pictures[0]  # the one that the lesson edits
                    start |= dict(re.findall(r"\b(strength)=([\d.]+)", cell.source))
                    note += studio("../_static", **start)
                output.data = {"text/html": note}
    return lesson


def add_studio(lesson: nbformat.NotebookNode, heading: str, words: str, start: dict[str, str]) -> None:
    """Let the model run in the page of ``lesson``, above the section that begins with ``heading``."""
    source = f"{address.current()}/blob/main/book/live/diffusion.js"
    told = f"**Try it here.** {words.format(source=source)}\n\n{studio('../_static', **start)}"
    # a section that follows on prose begins amid a cell
    cell = next(cell for cell in lesson.cells if f"\n{heading}" in f"\n{cell.source}")
    before, found, after = f"\n{cell.source}".partition(f"\n{heading}")
    cell.source = f"{before}\n\n{told}\n{found}{after}".strip()


def slider(lesson: nbformat.NotebookNode) -> str:
    """The first picture slider that ``lesson`` shows, as it was stored."""
    found = (
        output.data["text/html"]
        for cell in lesson.cells
        for output in cell.get("outputs", [])
        if "img2img-slider" in output.get("data", {}).get("text/html", "")
    )
    return next(found)


def lesson_cards(readme: str) -> str:
    """The README's list of lessons as a grid of cards: one list, in two places."""
    found = re.findall(
        r"^### \[(.+?)\]\((notebooks/\w+)\.ipynb\)\n\n(.+?) \[Open.+\n\n!\[(.+?)\]\((.+?)\)$", readme, re.M
    )
    cards = [
        f":::{{grid-item-card}} {title}\n:link: /{page}\n:link-type: doc\n:img-top: /{picture.removeprefix('book/')}\n"
        f":img-alt: {alt}\n\n{told}\n:::\n"
        for title, page, told, alt, picture in found
    ]
    return "::::{grid} 1 2 2 2\n:gutter: 3\n\n" + "\n".join(cards) + "::::\n"


def api_reference() -> str:
    """A section for each module of the package, and below it every public name with its docstring."""
    homes = img2img_helpers._HOME
    parts = []
    for module, title in GROUPS.items():
        parts.append(f"## {title}\n\n```{{eval-rst}}")
        for name in sorted(name for name, home in homes.items() if home == module):
            value = getattr(importlib.import_module(f"img2img_helpers.lessons.{module}"), name)
            if not callable(value):
                assert name == "MODELS", name
                parts.append(
                    f".. py:data:: img2img_helpers.{name}\n\n   A :class:`ModelCard` for each model, by name.\n"
                )
                continue
            kind = "autoclass" if isinstance(value, type) else "autofunction"
            parts.append(f".. {kind}:: img2img_helpers.{name}")
            parts.append("   :members:\n" if kind == "autoclass" else "")
        parts.append("```\n")
    assert set(homes.values()) == set(GROUPS), "a module without a section"
    return "\n".join(parts)


def write_pages(book: Path) -> None:
    """Write all that is made from elsewhere: lessons, and what other pages include from ``generated``."""
    root = book.parent
    generated = book / "generated"
    for folder in (generated, book / "notebooks"):
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
    # only the course's own lessons, not a reader's notebooks
    for source in sorted((root / "notebooks" / "source").glob("*.md")):
        lesson = nbformat.read(root / "notebooks" / f"{source.stem}.ipynb", 4)
        if source.stem == HERO:
            (generated / "hero.html").write_text(slider(lesson), "utf-8")
        if source.stem in TRY_HERE and live.can_build():
            add_studio(lesson, *TRY_HERE[source.stem])
        nbformat.write(publish(lesson), book / "notebooks" / f"{source.stem}.ipynb")
    (generated / "lessons.md").write_text(lesson_cards((root / "README.md").read_text("utf-8")), "utf-8")
    (generated / "api.md").write_text(api_reference(), "utf-8")
    (generated / "mistakes.md").write_text(hard_inputs.table(), "utf-8")
    (generated / "models.md").write_text(str(img2img_helpers.describe_models()) + "\n", "utf-8")
    (generated / "studio.html").write_text(studio("_static"), "utf-8")
    (generated / "static").mkdir()
    if live.can_build():
        live.build(CLASSROOM_FOLDER, generated / "static" / "live")
    else:
        print("The site is built without the model in the page: make live-packages fetches what it needs.")


def studio(static: str, **start: str) -> str:
    """Where the model runs in a page whose static files lie in ``static``; ``start`` is what it begins with."""
    if not live.can_build():
        return '<p class="needs-kernel">This copy of the site was built without the model in the page.</p>'
    data = "".join(f' data-{name}="{html.escape(value, quote=True)}"' for name, value in start.items())
    return (
        f'<link rel="stylesheet" href="{static}/live/studio.css"><div data-live{data}>'
        '<noscript><p class="needs-kernel">The model runs here where JavaScript is switched on.</p></noscript></div>'
        f'<script src="{static}/live/studio.js" defer></script>'
    )


def relink(app, doctree: nodes.document, docname: str) -> None:
    """Links to the site's own address lead within this copy of it; those of the page that GitHub shows anywhere, to its root."""
    home, own = app.config.html_baseurl, app.builder.get_target_uri(docname)
    for link in doctree.findall(nodes.reference):
        target = link.get("refuri", "")
        if target.startswith(home):  # which a lesson needs in Colab
            page, mark, part = target.removeprefix(home).partition("#")
            link["refuri"] = relative_uri(own, page or "index.html") + mark + part
            link["internal"] = True
        if docname == app.config.notfound_pagename and target and link.get("internal"):
            link["refuri"] = app.config.notfound_urls_prefix + link["refuri"]


def hand_out_lessons(app, error: Exception | None) -> None:
    """Give whoever downloads a lesson the lesson itself, in place of what the site made of it."""
    book, handed_out = Path(app.srcdir), Path(app.outdir) / "_sources" / "notebooks"
    if error or not handed_out.is_dir():  # not every builder writes it
        return
    for page in (book / "notebooks").glob("*.ipynb"):
        shutil.copy(book.parent / "notebooks" / page.name, handed_out)


def add_mathml(app) -> None:
    """Formulas as MathML, which browsers draw themselves: no script, no fonts, no requests."""

    def inline(translator, node: nodes.math) -> None:
        translator.body.append(convert(node.astext()))
        raise nodes.SkipNode

    def block(translator, node: nodes.math_block) -> None:
        label = html.escape(node.astext(), quote=True)
        translator.body.append(
            f'<div class="math" tabindex="0" role="group" aria-label="{label}">{convert(node.astext(), display="block")}</div>'
        )
        raise nodes.SkipNode

    app.add_html_math_renderer("mathml", inline_renderers=(inline, None), block_renderers=(block, None))
