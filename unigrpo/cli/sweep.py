"""`unigrpo sweep FILE.yaml`: trials of Ray Tune over the real training, what came of them as tables and pictures."""

import signal
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path

from unigrpo import report
from unigrpo.cli.main import show
from unigrpo.cli.pipeline_records import alone
from unigrpo.cli.sweep_jobs import STOP, Before
from unigrpo.cli.sweep_plan import Planned, check_replaced, missing_before, missing_trials, plan_of, stages_to_run
from unigrpo.cli.sweep_supply import Trials, known_points
from unigrpo.cli.sweep_trials import all_of, check_axes, check_metric, examples_of
from unigrpo.cli.verbs import VERBS
from unigrpo.config import SweepConfig
from unigrpo.config.files import write_atomically
from unigrpo.errors import ConfigError
from unigrpo.progress import console
from unigrpo.stopping import StoppedError
from unigrpo.sweeps import page, plots, tables
from unigrpo.sweeps.board import board
from unigrpo.sweeps.records import TrialRecords
from unigrpo.sweeps.results import Outcome, summaries, verdict
from unigrpo.sweeps.study import load_optuna


class SweepStoppedError(StoppedError):
    """A sweep ended at a signal, after its trials were saved."""

    def __init__(self, output: str, left: int):
        Exception.__init__(
            self, f"{output} was stopped and its trials are saved: the same command runs the {left} left."
        )


def run(args: list[str]) -> int:
    """Runs the trials that are not done; returns 1 when some have failed."""
    config: SweepConfig = VERBS["sweep"].checked(args)
    check_axes(config)
    lines = missing_before(config)
    plans = first_plans(config)
    lines += missing_trials(config, plans or [plan_of(config, one, None) for one in examples_of(config)])
    if config.plan:
        _show_plan(config, plans, lines)
        return 0
    if lines:
        raise ConfigError(f"{lines[0]} does not exist: correct it, or put it there (--plan names all).")
    check_replaced(config, plans)
    import_module("actors.tune")  # which says what is missing before anything is written
    if config.search.method == "optuna":
        load_optuna()
    with alone(Path(config.output), "sweep"):
        outcomes, asked = _carried_out(config)
        tell(config, outcomes)
    left = sum(one.state in ("cut", "not run") for one in outcomes)
    if asked == [signal.SIGINT]:
        console.print(str(SweepStoppedError(config.output, left)), markup=False, highlight=False, soft_wrap=True)
        raise KeyboardInterrupt
    if asked:
        raise SweepStoppedError(config.output, left)
    return int(any(one.state == "failed" for one in outcomes))


def first_plans(config: SweepConfig) -> list[Planned]:
    """What is to be done with the trials that are known before any has run, all of which are checked.

    Raises:
        ConfigError: the settings of one cannot be used.
    """
    check_metric(config, examples_of(config)[0])
    records = TrialRecords(Path(config.output))
    trials = all_of(config, known_points(config, records))
    will_run = {seed: stages_to_run(config, seed) for seed in config.seeds}
    return [plan_of(config, one, records.get(one.name), will_run[one.seed]) for one in trials]


def _show_plan(config: SweepConfig, plans: Sequence[Planned], lines: Sequence[str]) -> None:
    rows = [{"trial": one.trial.name, "what": one.action, "why": "; ".join(one.why)} for one in plans]
    said = [report.table(rows)] if rows else []
    if config.search.method == "optuna":
        said.append(f"Optuna chooses {config.search.trials} points, with {len(config.seeds)} seeds each.")
    waiting = {seed: names for seed in config.seeds if (names := stages_to_run(config, seed))}
    said += [f"before seed {seed}: {', '.join(names)}" for seed, names in waiting.items()]
    show("\n".join([*said, *(f"missing: {line}" for line in lines)]))


