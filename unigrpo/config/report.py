"""The settings of `unigrpo report`."""

from dataclasses import dataclass, field


@dataclass(kw_only=True)
class ReportConfig:
    """`unigrpo report`: one HTML page about one or several runs, that needs no network and no other file."""

    runs: list[str] = field(default_factory=list)
    """Folders of runs of train, sft, eval, tokenizer, clip or curate, of pipelines or sweeps; the first words are
    them."""
    output: str | None = None
    """The file to write; by default report.html in the folder of the run, or here if there are several."""
    steps: list[int] = field(default_factory=list)
    """Steps whose rollouts are shown, as far as they were logged; by default up to eight, spread over all."""
    title: str | None = None
    """Title of the page; by default the names of the runs."""


def runs_are_named(it: ReportConfig) -> str | None:
    """There is something to tell of."""
    return None if it.runs else "runs is empty: name the folder of a run: unigrpo report RUN."


def output_is_html(it: ReportConfig) -> str | None:
    """What a browser is to open ends in .html."""
    if it.output is None or it.output.lower().endswith((".html", ".htm")):
        return None
    return f"output is {it.output!r}, but the page is HTML: name a file that ends in .html."


REPORT_RULES = [runs_are_named, output_is_html]
