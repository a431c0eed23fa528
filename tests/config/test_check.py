import pytest

from unigrpo.config import EvalConfig, GenerateConfig, SFTConfig, TrainConfig
from unigrpo.config.check import check_eval, check_generate, check_sft, check_train
from unigrpo.config.load import load_config
from unigrpo.errors import ConfigError

TRAIN = ["model.preset=tiny", "data.source=arithmetic", "rewards.math.weight=1"]
SFT = ["model.preset=tiny", "data.source=arithmetic"]
EVAL = ["model.path=m", "data.path=d"]
GENERATE = ["model.path=m"]
CHECKS = {
    TrainConfig: (check_train, TRAIN),
    SFTConfig: (check_sft, SFT),
    EvalConfig: (check_eval, EVAL),
    GenerateConfig: (check_generate, GENERATE),
}


def check(schema: type, settings: str) -> None:
    function, base = CHECKS[schema]
    function(load_config(schema, [*base, *settings.split()]))


def message(schema: type, settings: str) -> str:
    with pytest.raises(ConfigError) as caught:
        check(schema, settings)
    return str(caught.value)


@pytest.mark.parametrize("schema", CHECKS)
def test_the_shortest_config_of_each_verb_passes(schema):
    check(schema, "")


@pytest.mark.parametrize(
    "settings",
    [
        "algo.noise.rule=full algo.mu=4 algo.noise.prompt_mask=0.15",
        "algo.noise.draws=2 algo.noise.antithetic=complement algo.noise.rule=even",
        "algo.noise.plan=trace algo.noise.shrink=2",
        "algo.noise.plan=ar",
        "algo.noise.plan=block algo.noise.block_length=4 algo.ratio=none algo.negative=eubo algo.eubo_order=2",
        "algo.noise.rule=elbo algo.noise.draws=4 algo.weight=elbo algo.ratio=sequence",
        "algo.noise.rule=range algo.noise.low=0.2 algo.noise.high=1",
        "algo.advantage=wd1 algo.ratio=none algo.psi=2",
        "algo.ratio=regress algo.psi=2",
        "algo.beta=0 algo.clip_high=0.28",
        "algo.likelihood.guided=true rollout.guidance=1 algo.likelihood.temperature=sampled",
        "rollout.threshold=0.9",
        "rollout.steps=64",
        "rollout.steps=128 rollout.confidence=entropy",
        "optim.warmup_steps=200 optim.schedule=cosine optim.min_lr_ratio=0.1",
        "tracking.to=[wandb,tensorboard]",
        "cluster.address=auto cluster.timeout=10",
        "eval.data.source=arithmetic eval.data.split=test eval.samples=4 eval.temperature=1 eval.solved=math",
        "model.lora.rank=8 model.lora.alpha=16",
        "rewards.length.weight=-0.1",
    ],
)
def test_settings_that_go_together_pass(settings):
    check(TrainConfig, settings)


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        (
            "rollout.group_size=1",
            "rollout.group_size is 1, but an advantage compares rollouts of one prompt: set it to 2 or more.",
        ),
        ("rollout.gen_length=100", "rollout.gen_length is 100, which rollout.block_length=32 does not divide."),
        (
            "rollout.gen_length=8 rollout.steps=2",
            "rollout.gen_length is 8, which rollout.block_length=32 does not divide.",
        ),
        (
            "rollout.steps=2",
            "rollout.steps is 2, no multiple of the 4 blocks (rollout.gen_length / rollout.block_length).",
        ),
        (
            "rollout.steps=256",
            "rollout.steps is 256, more than one for each token: set it to rollout.gen_length=128 or less.",
        ),
        (
            "rollout.steps=64 rollout.threshold=0.9",
            "rollout.threshold and rollout.steps both decide how many tokens a step commits: drop one.",
        ),
        (
            "rollout.entropy_bound=0.5 rollout.threshold=0.9",
            "rollout.threshold and rollout.entropy_bound both decide how many tokens a step commits: drop one.",
        ),
        (
            "rollout.entropy_bound=0.5",
            "rollout.confidence is confidence, but rollout.entropy_bound adds up entropies: set "
            "rollout.confidence=entropy.",
        ),
        (
            "algo.cache_correction=2",
            "algo.cache_correction is 2, but rollout.cache is none, so samples are the policy's own: drop one.",
        ),
        (
            "rollout.max_cache_error=0.5",
            "rollout.max_cache_error is 0.5, but rollout.cache is none, so samples are the policy's own: drop one.",
        ),
        (
            "rollout.cache_refresh=4",
            "rollout.cache_refresh is 4, but it is only used when rollout.cache is prefix or dual: drop it.",
        ),
        (
            "rollout.threshold=0.9 rollout.confidence=margin",
            "rollout.confidence is margin, but rollout.threshold compares probabilities: set "
            "rollout.confidence=confidence.",
        ),
        ("rollout.threshold=0", "rollout.threshold is 0.0: set it to above 0 and at most 1."),
        ("rollout.threshold=1.1", "rollout.threshold is 1.1: set it to above 0 and at most 1."),
        ("rollout.temperature=-1", "rollout.temperature is -1.0: set it to 0 or more."),
        (
            "rollout.temperature=0",
            "rollout.temperature is 0, but equal rollouts teach nothing: set it above 0, such as 1.0.",
        ),
        ("steps=0", "steps is 0: set it to 1 or more."),
        ("data.limit=0", "data.limit is 0: set it to 1 or more."),
        ("eval.data.source=arithmetic eval.data.size=0", "eval.data.size is 0: set it to 1 or more."),
        ("algo.mu=0", "algo.mu is 0: set it to 1 or more."),
        ("algo.beta=-0.1", "algo.beta is -0.1: set it to 0 or more."),
        ("algo.clip_low=1.5", "algo.clip_low is 1.5: set it to above 0 and at most 1."),
        ("algo.clip_high=.inf", "algo.clip_high is inf: set it to a number above 0."),
        ("optim.lr=.nan", "optim.lr is nan: set it to a number above 0."),
        ("optim.lr=0", "optim.lr is 0.0: set it to a number above 0."),
        ("optim.betas=[0.9]", "optim.betas is [0.9]: set it to two numbers of at least 0 and below 1."),
        ("optim.betas=[0.9,1]", "optim.betas is [0.9, 1.0]: set it to two numbers of at least 0 and below 1."),
        ("rewards.mine.min=1 rewards.mine.max=0", "rewards.mine.min is 1.0, above rewards.mine.max=0.0: correct one."),
        ("scoring.max_failed=2", "scoring.max_failed is 2.0: set it to between 0 and 1."),
        ("algo.eubo_order=1", "algo.eubo_order is 1.0: set it to above 1."),
        ("algo.noise.draws=0", "algo.noise.draws is 0: set it to 1 or more."),
        ("algo.noise.prompt_mask=1", "algo.noise.prompt_mask is 1.0: set it to at least 0 and below 1."),
        ("algo.noise.rule=range algo.noise.low=0.9", "algo.noise.low is 0.9, not below algo.noise.high=0.9."),
        (
            "algo.noise.antithetic=complement algo.noise.draws=3",
            "algo.noise.draws is 3, but algo.noise.antithetic=complement pairs masks: set it to an even number.",
        ),
        (
            "algo.noise.antithetic=complement algo.noise.draws=2 algo.noise.plan=ar",
            "algo.noise.antithetic=complement does not go with algo.noise.plan=ar: only plan uniform has complements.",
        ),
        (
            "algo.noise.image.antithetic=complement algo.noise.image.draws=3",
            "algo.noise.image.draws is 3, but algo.noise.image.antithetic=complement pairs masks: set it to an even "
            "number.",
        ),
        (
            "algo.noise.image.rule=range algo.noise.image.low=0.9",
            "algo.noise.image.low is 0.9, not below algo.noise.image.high=0.9.",
        ),
        (
            "algo.weight=elbo algo.noise.image.plan=ar",
            "algo.weight=elbo does not go with algo.noise.image.plan=ar: its masks are not spread at random.",
        ),
        (
            "algo.weight=elbo algo.noise.plan=trace",
            "algo.weight=elbo does not go with algo.noise.plan=trace: its masks are not spread at random.",
        ),
        (
            "algo.likelihood.guided=true",
            "algo.likelihood.guided is true, but rollout.guidance is 0, so nothing is guided: drop one.",
        ),
        ("rewards.math.weight=.inf", "rewards.math.weight is inf: set it to a finite number."),
        (
            "rewards.math.weight=0",
            "rewards all have weight 0, so nothing would be learned: set one, such as rewards.math.weight=2.0.",
        ),
        ("eval.solved=maths", "eval.solved is 'maths', which is not among the rewards: math."),
        (
            "eval.samples=4",
            "eval.samples is 4, but at eval.temperature=0 they are all equal: set it above 0, or eval.samples=1.",
        ),
        (
            "model.path=m",
            "model.path and model.preset are both set: a model is either loaded or made from scratch, so drop one.",
        ),
        (
            "model.preset=null",
            "model.path is not set: name a checkpoint folder, or make a small model with model.preset=tiny.",
        ),
        ("data.source=file", "data.path is not set: data.source=file reads a file, so name it."),
        ("data.source=gsm8k", "data.path is not set: data.source=gsm8k reads a file, so name it."),
        (
            "data.path=x.jsonl",
            "data.path is 'x.jsonl', but data.source=arithmetic generates its rows: drop it.",
        ),
        (
            "data.source=file data.path=x data.columns.question=prompt",
            "data.columns.question is not one of prompt, answer, response, image, id: a column is used as one of them.",
        ),
        (
            "data.source=shapes",
            "data.task is text, but data.source=shapes is for understand and image and think_image: change one of "
            "them.",
        ),
        (
            "data.task=image",
            "data.task is image, but data.source=arithmetic is for text: change one of them.",
        ),
        (
            "data.source=digits data.task=think_image",
            "data.task is think_image, but data.source=digits is for understand and image: change one of them.",
        ),
        (
            "data.source=shapes data.task=image data.kinds=[positon]",
            "data.kinds holds 'positon', which data.task=image has not. Did you mean: 'position'?",
        ),
        (
            "data.source=shapes data.task=think_image data.kinds=[zzz]",
            "data.kinds holds 'zzz', which data.task=think_image has not. It has single, colour, count, two, "
            "attribute.",
        ),
        (
            "data.source=shapes data.task=image data.kinds=[two,two]",
            "data.kinds names one twice: two, two.",
        ),
        (
            "data.source=shapes data.task=image data.riddle=true data.kinds=[position]",
            "data.kinds holds 'position', which data.task=image with a riddle has not. It has single, colour, count, "
            "two, attribute.",
        ),
        (
            "data.source=shapes data.task=understand data.riddle=true",
            "data.riddle is True, but it is only used when data.source=shapes and data.task=image: drop it.",
        ),
        ("data.kinds=[count]", "data.kinds is ['count'], but it is only used when data.source=shapes: drop it."),
        (
            "data.source=shapes data.task=image data.path=x",
            "data.path is 'x', but data.source=shapes generates its rows: drop it.",
        ),
        (
            "optim.warmup_steps=201",
            "optim.warmup_steps is 201, more than the 200 optimiser steps of the run (steps x algo.mu).",
        ),
        (
            "tracking.to=[tensorbord]",
            "tracking.to holds 'tensorbord', which is not one of wandb, tensorboard. Did you mean: 'tensorboard'?",
        ),
        ("tracking.to=[wandb,wandb]", "tracking.to names a tracker twice: wandb, wandb."),
        ("checkpoint.every=0", "checkpoint.every is 0: set it to 1 or more."),
        ("checkpoint.keep=0", "checkpoint.keep is 0: set it to 1 or more."),
        (
            "resume=true overwrite=true",
            "resume and overwrite are both set: a run either goes on or is replaced, so drop one.",
        ),
        ("output=", "output is empty: name a folder, such as output=runs/mine."),
        (
            "model.lora.rank=4 model.lora.targets=[]",
            "model.lora.targets is empty: name the layers that get an adapter.",
        ),
    ],
)
def test_settings_that_contradict_each_other_are_explained(settings, expected):
    assert message(TrainConfig, settings) == expected


