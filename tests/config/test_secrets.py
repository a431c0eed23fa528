import json

import pytest

from rewards.registry import resolve
from rewards.scorer import Scorer
from tests.e2e.runs import run, train_args
from unigrpo.cli.main import main
from unigrpo.config import PipelineConfig, RewardEntry, TrainConfig
from unigrpo.config.load import load_config, shipped_configs
from unigrpo.config.secrets import filled, written_secrets
from unigrpo.config.source import read_yaml
from unigrpo.errors import ConfigError

SECRET = "correct-horse-battery"
JUDGE = """
class Judge:
    def __init__(self, api_key: str, model: str = "none", tries: int = 3):
        self.api_key = api_key

    def __call__(self, response):
        return float(len(self.api_key) + len(response) % 2)

def asked(response, api_key):
    return float(len(api_key) + len(response) % 2)

class Own:
    def __init__(self, api_key_env: str):
        self.name = api_key_env

    def __call__(self, response):
        return float(len(self.name))

class Whole:
    def __init__(self, **settings):
        self.settings = settings

    def __call__(self, response):
        return float(len(self.settings["api_key"]))
"""


@pytest.fixture
def judge(tmp_path):
    (tmp_path / "judge.py").write_text(JUDGE)
    return lambda name, **args: {"judge": RewardEntry(path=f"{tmp_path}/judge.py:{name}", args=args)}


def found(**args) -> list[str]:
    return list(written_secrets(TrainConfig(rewards={"judge": RewardEntry(args=args)})))


@pytest.mark.parametrize(
    "key",
    """api_key apikey apiKey API_KEY APIKey openai_api_key api-key access_key secret_key private_key hf_key api_keys
    token auth_token hf_token access_token accessToken TOKEN password db_password passwd secret client_secret
    credentials Authorization""".split(),  # noqa: SIM905
)
def test_a_secret_is_refused_by_its_name_and_not_shown(key):
    [message] = found(**{key: SECRET})
    assert message.startswith(f"rewards.judge.args.{key} looks like a secret")
    assert f"set rewards.judge.args.{key}_env to the variable's name" in message
    assert SECRET not in message


@pytest.mark.parametrize(
    "key",
    """tokens max_tokens max_token tokenizer token_count mask_token eos_token think_token key sort_key answer_key monkey
    keys secretary passwords_file model prompt api_base api_key_env token_env tokenise""".split(),  # noqa: SIM905
)
def test_what_only_resembles_one_is_let_through(key):
    assert not found(**{key: "THE_VALUE"})


@pytest.mark.parametrize("value", [256, True, None, "", 0.5, []])
def test_what_is_no_text_is_no_secret(value):
    assert not found(token=value)


@pytest.mark.parametrize(
    "value",
    [
        "sk-proj-abcdefghijklmnopqrstuv",
        "hf_abcdefghijklmnopqrstuvwxyz",
        "ghp_abcdefghijklmnopqrstuvwxyz",
        "Bearer abcdefghijkl",
        "https://someone:hunter22@judge.example/v1",
        "-----BEGIN RSA PRIVATE KEY-----",
    ],
)
@pytest.mark.parametrize("wrap", [lambda x: x, lambda x: {"header": [x]}, lambda x: [{"a": x}]])
def test_a_secret_is_refused_by_its_looks_wherever_it_is(value, wrap):
    [message] = found(anything=wrap(value))
    assert value not in message
    assert list(written_secrets(TrainConfig(output=value)))


def test_words_about_secrets_are_no_secrets():
    config = TrainConfig()
    config.data.instruction = "The bearer instruments and https://example.org/a:b@c are about a token: sk-learn."
    assert not list(written_secrets(config))


def test_a_key_is_not_taken_for_the_name_of_its_variable():
    for value in ("abcdefghij0123456789", "sk-proj-abcdefghijklmnopqrstuv"):
        [message] = found(api_key_env=value)
        assert message.startswith("rewards.judge.args.api_key_env ")
        assert value not in message


def test_tasks_and_the_stages_of_a_pipeline_are_searched_too():
    stage = {"verb": "train", "settings": {"rewards": {"judge": {"args": {"api_key": SECRET}}}}}
    config = load_config(PipelineConfig, [f"stages={json.dumps({'rl': stage})}"])
    [message] = written_secrets(config)
    assert message.startswith("stages.rl.settings.rewards.judge.args.api_key looks like a secret")
    task = {"draw": {"rewards": {"judge": {"args": {"token": SECRET}}}}}
    [message] = written_secrets(load_config(TrainConfig, [f"tasks={json.dumps(task)}"]))
    assert message.startswith("tasks.draw.rewards.judge.args.token looks like a secret")


