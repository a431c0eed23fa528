"""Tables about a run: what came of each task, where the time went, memory, and what it was made with."""

from pathlib import Path

from unigrpo.environment import recorded
from unigrpo.reports.series import Series, ends, matching, number, shown
from unigrpo.reports.told import Table

RESULTS = {
    "train": ("eval/accuracy", "eval/*/accuracy", "eval/pass@*", "eval/*", "reward/mean", "reward/*/mean", "reward/*"),
    "sft": ("sft/held_out*", "sft/loss", "sft/*"),
    "tokenizer": ("held_out/*", "tokenizer/*"),
    "clip": ("clip/*",),
}
"""The metrics of each verb that are its results."""
LOW = (
    *("loss", "failed", "zero_std", "truncated", "stderr", "timeout", "error"),
    *("tokenizer/l1", "tokenizer/l2", "clip/unmatched"),
)
"""What is in the name of a metric of which less is better."""
NEITHER = ("/std", "samples", "tokens", "entropy", "commitment", "time/", "clip/chance")
"""What is in the name of one of which neither is."""
PARTS = ("sample", "score", "batch", "behaviour", "wait", "learn", "sync", "data", "eval")


def of_metrics(verb: str, found: Series) -> list[Table]:
    """Results, time and memory of a run that trains."""
    made = [_results(found, RESULTS.get(verb, ())), _time(found), _speed(found), _memory(found)]
    return [table for table in made if table.rows]


def _results(found: Series, patterns: tuple[str, ...]) -> Table:
    rows = []
    for key in matching(found, patterns):
        steps, values = found[key]
        if not any(values) and _is_low(key):
            continue
        first, last = ends(key, values)
        at = _best(key, values)
        best = "" if at is None else f"{shown(key, values[at])} (step {steps[at]})"
        rows.append([key, shown(key, first), best, shown(key, last)])
    note = (
        "Faults that never happened are left out. First and last of what is measured in each step are means of up to "
        "five; the best is that of one step."
    )
    return Table("Results", ["metric", "first", "best", "last"], rows, note)


def _best(key: str, values: list[float]) -> int | None:
    """The place of the best value; None of a metric that is neither better high nor low."""
    if any(name in key for name in NEITHER):
        return None
    return values.index((min if _is_low(key) else max)(values))


def _is_low(key: str) -> bool:
    return any(name in key for name in LOW)


def _time(found: Series) -> Table:
    steps = found.get("time/step", ([], []))[1]
    whole = sum(steps)
    rows = []
    for part in PARTS:
        if (values := found.get(f"time/{part}", ([], []))[1]) and any(values):
            share = f"{sum(values) / whole:.0%}" if whole and part != "eval" else ""
            rows.append([part, clock(sum(values)), f"{sum(values) / len(values):.3g} s", share])
    if whole:
        rows.append(["steps, all in all", clock(whole), f"{whole / len(steps):.3g} s", ""])
    note = "Parts may overlap: where sampling goes on beside learning, a step only waits for what is not ready."
    return Table("Time", ["part", "in all", "each time", "share of the steps"], rows, note)


def _speed(found: Series) -> Table:
    """Means over the run, from its sums."""
    rows, seconds = [], found.get("time/step", ([], []))[1]
    if not sum(seconds):
        return Table("Speed", [], [])
    rows.append(["steps per hour", number(3600 * len(seconds) / sum(seconds))])
    for count, name in (("policy/tokens", "tokens learned from"), ("sft/samples", "samples")):
        if count in found:
            total = sum(found[count][1])
            rows += [[f"{name} per second", number(total / sum(seconds))], [name, number(round(total))]]
    return Table("Speed", ["", "over the run"], rows)


def _memory(found: Series) -> Table:
    rows = [
        [key.removeprefix("memory/").removesuffix("_gb").replace("_", " "), *(f"{x:.3g} GiB" for x in (max(v), v[-1]))]
        for key in matching(found, ("memory/*",))
        for v in [found[key][1]]
    ]
    return Table("Memory", ["process", "highest", "last"], rows)


def environment(folder: Path) -> list[Table]:
    """What each start of a run was made with."""
    starts = recorded(folder)
    keys = dict.fromkeys(key for start in starts for key in start)
    rows = [[key, *(str(start.get(key, "")) for start in starts)] for key in keys]
    head = ["", *([f"start {at}" for at in range(1, len(starts) + 1)] if len(starts) > 1 else [""])]
    return [Table("Environment", head, rows)] if rows else []


def clock(seconds: float) -> str:
    """Hours, minutes and seconds."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"