def test_rewards_are_needed_to_train():
    config = load_config(TrainConfig, TRAIN[:2])
    with pytest.raises(ConfigError, match=r"^rewards is empty: add one, such as rewards.math.weight=2.0.$"):
        check_train(config)


@pytest.mark.parametrize(
    ("setting", "when"),
    [
        ("algo.psi=2.0", "algo.advantage=wd1 or algo.ratio=regress"),
        ("algo.negative=eubo", "algo.ratio=none"),
        ("algo.eubo_order=2.0", "algo.negative=eubo"),
        ("algo.ratio=none algo.clip_low=0.3", "algo.ratio is token or sequence"),
        ("algo.ratio=regress algo.clip_high=0.3", "algo.ratio is token or sequence"),
        ("algo.beta=0 algo.kl=k1", "algo.beta is above 0"),
        ("algo.aggregation=token algo.weight=elbo", "algo.aggregation=sequence"),
        ("algo.noise.low=0.2", "algo.noise.rule=range"),
        ("algo.noise.high=0.8", "algo.noise.rule=range"),
        ("algo.noise.shrink=2", "algo.noise.plan=trace"),
        ("algo.noise.block_length=8", "algo.noise.plan=block"),
        ("algo.noise.image.shrink=2", "algo.noise.image.plan=trace"),
        ("algo.noise.plan=ar algo.noise.count=bernoulli", "algo.noise.plan=uniform and a rule other than elbo"),
        ("optim.min_lr_ratio=0.1", "optim.schedule is linear or cosine"),
        ("cluster.backend=local cluster.address=auto", "cluster.backend=ray"),
        ("model.preset=null model.path=m model.vocab_size=99", "model.preset is set"),
        ("model.lora.alpha=8.0", "model.lora.rank is 1 or more"),
        ("data.operands=4", "data.source=countdown"),
        ("data.source=file data.path=x data.size=5", "data.source is one of arithmetic, countdown, shapes, digits"),
        ("data.source=file data.path=x data.digits=5", "data.source=arithmetic"),
        ("data.source=arithmetic data.columns={id:x}", "data.source=file"),
        ("data.fit=pad", "data.source=file and a data.task with images"),
        ("data.source=file data.path=x data.fit=squash", "data.source=file and a data.task with images"),
        ("data.source=shapes data.task=understand data.image_root=x", "data.source=file and a data.task with images"),
        (
            "eval.data.source=file eval.data.path=x eval.data.split=test",
            "eval.data.source is one of arithmetic, countdown, shapes, digits",
        ),
    ],
)
def test_a_setting_that_would_be_ignored_is_an_error(setting, when):
    key, _, value = setting.split()[-1].partition("=")
    value = "{'id': 'x'}" if "{" in value else value
    if "columns" in key:
        setting = "data.columns.id=x"
    assert message(TrainConfig, setting) == f"{key} is {value}, but it is only used when {when}: drop it."


