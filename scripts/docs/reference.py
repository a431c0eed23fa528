"""The reference, made from the code: settings, verbs and rewards say of themselves what they are."""

from functools import cache

from rewards.registry import SHIPPED
from unigrpo.cli.rewards_about import About
from unigrpo.cli.verbs import VERBS
from unigrpo.config.parts import Key, Part, parts_of


@cache
def configured() -> list[str]:
    """The verbs that have settings."""
    return [name for name, verb in VERBS.items() if verb.schema]


OPENING = """# Command line

`unigrpo VERB [FILE.yaml ...] [key=value ...]`: files are merged from left to right over the defaults; settings are
written `key=value`, `--key=value` or `--key value` and come last. `unigrpo VERB --help` explains all settings of a
verb, `unigrpo VERB --help SECTION` those of a section; `unigrpo config VERB ...` checks what it is given and prints
all settings in full. The exit status is 0, 2 for an error of yours, 130 when interrupted, and 143 for a run that
SIGTERM stopped.

| verb | |
| --- | --- |
"""


def cli_page() -> str:
    """Every verb with its usage."""
    rows = "\n".join(f"| [`{name}`](#{name}) | {cell(verb.summary)} |" for name, verb in VERBS.items())
    return "\n\n".join([OPENING + rows, *(_verb(name) for name in VERBS)])


def _verb(name: str) -> str:
    verb = VERBS[name]
    settings = f"\n\nIts settings are [here]({name}.md)." if verb.schema else ""
    return (
        f"## {name} {{ #{name} }}\n\n{verb.summary[0].upper()}{verb.summary[1:]}.\n\n"
        f"```text\nunigrpo {verb.usage}\n```{settings}"
    )


def config_page(verb: str) -> str:
    """The settings of a verb, section by section; each key is an anchor, as `#algo.noise.rule`."""
    parts = list(parts_of(VERBS[verb].config_type()))
    return f"# Settings of `unigrpo {verb}`\n\n" + "\n\n".join(_part(part) for part in parts)


def _part(part: Part) -> str:
    title = f"## {part.name} {{ #{part.name} }}\n\n" if part.name else ""
    if part.like is not None:
        return f"{title}{prose(part.meaning)} Keys as in [`{part.like}`](#{part.like})."
    rows = "\n".join(_row(key) for key in part.keys)
    table = f"\n\n| key | default | type | |\n| --- | --- | --- | --- |\n{rows}" if rows else ""
    return f"{title}{prose(part.meaning)}{table}"


def _row(key: Key) -> str:
    shown = f'<a id="{key.name}" href="#{key.name}"><code>{key.name}</code></a>'
    return f"| {shown} | `{key.default}` | {cell(key.type)} | {cell(prose(key.meaning))} |"


def rewards_page() -> str:
    """The rewards that come with unigrpo: what each judges, and what it takes."""
    every = [About.of(name) for name in sorted(SHIPPED)]
    rows = "\n".join(f"| [`{one.name}`](#{one.name}) | {', '.join(one.tasks)} | {cell(one.summary)} |" for one in every)
    opening = "# Shipped rewards\n\n`unigrpo rewards show NAME` prints the same, with lines to paste into a config."
    return "\n\n".join([f"{opening}\n\n| name | tasks | |\n| --- | --- | --- |\n{rows}", *map(_reward, every)])


def _reward(about: About) -> str:
    rows = "\n".join(
        f"| `{one.name}` | {one.source} | {cell(one.kind)} | {'' if one.required else f'`{cell(repr(one.default))}`'} |"
        for one in about.arguments()
    )
    table = f"| takes | from | type | default |\n| --- | --- | --- | --- |\n{rows}"
    return f"## {about.name} {{ #{about.name} }}\n\n```text\n{about.doc}\n```\n\nCalled {about.called}.\n\n{table}"


def prose(text: str) -> str:
    """Text of the code as Markdown: stars and underlines mean themselves outside of code."""
    parts = text.split("`")
    parts[::2] = [part.replace("*", r"\*").replace("<", "&lt;") for part in parts[::2]]
    return "`".join(parts)


def cell(text: str) -> str:
    """Text that can stand in a table."""
    return " ".join(text.split()).replace("|", r"\|")
