"""The verbs of the command line: what they are called, what they do, and where their code and their settings are."""

import re
from dataclasses import dataclass
from importlib import import_module
from itertools import takewhile

from unigrpo.errors import ConfigError


@dataclass(frozen=True)
class Verb:
    """One verb; its module has `run(config) -> int` where it is `plain`, and else `run(args: list[str]) -> int`."""

    module: str
    summary: str
    usage: str
    schema: str | None = None
    """Name of the config class, in `unigrpo.config`."""
    check: str | None = None
    """Name of the function that checks it, in `unigrpo.config.check`."""
    result: str | None = None
    """What its output holds when it is done, `.` being all of it; None for a verb that is no stage of a pipeline."""

    words: tuple[str, ...] = ()
    """The settings that its first words are."""
    start: str | None = None
    """The setting that `--from` means, for `from` can be the name of none."""
    plain: bool = False
    """Whether its arguments are settings and nothing else."""

    def run(self, args: list[str]) -> int:
        """Runs it, and returns the exit status. Wrong settings of a plain one are told before torch is imported."""
        given = self.checked(args) if self.plain else args
        return import_module(self.module).run(given)

    def config_type(self) -> type:
        """The config class of the verb."""
        return getattr(import_module("unigrpo.config"), str(self.schema))

    def checked(self, args: list[str]):
        """The config that arguments describe, after all checks.

        Raises:
            ConfigError: a setting cannot be used.
        """
        config = import_module("unigrpo.config.load").load_config(self.config_type(), self.spelled(args))
        getattr(import_module("unigrpo.config.check"), str(self.check))(config)
        return config

    def spelled(self, args: list[str]) -> list[str]:
        """The arguments with words and `--from` as the settings that they are."""
        first = list(takewhile(_is_word, args[: len(self.words)]))
        given = [f"{name}={word}" for name, word in zip(self.words, first, strict=False)] + args[len(first) :]
        return [re.sub(r"^(--)?from(?==|$)", f"--{self.start}", arg) if self.start else arg for arg in given]


def _is_word(arg: str) -> bool:
    return not arg.startswith("-") and "=" not in arg and not arg.endswith((".yaml", ".yml"))