@pytest.mark.parametrize(
    ("schema", "settings", "expected"),
    [
        (SFTConfig, "sft.eps=1", "sft.eps is 1.0: set it to above 0 and below 1."),
        (
            SFTConfig,
            "optim.warmup_steps=1001",
            "optim.warmup_steps is 1001, more than the 1000 optimiser steps of the run (steps).",
        ),
        (
            EvalConfig,
            "cluster.backend=ray",
            "cluster.backend is ray, but only `unigrpo train` and `unigrpo sft` use Ray: set cluster.backend=local or "
            "drop it.",
        ),
        (SFTConfig, "stop_below=1", "stop_below is 1.0, but there is no validation loss: set held_out."),
        (
            SFTConfig,
            "sft.max_length=512",
            "data.max_prompt_length is 512, which leaves no room for a response in sft.max_length=512: lower one or "
            "raise the other.",
        ),
        (
            SFTConfig,
            "optim.bfloat16=rounded",
            "optim.bfloat16 is rounded, but it is only used when one process trains all weights, model.dtype is "
            "bfloat16 and optim.offload is false: drop it.",
        ),
        (
            TrainConfig,
            "optim.offload=true cluster.ranks=2 cluster.zero=1",
            "optim.offload is true, but it is for one process: set cluster.offload with cluster.zero=1 or more.",
        ),
        (SFTConfig, "held_out.source=file", "held_out.path is not set: held_out.source=file reads a file, so name it."),
        (EvalConfig, "solved=format", "solved is 'format', which is not among the rewards: math."),
        (
            EvalConfig,
            "samples=4",
            "samples is 4, but at rollout.temperature=0 they are all equal: set it above 0, or samples=1.",
        ),
        (
            GenerateConfig,
            "model.path=null model.preset=tiny",
            "model.preset makes an untrained model, which has no answers: set model.path to a checkpoint.",
        ),
    ],
)
def test_each_verb_has_its_own_rules(schema, settings, expected):
    assert message(schema, settings) == expected


