"""`unigrpo data check`: what training would read, before a model is loaded."""

import difflib

from unigrpo.cli.data_read import Report, reports_of
from unigrpo.cli.data_shown import samples_of, summary
from unigrpo.cli.data_words import configured
from unigrpo.cli.main import show
from unigrpo.cli.rewards_tables import render
from unigrpo.cli.rewards_words import take
from unigrpo.errors import ConfigError

COMMANDS = ("check",)
OPTIONS = {"samples": int, "limit": int, "markdown": bool}
SAMPLES = 2
MESSAGES = 5
"""Broken rows of a data set that are named."""


def run(args: list[str]) -> int:
    """Prints what the data of a config is like; 1 when a data set could not be trained on."""
    if not args or args[0] not in COMMANDS:
        close = difflib.get_close_matches(args[0], COMMANDS, n=1, cutoff=0.5) if args else []
        hint = f"Did you mean: data {close[0]}?" if close else "`unigrpo data --help` explains it."
        raise ConfigError(f"data needs the word {' or '.join(COMMANDS)}. {hint}")
    options, rest = take(args[1:], OPTIONS)
    config = configured(rest)
    reports = reports_of(config, options.get("limit"), options.get("samples", SAMPLES))
    parts = [render("Data", [summary(report, config) for report in reports], options.get("markdown", False))]
    for report in reports:
        parts += [f"\n{title}\n{text}" for title, text in samples_of(report, config)]
    parts += _faults(reports)
    show("\n".join(parts))
    return int(any(report.faults for report in reports))


def _faults(reports: list[Report]) -> list[str]:
    """What is wrong, by data set, and which rows are broken where some may be."""
    lines = []
    for report in reports:
        kind = "error" if report.faults else "left out"
        named = report.faults or report.tally.messages
        lines += [f"{kind}: {report.key}: {message}" for message in named[:MESSAGES]]
        if len(named) > MESSAGES or report.tally.broken > len(named):
            lines.append(f"{kind}: {report.key}: {report.tally.broken} rows are broken in all.")
    return ["", *lines] if lines else []
