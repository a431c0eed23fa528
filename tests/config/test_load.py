import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from unigrpo.config import DataSection, EvalConfig, GenerateConfig, RewardEntry, RolloutSection, SFTConfig, TrainConfig
from unigrpo.config.files import find_config, write_atomically
from unigrpo.config.load import diff, flatten, load_config, save_config, shipped_configs
from unigrpo.errors import ConfigError


def write(folder: Path, text: str, name: str = "a.yaml") -> str:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return str(path)


def message(*args: str, schema=TrainConfig) -> str:
    with pytest.raises(ConfigError) as caught:
        load_config(schema, list(args))
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize("schema", [TrainConfig, SFTConfig, EvalConfig, GenerateConfig])
def test_nothing_given_is_the_defaults(schema):
    assert load_config(schema, []) == schema()


@pytest.mark.parametrize(
    "args",
    [
        ["algo.noise.low=0.2", "model.gradient_checkpointing=true"],
        ["--algo.noise.low=0.2", "--model.gradient_checkpointing=true"],
        ["--algo.noise.low", "0.2", "--model.gradient-checkpointing"],
        ["--model.gradient-checkpointing", "--algo.noise.low", "0.2"],
        ["--model.gradient-checkpointing", "true", "--algo.noise.low", "0.2"],
    ],
)
def test_the_three_spellings_mean_the_same(args):
    config = TrainConfig()
    config.algo.noise.low, config.model.gradient_checkpointing = 0.2, True
    assert load_config(TrainConfig, args) == config


def test_a_lone_flag_is_true_and_leaves_the_file_after_it(tmp_path):
    config = load_config(TrainConfig, ["--resume", write(tmp_path, "steps: 7"), "--overwrite", "false"])
    assert (config.resume, config.overwrite, config.steps) == (True, False, 7)


def test_later_files_win_and_overrides_win_over_all_files(tmp_path):
    first = write(tmp_path, "steps: 1\nseed: 1\noptim: {lr: 1e-5, eps: 1e-4}", "1.yaml")
    second = write(tmp_path, "seed: 2\noptim:\n  lr: 2e-5", "2.yml")
    config = load_config(TrainConfig, ["optim.lr=3e-5", first, second])
    assert (config.steps, config.seed, config.optim.lr, config.optim.eps) == (1, 2, 3e-5, 1e-4)


@pytest.mark.parametrize(
    ("args", "key", "value"),
    [
        ("optim.betas=[0.8,0.95]", "optim.betas", [0.8, 0.95]),
        ("rollout.steps=null", "rollout.steps", None),
        ("data.instruction=Answer: yes", "data.instruction", "Answer: yes"),
        ("data.instruction=[x", "data.instruction", "[x"),
        ("data.instruction='7'", "data.instruction", "7"),
        ("data.instruction=", "data.instruction", ""),
        ("data.instruction=a=b", "data.instruction", "a=b"),
        ('data.instruction="\\ud83d\\ude00"', "data.instruction", "\U0001f600"),  # one sign, as JSON escapes it
        ("output=2026-01-01", "output", "2026-01-01"),
        ("rewards.math.weight=2", "rewards.math", RewardEntry(weight=2.0)),
        ("rewards.j.args={rate: 1e-3, on: [1]}", "rewards.j", RewardEntry(args={"rate": 1e-3, "on": [1]})),
        ("eval.data.source=arithmetic", "eval.data", DataSection(source="arithmetic")),
        ("output=runs/${seed}/${algo.kl}", "output", "runs/0/k3"),
    ],
)
def test_values_are_yaml_and_text_stays_text(args, key, value):
    found = load_config(TrainConfig, [args])
    for name in key.split("."):
        found = found[name] if isinstance(found, dict) else getattr(found, name)
    assert found == value
    assert type(found) is type(value)