def test_the_default_of_a_verb_counts_as_not_set():
    check(EvalConfig, "data.split=train")


THINKS = "{data: {task: think_image, source: shapes}, rewards: {shapes: {weight: 1}}, rollout: {%s}}"


def thinking(rollout: str, *settings: str) -> TrainConfig:
    """A run of one task by name, which thinks before it draws."""
    images = "model.image_tokenizer.preset=tiny"
    return load_config(TrainConfig, ["model.preset=tiny", images, f"tasks.a={THINKS % rollout}", *settings])


def test_the_caches_of_tasks_have_a_limit_too():
    for cache in ("cache: dual", "image: {cache: prefix}"):
        check_train(thinking(cache, "rollout.max_cache_error=0.5"))
    with pytest.raises(ConfigError, match=r"^rollout.max_cache_error is 0.5, but rollout.cache is none"):
        check_train(thinking("gen_length: 64", "rollout.max_cache_error=0.5"))


def test_a_thought_that_is_not_drawn_by_chance_has_no_sampled_likelihood():
    check_train(thinking("temperature: 0.0"))
    with pytest.raises(ConfigError, match=r"is sampled, but tasks.a.rollout.temperature is 0, and nothing is"):
        check_train(thinking("temperature: 0.0", "algo.likelihood.temperature=sampled"))