def test_no_shipped_config_holds_a_secret():
    files = sorted(shipped_configs().rglob("*.yaml"))
    assert len(files) > 20
    for file in files:
        assert not list(written_secrets(read_yaml(str(file)).values)), file


@pytest.mark.parametrize("verb", [["config", "train"], ["train"], ["eval"], ["submit"]])
def test_no_verb_prints_a_secret(tmp_path, capfd, verb):
    settings = ["rewards.math.args.api_key=" + SECRET, f"output={tmp_path / 'run'}", "model.path=nowhere"]
    assert main([*verb, *settings]) == 2
    out, err = capfd.readouterr()
    assert err.startswith("unigrpo: error: rewards.math.args.api_key looks like a secret")
    assert SECRET not in out + err
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("name", ["Judge", "asked", "Whole"])
def test_a_reward_gets_what_the_variable_holds(judge, monkeypatch, name):
    monkeypatch.setenv("A_KEY", SECRET)
    entries = judge(name, api_key_env="A_KEY")
    reward = Scorer(entries).rewards["judge"]
    assert SECRET not in repr(reward)
    taken = {"response": ""} | reward.settings
    assert reward.function(**taken) == len(SECRET)
    assert entries["judge"].args == {"api_key_env": "A_KEY"}


def test_a_reward_that_reads_the_variable_itself_is_given_its_name(judge, monkeypatch):
    monkeypatch.delenv("A_KEY", raising=False)
    assert Scorer(judge("Own", api_key_env="A_KEY")).rewards["judge"].function("") == len("A_KEY")


@pytest.mark.parametrize("name", ["Judge", "asked"])
def test_a_variable_that_is_not_set_is_named(judge, monkeypatch, name):
    monkeypatch.delenv("A_KEY", raising=False)
    with pytest.raises(
        ConfigError, match=r"judge\.args\.api_key_env names the environment variable A_KEY, which is not"
    ):
        Scorer(judge(name, api_key_env="A_KEY"))


def test_a_function_can_be_checked_where_its_variable_is_not_set(judge, monkeypatch):
    monkeypatch.delenv("A_KEY", raising=False)
    assert resolve("judge", judge("asked", api_key_env="A_KEY")["judge"]).settings == {"api_key_env": "A_KEY"}


def test_settings_that_cannot_be_filled_are_refused(judge, monkeypatch):
    monkeypatch.setenv("A_KEY", SECRET)
    with pytest.raises(ConfigError, match="has both api_key and api_key_env: drop one"):
        filled("judge", {"api_key_env": "A_KEY", "api_key": "x"}, ["api_key"])
    with pytest.raises(ConfigError, match=r"args\.model_env is no name of an environment variable"):
        filled("judge", {"model_env": 3}, ["model"])
    with pytest.raises(ConfigError, match=r"`judge` takes no `api_kez_env`\. Did you mean `api_key`"):
        Scorer(judge("Judge", api_kez_env="A_KEY"))
    with pytest.raises(ConfigError, match="'A_KEY', but `judge` takes int there") as error:
        Scorer(judge("Judge", api_key_env="A_KEY", tries_env="A_KEY"))
    assert SECRET not in str(error.value)


@pytest.mark.parametrize("backend", ["local", pytest.param("ray", marks=pytest.mark.ray)])
def test_a_run_keeps_the_name_and_nowhere_the_secret(tmp_path, monkeypatch, capfd, backend):
    (tmp_path / "judge.py").write_text(JUDGE)
    monkeypatch.setenv("A_KEY", SECRET)
    settings = [f"rewards.judge.path={tmp_path / 'judge.py'}:Judge", "rewards.judge.args.api_key_env=A_KEY"]
    settings += [f"cluster.backend={backend}", "tracking.to=[wandb]"]
    run(train_args(tmp_path, tmp_path / "run", *settings))
    assert "api_key_env: A_KEY" in (tmp_path / "run/config.yaml").read_text()
    files = [path for path in (tmp_path / "run").rglob("*") if path.is_file()]
    assert not [path for path in files if SECRET.encode() in path.read_bytes()]
    out, err = capfd.readouterr()
    assert SECRET not in out + err
    rows = [json.loads(line) for line in (tmp_path / "run/metrics.jsonl").read_text().splitlines()]
    assert rows[1]["reward/judge"] >= len(SECRET)
