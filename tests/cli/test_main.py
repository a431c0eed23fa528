import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from unigrpo.cli import packages
from unigrpo.cli.main import main
from unigrpo.cli.verbs import VERBS, Verb
from unigrpo.config import SFTConfig, TrainConfig
from unigrpo.config.load import load_config, shipped_configs

CONFIGURED = ", ".join(name for name, verb in VERBS.items() if verb.schema)
TRAIN = ["model.preset=tiny", "data.source=arithmetic", "rewards.math.weight=1"]


def call(*args: str, cwd: Path, **env: str) -> subprocess.CompletedProcess:
    return subprocess.run(args, cwd=cwd, env=os.environ | env, capture_output=True, text=True)


def test_help_lists_every_verb(capsys):
    assert main(["--help"]) == main([]) == main(["-h"]) == 0
    out = capsys.readouterr().out
    for name, verb in VERBS.items():
        assert re.search(rf"^  {name} +{re.escape(verb.summary)}$", out, re.MULTILINE)


def test_help_imports_nothing_heavy(tmp_path):
    code = (
        "import sys; sys.argv[1:] = ['--help']\n"
        "from unigrpo.__main__ import main\n"
        "assert main() == 0\n"
        "print([name for name in ('torch', 'numpy', 'ray', 'omegaconf', 'rich') if name in sys.modules])"
    )
    found = call(sys.executable, "-c", code, cwd=tmp_path)
    assert found.stdout.endswith("[]\n"), found.stderr


def test_help_of_a_verb_explains_its_settings_wherever_it_stands(capsys):
    assert main(["train", "--help"]) == 0
    assert "  algo.noise.rule=formula" in capsys.readouterr().out
    assert main(["train", "missing.yaml", "--help", "optim"]) == 0
    out = capsys.readouterr().out
    assert out.startswith("optim\n  AdamW and its schedule.\n  optim.lr=1e-06  (float)\n")
    assert "algo" not in out
    assert main(["quickstart", "--help"]) == 0
    assert capsys.readouterr().out.startswith("unigrpo quickstart [output=FOLDER] [--overwrite]\n")


@pytest.mark.parametrize(
    ("args", "expected"),
    [
        (["tarin"], "tarin is no verb. Did you mean: train?"),
        (["zzz"], f"zzz is no verb. The verbs are {', '.join(VERBS)}."),
        (["config"], f"config needs a verb: one of {CONFIGURED}, then files and settings."),
        (["config", "quickstart"], f"quickstart is no verb. The verbs are {CONFIGURED}."),
        (["config", "train", "steps=ten"], "steps='ten' is not an int."),
        (["config", "train", *TRAIN, "steps=0"], "steps is 0: set it to 1 or more."),
        (["sft", "--help", "nope"], "nope is no section: those of SFTConfig are"),
    ],
)
def test_a_mistake_is_one_line_on_standard_error(capsys, args, expected):
    assert main(args) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith(f"unigrpo: error: {expected}")
    assert captured.err.count("\n") == 1


def test_a_wrong_setting_is_told_before_torch_is_imported(tmp_path):
    code = (
        "import sys\n"
        "from unigrpo.cli.main import main\n"
        "from unigrpo.cli.verbs import VERBS\n"
        "plain = [name for name, verb in VERBS.items() if verb.plain]\n"
        "assert plain and all(main([name, 'sede=1']) == 2 for name in plain)\n"
        "print(plain, 'torch' in sys.modules)"
    )
    found = call(sys.executable, "-c", code, cwd=tmp_path)
    plain = [name for name, verb in VERBS.items() if verb.plain]
    assert {"train", "sft"} <= {*plain}
    assert found.stdout == f"{plain} False\n", found.stderr
    assert found.stderr.count("Key 'sede' not in") == len(plain), found.stderr


def test_config_prints_what_can_be_loaded_again(capsys, tmp_path):
    assert main(["config", "train", *TRAIN, "algo.mu=4"]) == 0
    path = tmp_path / "a.yaml"
    path.write_text(capsys.readouterr().out)
    assert load_config(TrainConfig, [str(path)]) == load_config(TrainConfig, [*TRAIN, "algo.mu=4"])
    assert main(["config", "sft", *TRAIN[:2]]) == 0
    assert yaml.safe_load(capsys.readouterr().out)["optim"]["schedule"] == SFTConfig().optim.schedule


