"""`unigrpo quickstart`: SFT stopped early, UniGRPO, and diffu-GRPO with the same budget, on this computer."""

import time
from pathlib import Path

from unigrpo import report
from unigrpo.cli.sft import sft_from
from unigrpo.cli.train import train_from
from unigrpo.cli.verbs import VERBS
from unigrpo.config import SFTConfig, TrainConfig
from unigrpo.errors import ConfigError
from unigrpo.progress import console

SFT, RL, OTHER = "configs/quickstart/sft.yaml", "configs/quickstart/rl.yaml", "configs/ablations/diffu_grpo.yaml"


def run(args: list[str]) -> int:
    """Runs the three stages, each where an earlier call left it, and compares them in a table and a picture."""
    folder, rest = _options(args)
    sft: SFTConfig = VERBS["sft"].checked([SFT, f"output={folder}/sft", *rest])
    settings = [f"model.path={folder}/sft/model", *rest]
    runs: dict[str, TrainConfig] = {
        "UniGRPO": VERBS["train"].checked([RL, f"output={folder}/unigrpo", *settings]),
        "diffu-GRPO": VERBS["train"].checked([RL, OTHER, f"output={folder}/diffu_grpo", *settings]),
    }
    _stage(f"Supervised fine-tuning, stopped early -> {sft.output}", lambda: sft_from(sft))
    for name, config in runs.items():
        _stage(f"{name} from there -> {config.output}", lambda config=config: train_from(config))
    report.curve({name: config.output for name, config in runs.items()}, folder / "curve.png")
    table = report.table([_row(name, Path(config.output)) for name, config in runs.items()])
    (folder / "table.md").write_text(table + "\n")
    print(f"\n{table}\n\nPicture: {folder}/curve.png")
    print(f"Ask it: unigrpo generate {folder}/unigrpo --prompt '37+85=' --show-steps")
    return 0


def _options(args: list[str]) -> tuple[Path, list[str]]:
    """Where to, and how to treat what is there; a stage that an earlier call finished is kept."""
    folder, again = Path("runs/quickstart"), "resume=true"
    for arg in args:
        if arg.removeprefix("--").startswith("output="):
            folder = Path(arg.split("=", 1)[1])
        elif arg.removeprefix("--") in ("overwrite", "overwrite=true"):
            again = "overwrite=true"
        else:
            raise ConfigError(f"{arg} is no setting of quickstart: it takes output=FOLDER and --overwrite.")
    return folder, [again]


def _stage(title: str, work) -> None:
    started = time.perf_counter()
    console.print(f"\n{title}", style="bold", highlight=False)
    work()
    console.print(f"{time.perf_counter() - started:.0f} s", style="dim", highlight=False)


def _row(name: str, folder: Path) -> dict[str, str]:
    curve = [row["eval/accuracy"] for row in report.read_metrics(folder) if "eval/accuracy" in row]
    return {"method": name, "held-out accuracy after SFT": f"{curve[0]:.1%}", "after RL": f"{curve[-1]:.1%}"}
