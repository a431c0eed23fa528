"""Metrics and sampled rollouts: always to files in the run's folder, and to wandb or tensorboard when asked."""

import json
import math
import os
import uuid
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from typing import Any, Protocol

from rich.table import Table
from rich.text import Text

from unigrpo import environment, gallery
from unigrpo.config import TrackingSection
from unigrpo.config.files import write_atomically
from unigrpo.errors import ConfigError, MissingExtraError
from unigrpo.logged import Piece, choose, earned, replay, spread
from unigrpo.progress import console
from unigrpo.types import Metrics, Prompt, Scored

METRICS, ROLLOUTS = "metrics.jsonl", "rollouts.jsonl"


class Tracker:
    """Writes what a run reports, step by step, so that it can be read while the run goes on."""

    def __init__(
        self,
        folder: Path,
        section: TrackingSection,
        run_name: str,
        config_dict: dict[str, Any],
        piece: Piece | None = None,
    ):
        """Opens the services.

        Args:
            piece: the text of token ids; without it, how a rollout was denoised is not written down.
        """
        self.folder, self.section, self.piece = Path(folder), section, piece
        self.begun = False
        self.services: list[_Service] = [
            _SERVICES[name](self.folder, section, run_name, config_dict) for name in dict.fromkeys(section.to)
        ]

    def log(self, step: int, metrics: Metrics) -> None:
        """Appends the metrics of a step; a number that is not finite becomes null."""
        if not self.begun:
            environment.record(self.folder)
            self.begun = True
        finite = {name: float(value) if math.isfinite(value) else None for name, value in metrics.items()}
        _append(self.folder / METRICS, [{"step": step, **finite}])
        known = {name: value for name, value in finite.items() if value is not None}
        for service in self.services:
            service.log(step, known)

    def log_rollouts(self, step: int, scored: Sequence[Scored]) -> None:
        """Every `rollouts_every` steps, writes some rollouts, and shows those spread over all on a terminal."""
        if not self.section.rollouts_every or step % self.section.rollouts_every or not scored:
            return
        chosen = choose(scored, self.section.rollouts_rows)
        rows = [{"step": step, **self._chosen(scored[place], word)} for place, word in chosen.items()]
        _append(self.folder / ROLLOUTS, rows)
        if console.is_terminal:
            console.print(_table(step, [scored[at] for at in spread(len(scored), self.section.rollouts_rows)]))

    def _chosen(self, item: Scored, word: str) -> dict[str, Any]:
        """A row that says what it is there for; of the best, the median and the worst one also how it was denoised."""
        told = {"chosen": word} if word else {}
        shown = replay(item.rollout, self.piece) if self.piece and word not in ("", "group") else {}
        return {**_row(item), **told, **shown}

    def dump_rollouts(self, folder: Path, step: int, scored: Sequence[Scored]) -> None:
        """Writes all rollouts of a step into a folder, whatever is logged."""
        _append(folder / ROLLOUTS, [{"step": step, **_row(item)} for item in scored])

    def log_pictures(self, step: int, scored: Sequence[Scored]) -> None:
        """Keeps some of what an evaluation drew, and hands it to the services."""
        gallery.keep(self.folder, step, scored)
        for service in self.services:
            service.log_pictures(step, [item for item in scored if item.rollout.image is not None][: gallery.MOST])

    def rewind(self, step: int) -> None:
        """Drops what was written after a step, and a line that a crash cut short, before a run goes on from there."""
        for name in (METRICS, ROLLOUTS):
            path = self.folder / name
            if path.exists():
                write_atomically(
                    path, "".join(f"{line}\n" for line in _lines(path) if json.loads(line)["step"] <= step)
                )
        for service in self.services:
            service.rewind(step)

    def close(self) -> None:
        """Hands what is left to the services."""
        for service in self.services:
            service.close()


def _append(path: Path, rows: list[dict[str, Any]]) -> None:
    # A lone surrogate in a model's output has no UTF-8; its backslash escape is valid JSON for it.
    with open(path, "a", encoding="utf-8", errors="backslashreplace") as file:
        file.writelines(json.dumps(row, ensure_ascii=False, allow_nan=False) + "\n" for row in rows)


def _lines(path: Path) -> list[str]:
    """The complete lines of a JSONL file."""
    with open(path, encoding="utf-8", errors="replace", newline="\n") as file:
        return [line[:-1] for line in file if line.endswith("\n")]


def _row(item: Scored) -> dict[str, Any]:
    rollout = item.rollout
    task = {"task": rollout.prompt.stream} if rollout.prompt.stream else {}
    return {
        "id": rollout.id,
        **task,
        "prompt": rollout.prompt.text,
        "output": rollout.output,
        "answer": rollout.prompt.answer,
        **earned(item),
        **columns(rollout.prompt),
    }


def columns(prompt: Prompt) -> dict[str, Any]:
    """The other columns of the prompt's row that JSON can hold, for rewards that are to score a file again."""
    found = {key: value for key, value in prompt.metadata.items() if _is_json(value)}
    return {"columns": found} if found else {}


