"""`unigrpo report RUN...`: one page about one or several runs."""

import json
from itertools import takewhile
from pathlib import Path

from unigrpo.cli.verbs import VERBS
from unigrpo.config import ReportConfig
from unigrpo.errors import ConfigError, DataError
from unigrpo.reports.compare import compare
from unigrpo.reports.page import is_ours, write_page
from unigrpo.reports.read import tell_all
from unigrpo.reports.runs import Run, find_runs, shown
from unigrpo.reports.series import Series
from unigrpo.reports.tables import clock
from unigrpo.reports.told import Section, Told

NAME = "report.html"


def run(args: list[str]) -> int:
    """Writes the page and prints where it is, and what on it is worth a look."""
    config: ReportConfig = VERBS["report"].checked(named(args))
    runs = find_runs(config.runs)
    output = _place(config, runs)
    sections, series = _sections(config, runs)
    title = config.title or f"Report: {', '.join(run.name for run in runs)}"
    write_page(output, title, sections, compare(runs, series) if len(runs) > 1 else None)
    for section in sections:
        for concern in section.told.warnings:
            print(f"{section.title}: {concern.what}")
    print(f"{output}  {output.stat().st_size / 1e6:.1f} MB; open it in a browser")
    return 0


def named(args: list[str]) -> list[str]:
    """The arguments with the words that they begin with as the setting that they are."""
    words = list(takewhile(lambda arg: not arg.startswith("-") and "=" not in arg, args))
    rest = args[len(words) :]
    return [f"runs={json.dumps(words)}", *rest] if words else rest


def _place(config: ReportConfig, runs: list[Run]) -> Path:
    """The file to write.

    Raises:
        ConfigError: something else has that name, or it cannot be written.
    """
    usual = runs[0].folder / NAME if len(runs) == 1 else Path(NAME)
    output = Path(config.output) if config.output else usual
    if output.is_dir() or (output.is_file() and not is_ours(output)):
        raise ConfigError(f"{output} is there already and is no report: name another output=")
    try:
        output.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigError(f"output={output} cannot be written ({error.strerror}): name another file.") from None
    return output


def _sections(config: ReportConfig, runs: list[Run]) -> tuple[list[Section], dict[str, Series]]:
    """What is told of each run, and the metrics of each.

    Raises:
        DataError: there is nothing to tell of any of them, or none has logged the steps that are asked for.
    """
    told, series = {}, {}
    together = _verbs_together(runs)
    for run in runs:
        alone = run.verb not in together
        told[run.name], series[run.name] = tell_all(run.verb, run.folder, config.steps, alone)
    if not any(map(_says_something, told.values())):
        names = ", ".join(str(run.folder) for run in runs)
        raise DataError(f"{names} has nothing to report yet: it was begun, but no step of it is done.")
    if config.steps and not any(one.steps for one in told.values()):
        raise DataError(
            f"steps={config.steps}: rollouts of none of them were logged. With tracking.rollouts_every=N those of "
            "every Nth step are; leave steps out to see some of these."
        )
    return [_section(run, told[run.name], series[run.name]) for run in runs], series


def _verbs_together(runs: list[Run]) -> set[str]:
    verbs = [run.verb for run in runs]
    return {verb for verb in verbs if verbs.count(verb) > 1}


def _says_something(told: Told) -> bool:
    return bool(told.facts or told.steps)


def _section(run: Run, told: Told, series: Series) -> Section:
    changed = {key: pair for key, pair in run.settings.items() if pair[0] != pair[1]}
    return Section(
        title=run.name,
        verb=run.verb,
        state="done" if run.done else "not done",
        folder=str(run.folder),
        time=_time(series),
        seed=str(run.settings["seed"][0]) if "seed" in run.settings else "",
        settings=[(key, shown(value), shown(default)) for key, (value, default) in changed.items()],
        told=told,
    )


def _time(series: Series) -> str:
    """Of all steps and evaluations, where the steps were timed."""
    timed = [key for key in ("time/step", "time/eval") if key in series] if "time/step" in series else []
    return clock(sum(sum(series[key][1]) for key in timed)) if timed else ""
