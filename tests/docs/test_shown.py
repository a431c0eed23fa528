"""What the pages show beside commands: YAML that loads, and links that lead somewhere."""

import re
from pathlib import PurePosixPath

import pytest
from pymdownx.slugs import slugify

from tests.docs.pages import FENCE, HOME, SHELL, Command, commands, fences, pages, text_of
from tests.docs.play import first_page, key_of, treatment
from tests.docs.treatments import TREATMENTS, Run
from unigrpo.cli.verbs import VERBS
from unigrpo.config.load import load_config
from unigrpo.errors import UniGRPOError

LINK = re.compile(r"\[[^\]]*\]\((?!https?:)([^)#\s]*)(?:#([^)\s]+))?\)")
SCHEMAS = [verb.config_type() for verb in VERBS.values() if verb.schema]


@pytest.mark.parametrize("page", pages())
def test_somebody_says_how_each_command_is_tried(page):
    missing = [command for command in commands(page) if treatment(command) is None]
    assert not missing, f"add {missing[0].text!r} ({missing[0].place}) to tests/docs/treatments.py"


@pytest.mark.parametrize("text", ["make site", "unigrpo tarin my.yaml", "python scripts/new.py"])
def test_a_command_that_nobody_has_seen_before_must_be_added(text):
    assert treatment(Command("docs/new.md", 1, text)) is None


@pytest.mark.parametrize("page", pages())
def test_every_fence_is_one_that_these_tests_read(page):
    text = text_of(page)
    assert {match[1] for match in FENCE.finditer(text)} <= {*SHELL, "text", "yaml", "python", "toml", "json"}
    assert text.count("```") == 2 * len(FENCE.findall(text)), "a fence is indented, or does not end"
    for line, code in fences(page, "python"):
        compile(code, f"{page}:{line}", "exec")


def test_every_treatment_is_of_a_command_that_is_shown_and_says_why_it_is_not_run_as_it_stands():
    found = {key_of(command) for page in pages() for command in commands(page)}
    assert set(TREATMENTS) <= found
    for text, how in TREATMENTS.items():
        assert how.why if not isinstance(how, Run) or how.without else True, text


def test_a_command_that_two_pages_show_is_tried_once():
    twice = next(it for it in commands("docs/pipelines.md") if "mmada.yaml" in it.text)
    assert first_page(twice) == "README.md"


@pytest.mark.parametrize(("page", "line", "text"), [(page, *it) for page in pages() for it in fences(page, "yaml")])
def test_yaml_that_is_shown_has_settings_that_there_are(tmp_path, page, line, text):
    file = tmp_path / "shown.yaml"
    file.write_text(text)
    if "\nparameters:" in text:  # a sweep of wandb's own server
        return
    said = [problem(schema, str(file)) for schema in SCHEMAS]
    assert None in said, f"{page}:{line} is a config of no verb: {said}"


def problem(schema: type, file: str) -> str | None:
    """Why a file is no config of a verb."""
    try:
        load_config(schema, [file])
    except UniGRPOError as error:
        return str(error)
    return None


def anchors(page: str) -> set[str]:
    """Those of its headings, as GitHub and the site have them."""
    make = slugify(case="lower")
    headings = re.findall(r"^#+ (.*)$", FENCE.sub("", text_of(page)), re.MULTILINE)
    return {make(heading.replace("`", ""), "-") for heading in headings}


@pytest.mark.parametrize("page", pages())
def test_links_lead_to_files_and_headings_that_there_are(page):
    for path, anchor in LINK.findall(FENCE.sub("", text_of(page))):
        target = str(PurePosixPath(page).parent / path) if path else page
        assert (HOME / target).exists(), f"{page} links to {path}"
        assert not anchor or anchor in anchors(target), f"{page} links to {path}#{anchor}"