@pytest.mark.parametrize(
    ("arg", "expected"),
    [
        ("algo.clip_epss=1", "algo.clip_epss: Key 'clip_epss' not in 'AlgoSection'. Did you mean: 'clip_low'?"),
        ("group_size=4", "group_size: Key 'group_size' not in 'TrainConfig'. Did you mean: 'rollout.group_size'?"),
        ("lr=1", "lr: Key 'lr' not in 'TrainConfig'. Did you mean: 'optim.lr'?"),
        ("stepz=1", "stepz: Key 'stepz' not in 'TrainConfig'. Did you mean: 'steps'?"),
        (
            "checkpoint.qqq=1",
            "checkpoint.qqq: Key 'qqq' not in 'CheckpointSection'. Its keys are every, keep, background.",
        ),
        (
            "rewards.math.wait=1",
            "rewards.math.wait: Key 'wait' not in 'RewardEntry'. Did you mean: 'weight'?",
        ),
        ("steps=ten", "steps='ten' is not an int."),
        ("steps=1.5", "steps=1.5 is not an int."),
        ("steps=true", "steps=True is not an int."),
        ("steps=null", "steps=null is not an int."),
        ("steps.x=1", "steps={'x': 1} is not an int."),
        ("rollout.steps=ten", "rollout.steps='ten' is not an int."),
        ("optim.lr=fast", "optim.lr='fast' is not a float."),
        ("resume=maybe", "resume='maybe' is not a bool."),
        ("optim.betas=[0.9,x]", "optim.betas=[0.9, 'x'] is not a list of float."),
        ("tracking.to=wandb", "tracking.to='wandb' is not a list of str. Write tracking.to=[wandb]."),
        ("algo.kl=k9", "algo.kl='k9' is not one of k1, k2, k3."),
        ("model.preset=huge", "model.preset='huge' is not one of tiny, small."),
        ("model=3", "model=3 is not a section: set its keys, such as model.path=..."),
        ("rewards.math=2", "rewards.math=2 is not a section: set its keys, such as rewards.math.weight=..."),
        ("rewards.math=null", "rewards.math=null is not a section: set its keys, such as rewards.math.weight=..."),
        ("rewards=[math]", "rewards=['math'] is not a mapping."),
        ("output=???", "output='???' is no value."),
        (
            "output=${",
            "output holds '${': only ${other.key} is filled in, because the config is saved with the run and would "
            "keep what the environment holds.",
        ),
        ("output=${nope}", "output: Interpolation key 'nope' not found."),
        ("optim.betas=[0.9", "optim.betas=[0.9 is not valid YAML: expected ',' or ']', but got '<stream end>'."),
        ("--steps", "--steps has no value: write --steps=VALUE."),
        ("-s", "-s is no option: settings are written key=value, --key=value or --key value."),
        ("fast", "fast is neither a .yaml file nor a setting: settings are written key=value."),
    ],
)
def test_a_wrong_argument_is_named_with_what_to_do(arg, expected):
    assert message(arg) == expected


def test_an_error_in_a_file_gives_its_line(tmp_path):
    path = write(tmp_path, "steps: 5\nalgo:\n  mu: 1\n  noise:\n    rulle: even\n")
    assert message(path) == (
        f"algo.noise.rulle: Key 'rulle' not in 'NoiseSection'. Did you mean: 'rule'? ({path}, line 5)"
    )
    path = write(tmp_path, "# comment\n\nsteps: ten\n")
    assert message(path) == f"steps='ten' is not an int. ({path}, line 3)"
    path = write(tmp_path, "model:\ndata:\n  size: 3\n")
    assert message(path) == f"model=null is not a section: set its keys, such as model.path=... ({path}, line 1)"
    path = write(tmp_path, "seed: 1\noutput: ${nope}\n")
    assert message(path) == f"output: Interpolation key 'nope' not found. ({path}, line 2)"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", "{} is empty: a config holds settings such as `steps: 100`."),
        ("# only this\n", "{} is empty: a config holds settings such as `steps: 100`."),
        ("- 1\n", "{} holds no settings: write `key: value` lines, such as `steps: 100`."),
        ("steps: 1\nsteps: 2\n", "steps is set twice ({}, lines 1 and 2)."),
        ("algo:\n  mu: 1\n  kl: k1\n  mu: 2\n", "algo.mu is set twice ({}, lines 2 and 4)."),
        ("steps: 1\n  seed: 2\n", "{}, line 2: not valid YAML: mapping values are not allowed here."),
        ("steps: [1\n", "{}, line 2: not valid YAML: expected ',' or ']', but got '<stream end>'."),
        ("algo: &a\n  noise: *a\n", "{}, line 1: algo.noise contains itself."),
    ],
)
def test_a_broken_file_is_named_with_its_line(tmp_path, text, expected):
    path = write(tmp_path, text)
    assert message(path) == expected.format(path)


def test_a_file_that_is_no_text_is_named(tmp_path):
    path = tmp_path / "a.yaml"
    path.write_bytes(b"\xff\xfe\x00")
    assert message(str(path)).startswith(f"{path} cannot be read: 'utf-8' codec can't decode byte 0xff")


def test_a_tag_that_would_run_code_is_refused(tmp_path):
    path = write(tmp_path, "output: !!python/object/apply:os.getcwd []\n")
    assert message(path).startswith(f"{path}, line 1: not valid YAML: could not determine a constructor")


