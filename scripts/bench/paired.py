"""Measures contenders against a baseline in one run: turn by turn, so that other work hits them all alike."""

import ctypes
import gc
import itertools
import json
import random
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import matplotlib as mpl
import torch

mpl.use("Agg")
from matplotlib import pyplot as plt

Times = dict[str, list[float]]
"""Seconds of each contender in each round."""


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def rounds(contenders: Mapping[str, Callable[[], Any]], count: int, device: torch.device | str = "cpu") -> Times:
    """Seconds of each contender in `count` rounds, after one that is not counted; who is first changes each time."""
    device, names = torch.device(device), list(contenders)
    times: Times = {name: [] for name in names}
    for number in range(count + 1):
        turn = number % len(names)
        for name in names[turn:] + names[:turn]:
            gc.collect()
            _wait(device)
            started = time.perf_counter()
            contenders[name]()
            _wait(device)
            if number:
                times[name].append(time.perf_counter() - started)
    return times


def ratio(base: Sequence[float], other: Sequence[float], draws: int = 2000) -> tuple[float, float, float]:
    """How many times faster the other is: median over the rounds, and a 95 % bootstrap interval of it."""
    found = [a / b for a, b in zip(base, other, strict=True)]
    dice = random.Random(0)
    medians = sorted(statistics.median(dice.choices(found, k=len(found))) for _ in range(draws))
    return statistics.median(found), medians[int(0.025 * draws)], medians[int(0.975 * draws) - 1]


def peak_memory(work: Callable[[], Any], device: torch.device | str = "cpu") -> int:
    """Bytes that some work needs at its height beyond what was there: of the GPU, or of this process (Linux)."""
    device = torch.device(device)
    gc.collect()
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
        before = torch.cuda.memory_allocated(device)
        work()
        return torch.cuda.max_memory_allocated(device) - before
    ctypes.CDLL(None).malloc_trim(0)  # what is free is given back, or it would not count when it is used again
    Path("/proc/self/clear_refs").write_text("5")  # the highest mark starts anew from here
    before = _status("VmRSS")
    work()
    return _status("VmHWM") - before


def peak_tensors(work: Callable[[], Any], device: torch.device | str = "cpu") -> int:
    """Bytes of tensors that exist at one time beyond those that were there, by the allocator's own account.

    On a CPU the process holds more than this: what was freed is not always given back at once.
    """
    if torch.device(device).type == "cuda":
        return peak_memory(work, device)
    gc.collect()
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU], profile_memory=True) as profile:
        work()
    events = [event for event in profile.profiler.kineto_results.events() if event.name() == "[memory]"]
    changes = [event.nbytes() for event in sorted(events, key=lambda event: event.start_ns())]
    return max(itertools.accumulate(changes), default=0)


def _status(name: str) -> int:
    [line] = [line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith(name + ":")]
    return int(line.split()[1]) * 1024


def table(rows: Sequence[Mapping[str, Any]]) -> str:
    """Rows of one kind as a table in Markdown."""
    columns = list(rows[0])
    lines = [columns, ["---"] + ["---:"] * (len(columns) - 1), *([str(row[name]) for name in columns] for row in rows)]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def compared(times: Times, baseline: str) -> list[dict[str, Any]]:
    """One row for each contender: median seconds, and how many times faster than the baseline it is."""
    rows = []
    for name, found in times.items():
        middle, low, high = ratio(times[baseline], found)
        row = {"": name, "seconds": f"{statistics.median(found):.3g}"}
        rows.append(row | {"times faster": f"{middle:.2f} ({low:.2f} to {high:.2f})"})
    return rows


def write(out: Path, name: str, found: Mapping[str, Any], bars: Mapping[str, float], title: str) -> None:
    """Writes what was found as `name.json`, and numbers by name as bars in `name.png`."""
    out.mkdir(parents=True, exist_ok=True)
    machine = {"torch": torch.__version__, "threads": torch.get_num_threads()}
    (out / f"{name}.json").write_text(json.dumps({"machine": machine} | dict(found), indent=1) + "\n")
    figure, axes = plt.subplots(figsize=(7, 0.6 + 0.4 * len(bars)), layout="constrained")
    drawn = axes.barh(list(bars), list(bars.values()), color="#4477aa")
    axes.bar_label(drawn, fmt="%.2f", padding=3)
    axes.invert_yaxis()
    axes.spines[["top", "right"]].set_visible(False)
    axes.set_title(title, loc="left", fontsize=10)
    figure.savefig(out / f"{name}.png", dpi=150)
    plt.close(figure)
