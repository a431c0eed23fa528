"""Where the time of a step goes: a trace of the step, as torch records it, and a table of its operations."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from unigrpo.config import TrackingSection
from unigrpo.config.files import write_atomically
from unigrpo.types import Metrics

FOLDER = "profile"
AFTER = 2
"""Steps that pass before the one that is recorded: the first ones load and compile."""
OPERATIONS = 30


@contextmanager
def recorded(folder: Path | None, name: str) -> Iterator[None]:
    """Records what torch does within the block, if there is a folder to write it to.

    `NAME.json.gz` is a trace for https://ui.perfetto.dev or chrome://tracing, `NAME.txt` the operations that took most.
    """
    if folder is None:
        yield
        return
    import torch  # late, as who scores may need none
    from torch.profiler import ProfilerActivity, profile

    gpu = [ProfilerActivity.CUDA] if torch.cuda.is_available() else []
    with profile(activities=[ProfilerActivity.CPU, *gpu]) as found:
        yield
    folder.mkdir(parents=True, exist_ok=True)
    found.export_chrome_trace(str(folder / f"{name}.json.gz"))
    most = "self_cuda_time_total" if gpu else "self_cpu_time_total"
    table = found.key_averages().table(sort_by=most, row_limit=OPERATIONS, max_name_column_width=60)
    (folder / f"{name}.txt").write_text(table + "\n", encoding="utf-8")


def traces_of(section: TrackingSection, run: Path) -> Path | None:
    """Where a run's traces go, if it makes any."""
    return run / FOLDER if section.profile else None


class Recorder(ExitStack):
    """Records one step of a loop, from its start to that of the next."""

    def __init__(self, section: TrackingSection, run: Path, first: int, here: bool = True):
        """Args:
        first: the step that the loop starts with.
        here: the work is done in this process; otherwise only the parts of the step are written.
        """
        super().__init__()
        self.folder, self.wanted, self.here = traces_of(section, run), first + AFTER, here

    def at(self, step: int) -> None:
        """Says that a step begins."""
        self.close()
        if step == self.wanted and self.here:
            self.enter_context(recorded(self.folder, "step"))

    def took(self, step: int, metrics: Metrics) -> None:
        """Writes how long the parts of the step took, if it is the one."""
        if step == self.wanted and self.folder:
            self.folder.mkdir(parents=True, exist_ok=True)
            write_atomically(self.folder / "step.md", parts_of(metrics) + "\n")


def parts_of(metrics: Metrics) -> str:
    """The seconds of one step by part, as a table in Markdown; a worker's are beside those of the loop that waits."""
    step = metrics["time/step"]
    found = {name.removeprefix("time/"): value for name, value in metrics.items() if name.startswith("time/")}
    lines = ["| part | seconds | of the step |", "| --- | ---: | ---: |"]
    for name, seconds in sorted(found.items(), key=lambda item: -item[1]):
        lines.append(f"| {name} | {seconds:.3f} | {seconds / step:.0%} |")
    return "\n".join(lines)