def _carried_out(config: SweepConfig) -> tuple[list[Outcome], list[int]]:
    """Runs what is not done, in a Ray that is there for this alone; without anything to run there is none.

    Returns:
        All trials, and the signal that ended them, if one did.
    """
    (Path(config.output) / STOP).unlink(missing_ok=True)  # of a sweep that was stopped, and killed as it waited
    seeds = [seed for seed in config.seeds if stages_to_run(config, seed)]
    if not seeds and (trials := _trials(config, {})).exhausted():
        return trials.outcomes(), []
    from actors.tune import joined

    # Signals are taken once Ray has started, which takes them too.
    with joined(config.cluster.address, config.resources.cpus), stopping(Path(config.output) / STOP) as asked:
        trials = _trials(config, _run_before(config, seeds) if seeds else {})
        check_replaced(config, [one for one in trials.all if one.trial.seed not in trials.failed])
        if not trials.exhausted():
            _run_trials(config, trials)
    return trials.outcomes(), asked


def _trials(config: SweepConfig, failed: Mapping[int, str]) -> Trials:
    return Trials(config, TrialRecords(Path(config.output)), failed)


def _run_before(config: SweepConfig, seeds: Sequence[int]) -> Mapping[int, str]:
    """Runs the stages before the trials; returns why seeds have failed."""
    from actors.tune import run_jobs

    with board("", len(seeds), 0) as shown:
        before = Before(config, seeds, shown)
        run_jobs(before, len(seeds), config.resources, config.max_concurrent)
    return before.failed


def _run_trials(config: SweepConfig, trials: Trials) -> None:
    from actors.tune import Halving, run_jobs

    steps = examples_of(config)[0].stage.config.steps
    halving = Halving(section=config.early_stop, steps=steps, mode=config.mode) if config.early_stop else None
    with board(config.metric, trials.count(), steps) as shown:
        trials.board = shown
        run_jobs(trials, trials.count(), config.resources, config.max_concurrent, halving)


def tell(config: SweepConfig, outcomes: Sequence[Outcome]) -> None:
    """Writes tables, pictures and the page into the sweep's folder, and prints what came of it."""
    folder, metrics = Path(config.output), [config.metric, *config.more_metrics]
    found = summaries(outcomes, metrics, config.mode)
    table = tables.point_table(found, metrics)
    said = verdict(found, config.metric)
    note = "Means over seeds ± half of an interval of 95 % (Student's t)."
    write_atomically(folder / "table.md", f"{table}\n{note} {said}\n")
    write_atomically(folder / "table.csv", tables.to_csv(tables.point_rows(found, metrics)))
    write_atomically(folder / "trials.csv", tables.to_csv(tables.trial_rows(outcomes, metrics, config.mode)))
    drawn = plots.pictures(outcomes, config.axes, metrics, config.mode, folder / "plots")
    page.write(folder / "report.html", f"Sweep {folder.name}", outcomes, found, metrics, drawn)
    print(f"\n{table}\n{said}")
    for one in outcomes:
        if one.state == "failed":
            log = Path(f"{one.folder}.log")  # which is not there if it never began, for what comes before it failed
            print(f"failed: {one.point.name}, seed {one.seed}: {one.why}" + (f" ({log})" if log.exists() else ""))
    print(f"Table: {folder / 'table.md'}  Pictures: {folder / 'plots'}  Report: {folder / 'report.html'}")


@contextmanager
def stopping(file: Path) -> Iterator[list[int]]:
    """Within the block the first SIGTERM or Ctrl-C lets every trial save and end; a second Ctrl-C ends at once.

    Yields:
        The signal that came, if one did.
    """
    asked: list[int] = []

    def note(number: int, _) -> None:
        if asked and number == signal.SIGINT:
            raise KeyboardInterrupt
        if not asked:
            asked.append(number)
            file.touch()

    if threading.current_thread() is not threading.main_thread():
        yield asked
        return
    before = {number: signal.signal(number, note) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield asked
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        file.unlink(missing_ok=True)