SETTINGS = "[FILE.yaml ...] [key=value ...]"
STAGES = {
    "train": Verb(
        "unigrpo.cli.train",
        "UniGRPO from a supervised policy",
        f"train {SETTINGS}",
        "TrainConfig",
        "check_train",
        "model",
        plain=True,
    ),
    "sft": Verb(
        "unigrpo.cli.sft", "supervised fine-tuning", f"sft {SETTINGS}", "SFTConfig", "check_sft", "model", plain=True
    ),
    "eval": Verb(
        "unigrpo.cli.evaluate",
        "accuracy and pass@k of a model, by prompts of your own or by suites",
        f"eval [RUN|MODEL] [--suite NAME,...] {SETTINGS}\n\n"
        "  --suite NAME,...   frozen protocols, such as gsm8k, mmlu, pope or geneval; an unknown name lists them all\n"
        "  data_root=FOLDER   where the files that they name are",
        "EvalConfig",
        "check_eval",
        "metrics.json",
    ),
    "tokenizer": Verb(
        "unigrpo.cli.tokenizer",
        "an image tokenizer, trained on pictures",
        f"tokenizer {SETTINGS}",
        "TokenizerConfig",
        "check_tokenizer",
        "model",
        plain=True,
    ),
    "tokenize-images": Verb(
        "unigrpo.cli.tokenize_images",
        "the codes of pictures, encoded once for every run that reads them",
        f"tokenize-images {SETTINGS}",
        "TokenizeImagesConfig",
        "check_tokenize_images",
        ".",
        plain=True,
    ),
    "clip": Verb(
        "unigrpo.cli.clip",
        "a small CLIP, to reward drawings with",
        f"clip {SETTINGS}",
        "ClipConfig",
        "check_clip",
        "model",
        plain=True,
    ),
    "curate": Verb(
        "unigrpo.cli.curate",
        "reasoning to learn from, written by a teacher and checked by rewards",
        f"curate {SETTINGS}",
        "CurateConfig",
        "check_curate",
        "{file}",
        plain=True,
    ),
    "init-mmada": Verb(
        "unigrpo.cli.init_mmada",
        "an MMaDA from a LLaDA: room for image codes",
        "init-mmada --from FOLDER output=FOLDER [key=value ...]",
        "InitMmadaConfig",
        "check_init_mmada",
        ".",
        start="source",
        plain=True,
    ),
    "export": Verb(
        "unigrpo.cli.export",
        "a model to give away, with a card; to the hub, if you like",
        "export RUN FOLDER [key=value ...]",
        "ExportConfig",
        "check_export",
        ".",
        words=("source", "output"),
        plain=True,
    ),
}
"""The verbs that make something in a folder of their own, for others to read."""
JOBS = (*STAGES, "pipeline", "sweep", "data")
"""The verbs that `unigrpo submit` takes: those that ask nothing while they run, and are worth a cluster."""
VERBS = {
    "quickstart": Verb(
        "unigrpo.cli.quickstart", "a small model, trained on this computer", "quickstart [output=FOLDER] [--overwrite]"
    ),
    **STAGES,
    "pipeline": Verb(
        "unigrpo.cli.pipeline",
        "several stages in order, each where an earlier call left it",
        f"pipeline {SETTINGS}\n\n"
        f"  A stage is one of {', '.join(STAGES)}.\n"
        "  --plan          print what would run, and why\n"
        "  --from STAGE, --until STAGE, only=[STAGE,...]   look at these alone\n"
        "  stages.STAGE.settings.KEY=VALUE                 change a stage",
        "PipelineConfig",
        "check_pipeline",
        start="start",
    ),
    "sweep": Verb(
        "unigrpo.cli.sweep",
        "the same training with other settings and seeds: table, pictures, which is best",
        f"sweep {SETTINGS}\n\n"
        "  --plan                          print the trials, and what would be done with each\n"
        "  settings.KEY=VALUE              a setting of every trial\n"
        "  axes.AXIS.values=[1,2]          what is tried of an axis\n"
        "  seeds=[0,1,2]                   with which seeds",
        "SweepConfig",
        "check_sweep",
    ),
    "report": Verb(
        "unigrpo.cli.report",
        "one HTML page about one or several runs: curves, rollouts, drawings, what to look at",
        "report RUN ... [output=FILE.html] [key=value ...]\n\n"
        "  RUN is the folder of a run, or of a pipeline, which stands for all of its stages; several are compared.",
        "ReportConfig",
        "check_report",
    ),
    "generate": Verb(
        "unigrpo.cli.generate",
        "answers to prompts",
        f"generate [RUN|MODEL] {SETTINGS}",
        "GenerateConfig",
        "check_generate",
    ),
    "demo": Verb(
        "unigrpo.cli.demo",
        "a page to try a model on, and a second one beside it",
        "demo RUN|MODEL [RUN|MODEL] [key=value ...]",
        "DemoConfig",
        "check_demo",
        words=("model.path", "compare"),
    ),
    "data": Verb(
        "unigrpo.cli.data",
        "what training would read: rows, lengths, what is broken or cut, and samples as the model sees them",
        "data check [sft|train|eval] CONFIG\n\n"
        f"  CONFIG is {SETTINGS}, or the folder of a run. No weights are loaded. Exit status 1 when a row is broken\n"
        "  beyond data.max_broken, or the data cannot be read.\n"
        "  --samples N     rows of each data set that are shown; by default 2\n"
        "  --limit N       most rows of each data set that are read; by default all\n"
        "  --markdown      tables as Markdown",
    ),
    "convert-imagereward": Verb(
        "unigrpo.cli.convert_imagereward",
        "the published ImageReward as a folder for the reward image_reward",
        "convert-imagereward ImageReward.pt VOCAB.txt FOLDER",
    ),
    "submit": Verb(
        "unigrpo.cli.submit",
        "a verb as a job of a Ray cluster, with the files of this folder",
        f"submit [VERB] {SETTINGS} [OPTION ...]\n\n"
        f"  VERB is one of {', '.join(JOBS[:-1])},\n"
        "  data check; by default train.\n"
        "  --address URL          Ray's job server; by default $RAY_API_SERVER_ADDRESS, or http://127.0.0.1:8265\n"
        "  --working-dir FOLDER   what is uploaded, and where the job runs; by default this folder\n"
        "  --exclude PATTERN      leave out, as a line of .gitignore would; !PATTERN takes back; may be repeated\n"
        "  --env NAME             pass on this environment variable, which Ray stores in plain text; may be repeated\n"
        "  --no-wait              print the job's id and do not follow it\n"
        "  --entrypoint-cpus N    cores for the job's own process, beside its workers'\n"
        "  --stop-seconds N       time to save the run after `ray job stop`; by default 120",
    ),
    "rewards": Verb(
        "unigrpo.cli.rewards",
        "which rewards there are, and whether they are right on your own data",
        "rewards list [CONFIG]\n"
        "unigrpo rewards show NAME [CONFIG | path=file.py:function]\n"
        "unigrpo rewards check [train|eval] CONFIG\n"
        "unigrpo rewards score FILE [CONFIG]\n\n"
        "  list    all rewards there are, and those of a config\n"
        "  show    what a reward takes, and lines to paste\n"
        "  check   tries right and wrong answers to all of your data; exit status 1 when any is misjudged\n"
        "  score   scores rollouts.jsonl of a run or samples.jsonl of an evaluation again, into rescored.jsonl\n\n"
        f"  CONFIG is {SETTINGS}, or the folder of a run; score takes that of the run FILE is in.\n"
        "  --markdown      tables as Markdown\n"
        "  --limit N       check: most rows of each data section; by default 2000, and 50 if the reward is async\n"
        "  --rows N        check: lines of the table for the same reason; score: rows that changed; by default 5\n"
        "  --output FILE   score: where to write; by default rescored.jsonl beside FILE\n"
        "  --overwrite     score: replace what is there",
    ),
    "doctor": Verb("unigrpo.cli.doctor", "what this machine has, and what is missing", "doctor"),
    "config": Verb("unigrpo.cli.config", "check settings and print them in full", f"config VERB {SETTINGS}"),
}


def find_verb(name: str, among: list[str]) -> Verb:
    """The verb of this name.

    Raises:
        ConfigError: it is not among those allowed.
    """
    import difflib

    if name not in among:
        close = difflib.get_close_matches(name, among, n=1, cutoff=0.5)
        hint = f"Did you mean: {close[0]}?" if close else f"The verbs are {', '.join(among)}."
        raise ConfigError(f"{name} is no verb. {hint}")
    return VERBS[name]
