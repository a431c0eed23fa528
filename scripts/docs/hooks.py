"""What mkdocs runs while it builds the site: pages that are made from the README and from the code.

Nothing is written twice: the first page is README.md, and the references come from the dataclasses and the verbs.
"""

import re
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from reference import cli_page, config_page, configured, rewards_page

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
SHIM = "assets/iframe-worker.js"
OUTSIDE = {"README.md": "index.md", "CHANGELOG.md": "changelog.md", "CONTRIBUTING.md": "contributing.md"}
"""Files of the project's folder, and the pages of the site that they are."""
LINK = re.compile(r"(?<=\]\()(?!\w+:|#)([^)#\s]+)")
"""The path of a Markdown link that leads to a file."""


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """Gives the settings of every verb a place in the navigation."""
    reference = next(item["Reference"] for item in config.nav or [] if "Reference" in item)
    settings = next(item for item in reference if "Settings" in item)
    settings["Settings"] = [{verb: f"reference/{verb}.md"} for verb in configured()]
    return config


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Adds the pages that are in no file of docs/."""
    pages = {page: moved((ROOT / name).read_text()) for name, page in OUTSIDE.items()}
    pages |= {"reference/cli.md": cli_page(), "reference/rewards.md": rewards_page()}
    pages |= {f"reference/{verb}.md": config_page(verb) for verb in configured()}
    pages[SHIM] = (HERE / "iframe-worker.js").read_text()
    for name, text in pages.items():
        files.append(File.generated(config, name, content=text))
    return files


def on_page_markdown(markdown: str, **_) -> str:
    """The text of a page of docs/, whose links to files beside docs/ lead to the pages that these have become."""
    return LINK.sub(lambda link: OUTSIDE.get(link[1].removeprefix("../"), link[1]), markdown)


def moved(text: str) -> str:
    """The text of a file of the project's folder, with the links it needs as a page beside those of docs/."""
    return LINK.sub(lambda link: OUTSIDE.get(link[1], link[1].removeprefix("docs/")), text)
