"""The long description for package indexes, where relative links and pictures lead nowhere.

With DCGAN_PROJECT_URL set to the address of the repository, relative links of README.md become
absolute ones to the tag of this version, and the address is published as the project's home.
Without it, links become plain text and pictures their captions.
"""

import os
import re
import tomllib
from pathlib import Path

from setuptools import setup

ROOT = Path(__file__).parent


def long_description(readme: str, url: str, version: str) -> str:
    """Return the text of the README with every relative link rewritten or removed."""

    def rewrite(match: re.Match[str]) -> str:
        picture, text, path = match.groups()
        if not url:
            return f"*{text}*" if picture else text
        kind = "raw" if picture else "blob"
        return f"{picture}[{text}]({url}/{kind}/v{version}/{path})"

    return re.sub(r"(!?)\[([^\]]*)\]\((?!https?:|#)([^)]+)\)", rewrite, readme)


if __name__ == "__main__":
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    home = os.environ.get("DCGAN_PROJECT_URL", "").rstrip("/")
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    setup(
        long_description=long_description(text, home, project["version"]),
        long_description_content_type="text/markdown",
        project_urls={"Repository": home, "Changelog": f"{home}/blob/main/CHANGELOG.md"}
        if home
        else {},
    )
