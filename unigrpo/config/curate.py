"""What `unigrpo curate` is configured by."""

from dataclasses import dataclass, field
from typing import Any

from unigrpo.config.rewards import RewardEntry
from unigrpo.config.secrets import VARIABLE
from unigrpo.config.sections import DataSection

FORMATS = (".jsonl", ".parquet")
SET_HERE = ("model", "messages", "temperature", "top_p", "max_tokens", "seed", "n", "stream")
"""Fields of a request that have settings of their own, or that would change what is answered."""


@dataclass(kw_only=True)
class TeacherSection:
    """Who answers the prompts: a server of chat completions, or a model in vLLM's offline engine."""

    base_url: str | None = None
    """What comes before `/chat/completions`, such as `http://127.0.0.1:8000/v1`; by default there is no server, and
    vLLM's offline engine loads `model`."""
    model: str = ""
    """Its name at the server, or its folder or hub name."""
    api_key_env: str | None = None
    """The environment variable that holds the server's key."""
    python: str | None = None
    """Offline engine: a Python interpreter of an environment that has vLLM, whose pins are not ours; by default this
    one."""
    engine: dict[str, Any] = field(default_factory=dict)
    """Offline engine: arguments of vLLM's `LLM`, such as `{tensor_parallel_size: 8}`."""
    temperature: float | None = 1.0
    """Sampling temperature; null leaves it to the teacher, as for those below."""
    top_p: float | None = None
    """Share of the probability that is sampled from."""
    max_tokens: int | None = 8192
    """Most tokens of an answer, its thought included; one that needs more is refused."""
    seed: int | None = 0
    """Seed of the first answer to each prompt; that of the next is one more."""
    extra_body: dict[str, Any] = field(default_factory=dict)
    """More fields of the request, such as `{chat_template_kwargs: {enable_thinking: true}}` or `{top_k: 20}`."""
    look: bool = False
    """`think_image`: show the teacher the picture that is to be drawn. What `understand` asks about is always shown."""
    resolution: int | None = None
    """Pictures are shown to the teacher as they are trained on: a square of so many pixels, as `data.fit` says; by
    default as they are."""
    max_concurrency: int = 32
    """Requests under way at a time; of the offline engine, those it is handed together."""
    timeout: float = 900.0
    """Server: seconds for one attempt."""
    patience: float = 300.0
    """Server: seconds for which one that fails is asked again: longer than it needs to start."""
    price_in: float = 0.0
    """Cost of a million tokens of prompts, in any currency."""
    price_out: float = 0.0
    """Cost of a million tokens of answers."""


@dataclass(kw_only=True)
class FilterSection:
    """Which of the right answers are worth learning from."""

    max_characters: int | None = None
    """Longest response, thought and answer together."""
    max_tokens: int | None = None
    """Longest response in tokens of `tokenizer`."""
    tokenizer: str | None = None
    """Folder with the tokenizer of the model that will learn."""
    near: float | None = 0.8
    """Two rows say the same when of the sequences of `ngram` words that are in either of their responses at least this
    share is in both, the same is true of their prompts, and they have the same picture; the later one is left out. By
    null only equal ones are."""
    ngram: int = 5
    """Words of a sequence, for `near`."""
    min_pass: float = 0.0
    """Leave out prompts of which a smaller share of the answers is right: too hard."""
    max_pass: float = 1.0
    """Leave out prompts of which a larger share of the answers is right: too easy."""
    per_prompt: int | None = None
    """Most rows of one prompt; the first ones stay."""
    balance: str | None = None
    """A column of the data, or `pass_rate`: its groups are made about as large as the smallest."""
    bins: int = 4
    """Groups of `balance=pass_rate`: so many equal parts of the way from 0 to 1."""
    ratio: float = 1.0
    """How many times as large as the smallest group one may be that `balance` makes smaller."""


@dataclass(kw_only=True)
class CurateConfig:
    """`unigrpo curate`: reasoning to learn from, written by a teacher and checked by rewards."""

    output: str = "runs/curate"
    """Folder of the data, of all that the teacher said (answers.jsonl), and of the report (curation.json)."""
    file: str = "data.jsonl"
    """Name of the data in that folder: .jsonl or .parquet."""
    overwrite: bool = False
    """Replace data that other settings made. What the teacher said is never thrown away: it is asked only what it was
    not asked before."""
    samples: int = 4
    """Answers to each prompt."""
    data: DataSection = field(default_factory=DataSection)
    """Prompts; with `data.instruction=think` the teacher is asked for the format, which one that thinks by itself does
    not need."""
    teacher: TeacherSection = field(default_factory=TeacherSection)
    """Who answers."""
    rewards: dict[str, RewardEntry] = field(default_factory=dict)
    """What an answer is checked by, by name."""
    keep: dict[str, float] = field(default_factory=dict)
    """Rewards that a right answer gets at least so much from; by default 1 from the first."""
    filter: FilterSection = field(default_factory=FilterSection)
    """Which of the right answers are written."""
    max_failed: float = 0.1
    """Share of the answers that the teacher or a reward may fail to give; more is an error."""
    seed: int = 0
    """Decides which rows `filter.balance` leaves out."""


