"""`unigrpo quickstart`: SFT stopped early, UniGRPO, and diffu-GRPO with the same budget, on this computer."""

import re
import shlex
from pathlib import Path

from unigrpo import report
from unigrpo.cli.pipeline import run_stages
from unigrpo.cli.pipeline_stages import stages_of
from unigrpo.cli.verbs import VERBS
from unigrpo.config import PipelineConfig
from unigrpo.errors import ConfigError

PIPELINE = "configs/pipelines/quickstart.yaml"
METHODS = {"UniGRPO": "unigrpo", "diffu-GRPO": "diffu_grpo"}
"""The stages that are compared."""


def run(args: list[str]) -> int:
    """Runs the pipeline of this name, and compares its two runs in a table and a picture."""
    for arg in args:
        if not re.fullmatch(r"(--)?output=.+|--overwrite|(--)?overwrite=true", arg):
            raise ConfigError(f"{arg} is no setting of quickstart: it takes output=FOLDER and --overwrite.")
    config: PipelineConfig = VERBS["pipeline"].checked([PIPELINE, *args])
    kept = [arg for arg in args if "output=" in arg]
    run_stages(config, stages_of(config), shlex.join(["unigrpo", "quickstart", *kept]))
    compare(Path(config.output))
    return 0


def compare(folder: Path) -> None:
    """Writes table and picture of the methods beside their runs, and says how to ask the model."""
    runs = {name: folder / stage for name, stage in METHODS.items()}
    report.curve(runs, folder / "curve.png")
    table = report.table([_row(name, run) for name, run in runs.items()])
    (folder / "table.md").write_text(table + "\n")
    print(f"\n{table}\n\nPicture: {folder}/curve.png")
    print(f"Ask it: unigrpo generate {folder}/unigrpo --prompt '37+85=' --show-steps")


def _row(name: str, folder: Path) -> dict[str, str]:
    curve = [row["eval/accuracy"] for row in report.read_metrics(folder) if "eval/accuracy" in row]
    return {"method": name, "held-out accuracy after SFT": f"{curve[0]:.1%}", "after RL": f"{curve[-1]:.1%}"}