@pytest.fixture
def verb(tmp_path, monkeypatch):
    """Adds a verb of one's own, whose module holds the given body of `run`."""

    def add(body: str) -> str:
        (tmp_path / "own_verb.py").write_text(f"def run(args):\n    {body}\n")
        monkeypatch.syspath_prepend(tmp_path)
        monkeypatch.setitem(VERBS, "own", Verb("own_verb", "a test", "own"))
        monkeypatch.delitem(sys.modules, "own_verb", raising=False)
        return "own"

    return add


def test_a_verb_gets_its_arguments_and_gives_its_exit_status(verb, capsys):
    assert main([verb("print(args); return 3"), "a.yaml", "b=1"]) == 3
    assert capsys.readouterr().out == "['a.yaml', 'b=1']\n"


def test_an_interrupt_is_one_line_and_130(verb, capsys):
    assert main([verb("raise KeyboardInterrupt")]) == 130
    assert capsys.readouterr().err == "unigrpo: interrupted\n"


def test_a_message_of_several_lines_is_printed_as_one(verb, capsys):
    assert main([verb("from unigrpo.errors import DataError; raise DataError('a\\n  b')")]) == 2
    assert capsys.readouterr().err == "unigrpo: error: a b\n"


@pytest.mark.parametrize("kind", ["ZeroDivisionError", "BrokenPipeError"])
def test_a_mistake_of_ours_is_not_hidden(verb, kind):
    with pytest.raises((ZeroDivisionError, BrokenPipeError)):
        main([verb(f"raise {kind}")])


def test_a_reader_that_leaves_early_is_no_error(tmp_path):
    code = "import sys; from unigrpo.cli.main import main; sys.exit(main(['train', '--help']))"
    found = call("bash", "-c", f'"{sys.executable}" -c "{code}" | head -1; echo ${{PIPESTATUS[0]}}', cwd=tmp_path)
    assert found.stdout.splitlines()[-1] == "0"
    assert found.stderr == ""


def test_version_is_that_of_the_package(capsys):
    import unigrpo

    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"unigrpo {unigrpo.__version__}\n"


@pytest.mark.parametrize("name", packages.PACKAGES)
@pytest.mark.parametrize(
    "how", [["-m", "unigrpo"], ["-c", "import sys; from unigrpo.__main__ import main; sys.exit(main())"]]
)
def test_a_file_that_hides_one_of_our_packages_is_named(tmp_path, name, how):
    (tmp_path / f"{name}.py").write_text("raise SystemExit('imported the wrong one')")
    found = call(sys.executable, *how, cwd=tmp_path)
    assert found.returncode == 2
    assert found.stderr == (
        f"unigrpo: error: ./{name}.py hides the installed package '{name}': rename it, or run `unigrpo` from another "
        "folder.\n"
    )


def test_a_package_elsewhere_on_the_path_is_named(tmp_path):
    (tmp_path / "lib" / "rewards").mkdir(parents=True)
    (tmp_path / "lib" / "rewards" / "__init__.py").touch()
    (tmp_path / "work").mkdir()
    found = call(sys.executable, "-m", "unigrpo", cwd=tmp_path / "work", PYTHONPATH=str(tmp_path / "lib"))
    assert found.returncode == 2
    assert found.stderr == (
        f"unigrpo: error: {tmp_path}/lib/rewards hides the installed package 'rewards': uninstall it, or take its "
        "folder off PYTHONPATH.\n"
    )


def test_a_plain_folder_of_the_same_name_hides_nothing(tmp_path):
    (tmp_path / "rewards").mkdir()
    (tmp_path / "rewards" / "mine.py").touch()
    assert call(sys.executable, "-m", "unigrpo", "--version", cwd=tmp_path).returncode == 0


def test_the_checkout_itself_hides_nothing():
    assert call(sys.executable, "-m", "unigrpo", "--version", cwd=packages.HOME).returncode == 0


def test_a_wheel_finds_its_packages_and_configs(tmp_path):
    """The layout of an installed wheel: the packages side by side, the configs inside `unigrpo`."""
    site = tmp_path / "site"
    site.mkdir()
    for name in ("unigrpo", *packages.PACKAGES):
        (site / name).mkdir()
        for path in (packages.HOME / name).glob("**/*.py"):
            target = site / path.relative_to(packages.HOME)
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(path.read_bytes())
    (site / "unigrpo" / "configs").mkdir()
    (site / "unigrpo" / "configs" / "quickstart.yaml").write_text("seed: 77\n")
    args = ("config", "train", "configs/quickstart.yaml", *TRAIN)
    found = call(sys.executable, "-m", "unigrpo", *args, cwd=tmp_path, PYTHONPATH=str(site))
    assert found.returncode == 0, found.stderr
    assert "\nseed: 77\n" in found.stdout
    assert shipped_configs() == packages.HOME / "configs"