def something_is_thought(it: CurateConfig) -> str | None:
    """A drawing alone has no thought before it."""
    if it.data.task == "image":
        return "data.task is image, which is drawn without a thought: set data.task=think_image."
    return None


def prompts_are_texts(it: CurateConfig) -> str | None:
    """What lays out or orders the prompts of a model in training is not set."""
    default = DataSection()
    unused = "template legacy_eot max_prompt_length too_long shuffle codes filter streaming buffer"
    for name in unused.split():
        if getattr(it.data, name) != getattr(default, name):
            return f"data.{name} is set, but it is not used to ask a teacher, who gets prompts as messages: drop it."
    if it.data.fit != default.fit and it.teacher.resolution is None:
        return f"data.fit is {it.data.fit}, but it is only used when teacher.resolution is set: drop it."
    return None


def teacher_is_named(it: CurateConfig) -> str | None:
    """There is a model, and a name of its key."""
    if not it.teacher.model:
        return "teacher.model is not set: name the model, and its server with teacher.base_url=http://HOST:8000/v1."
    key = it.teacher.api_key_env
    if key is not None and not VARIABLE.fullmatch(key):
        return "teacher.api_key_env is no name of an environment variable: write one in capitals, never what it holds."
    name = next((name for name in it.teacher.extra_body if name in SET_HERE), None)
    if name:
        return f"teacher.extra_body.{name} is set by unigrpo itself: use teacher.{name} or samples, or drop it."
    return None


def teacher_is_one(it: CurateConfig) -> str | None:
    """Settings of the server and of the offline engine do not mix."""
    default, teacher = TeacherSection(), it.teacher
    served = teacher.base_url is not None
    unused = ("python", "engine") if served else ("api_key_env", "timeout", "patience", "price_in", "price_out")
    for name in unused:
        if getattr(teacher, name) != getattr(default, name):
            when = "not set, for vLLM's offline engine" if served else "set, for a server"
            return f"teacher.{name} is {getattr(teacher, name)}, but it is only used when teacher.base_url is {when}."
    return None


def pictures_are_shown(it: CurateConfig) -> str | None:
    """Settings of pictures belong to tasks with pictures that are shown."""
    if it.teacher.look and it.data.task != "think_image":
        return f"teacher.look is true, but it is only used when data.task is think_image, not {it.data.task}: drop it."
    shown = it.data.task == "understand" or it.teacher.look
    if it.teacher.resolution is not None and not shown:
        return f"teacher.resolution is {it.teacher.resolution}, but the teacher is shown no pictures: drop it."
    return None


def answers_differ(it: CurateConfig) -> str | None:
    """Several answers to a prompt are not all the same."""
    if it.samples > 1 and it.teacher.temperature == 0:
        return f"samples is {it.samples}, but at teacher.temperature=0 all are equal: set it above 0, or samples=1."
    return None


def keep_names_rewards(it: CurateConfig) -> str | None:
    """What is kept is decided by rewards that there are."""
    if not it.rewards:
        return "rewards is empty, so that nothing checks the answers: add one, such as rewards.math.weight=1."
    for name in it.keep:
        if name not in it.rewards:
            return f"keep.{name} is no reward of this config, which has {', '.join(it.rewards)}: correct it."
    return None


def filters_go_together(it: CurateConfig) -> str | None:
    """Every filter has what it needs, and none is set in vain."""
    own, default = it.filter, FilterSection()
    if (own.max_tokens is None) != (own.tokenizer is None):
        return "filter.max_tokens and filter.tokenizer need each other: set both or none."
    if own.min_pass > own.max_pass:
        return f"filter.min_pass is {own.min_pass:g}, above filter.max_pass={own.max_pass:g}: correct one."
    unused = {"ngram": own.near is not None, "bins": own.balance == "pass_rate", "ratio": own.balance is not None}
    when = {"ngram": "filter.near is set", "bins": "filter.balance=pass_rate", "ratio": "filter.balance is set"}
    for name, used in unused.items():
        if not used and getattr(own, name) != getattr(default, name):
            return f"filter.{name} is {getattr(own, name)}, but it is only used when {when[name]}: drop it."
    return None


def file_has_a_format(it: CurateConfig) -> str | None:
    """The file stands in the folder, and its suffix says how it is written."""
    if "/" in it.file or not it.file.endswith(FORMATS) or it.file in ("answers.jsonl", *FORMATS):
        return f"file is {it.file!r}: write a name that ends in {' or '.join(FORMATS)}, other than answers.jsonl."
    return None


CURATE_RULES = [
    file_has_a_format,
    something_is_thought,
    prompts_are_texts,
    teacher_is_named,
    teacher_is_one,
    pictures_are_shown,
    answers_differ,
    keep_names_rewards,
    filters_go_together,
]
