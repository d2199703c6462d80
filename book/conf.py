"""The site: `make book` builds it from this folder, the README, the package and the lessons' stored outputs."""

import sys
from pathlib import Path
from urllib.parse import urlparse

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE), str(HERE.parent)]

import address  # noqa: E402
import pages  # noqa: E402

pages.write_pages(HERE)

project = "Image-to-image diffusion, hands-on"
author = "The authors of the course"
extensions = [
    *("myst_nb", "sphinx_design", "sphinx_copybutton", "sphinx_togglebutton"),
    *("sphinx.ext.autodoc", "sphinx.ext.napoleon", "notfound.extension", "sphinx_sitemap", "sphinxext.opengraph"),
]
myst_enable_extensions = ["colon_fence", "dollarmath"]
nb_execution_mode = "off"  # pages show the stored outputs, which `make test` compares with fresh ones
html_math_renderer = "mathml"
exclude_patterns = ["generated"]  # part of other pages
autodoc_typehints = "none"  # the docstrings tell
autodoc_member_order = "bysource"
add_module_names = False
copybutton_exclude = ".linenos, .gp"
smartquotes = False

html_theme = "sphinx_book_theme"
html_title = project
html_favicon = "_static/favicon.svg"
html_static_path = ["_static", "generated/static"]
html_css_files = ["site.css", "print.css"]
# a page that was opened as a file may fetch no other: the search finds titles there, without a summary of each
html_js_files = [
    (None, {"body": "if (location.protocol === 'file:') DOCUMENTATION_OPTIONS.SHOW_SEARCH_SUMMARY = false;"})
]
html_baseurl = address.current(name="Documentation")
html_context = {"default_mode": "auto"}
html_theme_options = {
    "repository_url": address.current(),
    "repository_branch": "main",
    "path_to_docs": "",  # Colab opens notebooks/01_setup.ipynb, not the copy
    "use_repository_button": True,
    "navbar_persistent": [],  # the sidebar has the search field
    "launch_buttons": {
        "notebook_interface": "jupyterlab",
        "colab_url": "https://colab.research.google.com",
        "binderhub_url": "https://mybinder.org",
    },
}
# what others show when somebody links to a page
ogp_site_url = html_baseurl
ogp_image = "_static/preview.jpg"
ogp_image_alt = "A cottage, and five oil paintings of it at rising strength"
ogp_social_cards = {"enable": False}
sitemap_url_scheme = "{link}"
sitemap_excludes = ["404.html", "search.html"]
html_use_index = False  # the page of the package and the search find more
# GitHub shows 404.html under any address, so its own links start at the site's root
notfound_urls_prefix = urlparse(html_baseurl).path


def setup(app) -> None:
    pages.add_mathml(app)
    app.connect("doctree-resolved", pages.relink)
    app.connect("build-finished", pages.hand_out_lessons)
