"""A sweep as one page."""

from collections.abc import Sequence
from pathlib import Path

from unigrpo.reports import charts
from unigrpo.reports.page import write_page
from unigrpo.reports.told import Concern, Fact, Section, Table, Told
from unigrpo.sweeps.points import shown
from unigrpo.sweeps.results import Outcome, Summary, verdict, with_interval


def write(
    file: Path,
    title: str,
    outcomes: Sequence[Outcome],
    found: Sequence[Summary],
    metrics: Sequence[str],
    drawn: Sequence[Path],
) -> None:
    """Writes the page of a sweep: what came of it, its pictures, its points and its trials."""
    counts = {
        state: sum(one.state == state for one in outcomes) for state in dict.fromkeys(it.state for it in outcomes)
    }
    facts = [Fact(f"trials: {state}", str(count)) for state, count in counts.items()]
    pictures = [one for path in drawn if (one := charts.picture(path.stem.replace("--", " by "), path))]
    told = Told(
        facts=facts,
        tables=[_points(found, metrics, verdict(found, metrics[0])), _trials(outcomes, metrics[0])],
        pictures=pictures,
        warnings=[Concern(f"{one.point.name}, seed {one.seed}: {one.why}") for one in outcomes if one.why],
    )
    state = "done" if counts.keys() <= {"done", "stopped"} else "not done"
    write_page(file, title, [Section(title=title, verb="sweep", state=state, folder=str(file.parent), told=told)])


def _points(found: Sequence[Summary], metrics: Sequence[str], note: str) -> Table:
    head = ["point", "n", *(f"{metric}, final" for metric in metrics), f"{metrics[0]}, best", "less the best point's"]
    rows = [
        [
            one.point.name,
            str(one.seeds),
            *(with_interval(one.final[metric]) for metric in metrics),
            with_interval(one.best),
            with_interval(one.behind),
        ]
        for one in found
    ]
    return Table("Points", head, rows, f"{note} Means over seeds, with intervals of 95 % by Student's t.")


def _trials(outcomes: Sequence[Outcome], metric: str) -> Table:
    head = ["trial", "state", "steps", f"{metric}, final", "folder"]
    rows = [
        [f"{one.point.name}, seed {one.seed}", one.state, str(one.steps), shown(one.final(metric)), str(one.folder)]
        for one in outcomes
    ]
    return Table("Trials", head, rows)
