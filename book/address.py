"""Give the course another home: `make address URL=https://github.com/you/your-course`.

The address stands in pyproject.toml; this writes it wherever else it is needed: badges, the cells that install the
course on Colab, links. The site's own address becomes that of its GitHub Pages.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent
FILES = ("pyproject.toml", "CITATION.cff", "README.md", "book/*.md", "notebooks/*.ipynb", "notebooks/source/*.md")


def current(root: Path = ROOT, name: str = "Repository") -> str:
    """The address of the repository or, by the ``name`` Documentation, of the site, as pyproject.toml has it."""
    return re.search(rf'^{name} = "(.+)"$', (root / "pyproject.toml").read_text("utf-8"), re.M)[1]


def split(address: str) -> tuple[str, str]:
    """Owner and name of a GitHub repository.

    Raises:
        ValueError: for anything that is no such address.
    """
    found = re.fullmatch(r"https://github\.com/([\w-]+)/([\w.-]+?)(?:\.git)?/?", address)
    if not found:
        raise ValueError(f"The address must be like https://github.com/owner/name, not {address!r}.")
    return found[1], found[2]


def pages(owner: str, name: str) -> str:
    """Where GitHub puts the site of a repository: that of the name ``owner.github.io`` at the root."""
    host = f"https://{owner.lower()}.github.io"
    return host if name.lower() == f"{owner.lower()}.github.io" else f"{host}/{name}"


def stamp(address: str, root: Path = ROOT) -> list[Path]:
    """Write ``address`` in place of the present one; returns the files that changed."""
    old, new = split(current(root)), split(address)
    site = current(root, "Documentation").rstrip("/")
    exchanges = ((site, pages(*new)), ("/".join(old), "/".join(new)))  # the site's first: it may hold the other
    changed = []
    for path in sorted(path for pattern in FILES for path in root.glob(pattern)):
        before = after = path.read_text("utf-8")
        for one, other in exchanges:
            after = after.replace(one, other)
        if after != before:
            path.write_text(after, "utf-8")
            changed.append(path)
    return changed


if __name__ == "__main__":
    try:
        changed = stamp(sys.argv[1] if len(sys.argv) > 1 else "")
    except ValueError as error:
        sys.exit(str(error))
    print(f"{len(changed)} files now say {current()}.")