def _is_json(value: Any) -> bool:
    try:
        json.dumps(value, allow_nan=False)
    except (TypeError, ValueError, RecursionError):
        return False
    return True


def _table(step: int, scored: Sequence[Scored]) -> Table:
    table = Table(title=f"Rollouts of step {step}", title_justify="left")
    for name, ratio in (("prompt", 3), ("output", 6), ("answer", 1)):
        table.add_column(name, ratio=ratio, overflow="fold")
    table.add_column("reward", justify="right")
    for item in scored:
        prompt, output = item.rollout.prompt, item.rollout.output
        cells = (printable(prompt.text, 200), printable(output, 400), printable(prompt.answer or "", 60))
        table.add_row(*map(Text, cells), Text(f"{item.reward:.3g}"))
    return table


def printable(text: str, most: int) -> str:
    """One line of at most so many characters, none of which controls: a model may write terminal escapes."""
    line = " ".join(text.split())
    line = "".join(character if character.isprintable() else "\N{REPLACEMENT CHARACTER}" for character in line)
    return line if len(line) <= most else line[: most - 1] + "…"


def check_trackers(section: TrackingSection) -> None:
    """Raises `MissingExtraError` when a service is asked for that is not installed. Call it before a run is opened."""
    for name in section.to:
        _package(name)


def _package(name: str) -> Any:
    module, install = _PACKAGES[name]
    try:
        return import_module(module)
    except ImportError:
        message = f"tracking.to holds {name!r}, which is not installed: pip install {install}."
        raise MissingExtraError(message) from None


class _Service(Protocol):
    def log(self, step: int, metrics: Metrics) -> None: ...

    def log_pictures(self, step: int, scored: Sequence[Scored]) -> None: ...

    def rewind(self, step: int) -> None: ...

    def close(self) -> None: ...


class _Wandb:
    """Weights & Biases; offline without a key, so that nothing leaves the machine unasked."""

    def __init__(self, folder: Path, section: TrackingSection, run_name: str, config_dict: dict[str, Any]):
        online = bool(os.environ.get("WANDB_API_KEY"))
        if not online:
            os.environ.setdefault("WANDB_ERROR_REPORTING", "false")
        wandb = _package("wandb")
        mode = os.environ.get("WANDB_MODE", "online") if online else "offline"
        settings = wandb.Settings(silent=not online)
        identity = _kept_id(folder / "wandb_id.txt")
        try:
            self.run = wandb.init(
                dir=folder, project=section.project, name=run_name, id=identity, resume="allow", mode=mode,  # type: ignore[arg-type]
                config=config_dict, settings=settings,
            )  # fmt: skip
        except wandb.Error as error:
            reason = " ".join(str(error).split())
            raise ConfigError(f"wandb could not start ({reason}): set WANDB_MODE=offline or drop it.") from None
        # With a metric of ours as the axis, steps that a resumed run repeats are drawn again instead of being refused.
        self.run.define_metric("step")
        self.run.define_metric("*", step_metric="step")

    def log(self, step: int, metrics: Metrics) -> None:
        self.run.log({"step": step, **metrics})

    def log_pictures(self, step: int, scored: Sequence[Scored]) -> None:
        if scored:
            image = _package("wandb").Image
            drawn = [image(item.rollout.image, caption=_caption(item)) for item in scored]
            self.run.log({"step": step, "eval/pictures": drawn})

    def rewind(self, step: int) -> None:
        """Nothing: what wandb was given stays there, under the same steps."""

    def close(self) -> None:
        self.run.finish()


def _caption(item: Scored) -> str:
    return f"{item.rollout.prompt.text} ({item.reward:.2f})"


def _kept_id(path: Path) -> str:
    """The id of the run at wandb: that of the first start, so that a resumed run goes on in the same chart."""
    if not path.exists():
        write_atomically(path, uuid.uuid4().hex[:12])
    return path.read_text(encoding="utf-8")


class _TensorBoard:
    """Event files in the `tensorboard` folder of the run."""

    def __init__(self, folder: Path, section: TrackingSection, run_name: str, config_dict: dict[str, Any]):
        self.folder = folder / "tensorboard"
        self._open(None)

    def _open(self, purge_step: int | None) -> None:
        self.writer = _package("tensorboard").SummaryWriter(str(self.folder), purge_step=purge_step)

    def log(self, step: int, metrics: Metrics) -> None:
        for name, value in metrics.items():
            self.writer.add_scalar(name, value, step)
        self.writer.flush()

    def log_pictures(self, step: int, scored: Sequence[Scored]) -> None:
        for number, item in enumerate(scored):
            self.writer.add_image(f"eval/picture-{number}", item.rollout.image, step, dataformats="HWC")
            self.writer.add_text(f"eval/picture-{number}", _caption(item), step)

    def rewind(self, step: int) -> None:
        self.writer.close()
        self._open(step + 1)

    def close(self) -> None:
        self.writer.close()


_SERVICES = {"wandb": _Wandb, "tensorboard": _TensorBoard}
_PACKAGES = {"wandb": ("wandb", "wandb"), "tensorboard": ("torch.utils.tensorboard", "'unigrpo[tensorboard]'")}
"""The module of a service, and what to install for it."""
