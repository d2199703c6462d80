"""The site: `make book` builds it from this folder and the notebooks with their stored outputs."""

import re
import shutil
from pathlib import Path

from img2img_helpers import describe_models

HERE = Path(__file__).parent
LESSONS = HERE.parent / "notebooks"
# Sphinx reads one folder only: copy the lessons (not a reader's own notebooks) into it; git ignores the copy
shutil.rmtree(HERE / "notebooks", ignore_errors=True)
(HERE / "notebooks").mkdir()
for source in (LESSONS / "source").glob("*.md"):
    shutil.copy(LESSONS / f"{source.stem}.ipynb", HERE / "notebooks")
# the page of models shows the table that the package holds
(HERE / "generated").mkdir(exist_ok=True)
(HERE / "generated" / "models.md").write_text(str(describe_models()) + "\n")

project = "Image-to-image diffusion, hands-on"
author = "The authors of the course"
extensions = ["myst_nb", "sphinx_copybutton", "sphinx_togglebutton"]
myst_enable_extensions = ["dollarmath"]
nb_execution_mode = "off"  # pages show the stored outputs, which `make test` compares with fresh ones
exclude_patterns = ["generated"]  # part of other pages
html_theme = "sphinx_book_theme"
html_title = project
html_static_path = ["_static"]
html_css_files = ["print.css"]
html_theme_options = {
    "repository_url": re.search(r'^Repository = "(.+)"$', (HERE.parent / "pyproject.toml").read_text(), re.M)[1],
    "repository_branch": "main",
    "path_to_docs": "",  # Colab opens notebooks/01_setup.ipynb, not the copy
    "use_repository_button": True,
    "launch_buttons": {"colab_url": "https://colab.research.google.com"},
}