def test_a_missing_file_suggests_its_sibling(tmp_path, monkeypatch):
    write(tmp_path, "steps: 1", "quickstart.yaml")
    monkeypatch.chdir(tmp_path)
    assert message("quikstart.yaml").endswith("quikstart.yaml: no such file. Did you mean: quickstart.yaml?")
    assert message("zzzzzzzzz.yaml") == "zzzzzzzzz.yaml: no such file."
    (tmp_path / "dir.yaml").mkdir()
    assert message("dir.yaml") == "dir.yaml is a folder: name a yaml file."


def test_shipped_configs_are_found_from_any_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for path in shipped_configs().glob("**/*.yaml"):
        name = path.relative_to(shipped_configs())
        assert find_config(str(name)) == find_config(f"configs/{name}") == path


def test_the_environment_cannot_be_read(monkeypatch):
    monkeypatch.setenv("SECRET", "hunter2")
    for arg in (
        "output=${oc.env:SECRET}",
        "rewards.judge.args={key: ['x${oc.env:SECRET}']}",
        "output=${${output}:SECRET}",
    ):
        assert ":SECRET}': only ${other.key} is filled in" in message(arg)
        assert "hunter2" not in message(arg)


def test_a_circle_of_references_is_an_error():
    assert message("output=${model.path}", "model.path=${output}") == "output: Recursive interpolation detected."


text = st.text(st.characters(codec="utf-8"), max_size=20) | st.sampled_from(
    [
        "${seed}",
        "\\${seed}",
        "a\\\\${b.c}",
        "${",
        "yes",
        "1e-5",
        "null",
        "",
        "a: b",
        "#x",
        "\\",
        "2026-01-01",
        "${oc.env:A}",
        "\x85",
        "a\u2028b",
    ]
)
values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | text,
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.from_regex(r"[a-z_]{1,8}", fullmatch=True), inner, max_size=3)
    ),
    max_leaves=6,
)


@settings(max_examples=20, deadline=None)
@given(
    instruction=text,
    args=st.dictionaries(st.from_regex(r"[a-z_]{1,8}", fullmatch=True), values, max_size=3),
    lr=st.floats(min_value=1e-12, max_value=1e6),
    threshold=st.none() | st.floats(0.01, 1),
)
def test_a_saved_config_loads_as_an_equal_one(tmp_path_factory, instruction, args, lr, threshold):
    config = TrainConfig(rewards={"mine": RewardEntry(args=args)}, rollout=RolloutSection(threshold=threshold))
    config.data.instruction, config.optim.lr = instruction, lr
    path = tmp_path_factory.mktemp("saved") / "config.yaml"
    save_config(config, path)
    assert load_config(TrainConfig, [str(path)]) == config


def test_a_saved_config_opens_with_the_command_that_repeats_it(tmp_path):
    path = tmp_path / "a b.yaml"
    save_config(TrainConfig(output="runs/x"), path)
    assert path.read_text().splitlines()[0] == f"# unigrpo train '{path}' output=runs/x-again"
    save_config(GenerateConfig(), path)
    assert path.read_text().splitlines()[0] == f"# unigrpo generate '{path}'"


def test_a_write_that_fails_leaves_the_old_file_and_no_other(tmp_path):
    path = tmp_path / "a.txt"
    write_atomically(path, "old")
    with pytest.raises(TypeError):
        write_atomically(path, 3)  # type: ignore[arg-type]
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_diff_names_exactly_what_differs():
    old, new = TrainConfig(), TrainConfig(steps=5, rewards={"math": RewardEntry(weight=2.0)})
    new.algo.noise.rule = "even"
    assert diff(old, old) == {}
    assert diff(old, new) == {
        "steps": (100, 5),
        "algo.noise.rule": ("formula", "even"),
        "rewards": ({}, None),
        "rewards.math.weight": (None, 2.0),
        "rewards.math.args": (None, {}),
        "rewards.math.requires": (None, []),
        "rewards.math.normalize": (None, "none"),
        "rewards.math.memory_gb": (None, 4.0),
    }


def test_flatten_holds_each_value_under_its_key():
    flat = flatten(TrainConfig())
    assert flat["algo.noise.rule"] == "formula"
    assert flat["optim.betas"] == [0.9, 0.999]
    assert flat["eval.data"] is None


def test_importing_the_config_imports_no_heavy_package():
    code = (
        "import sys, unigrpo.config, unigrpo.config.load, unigrpo.config.check, unigrpo.config.help;"
        "print([name for name in ('torch', 'numpy', 'ray', 'transformers', 'rich') if name in sys.modules])"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout == "[]\n"
