import pytest
import yaml

from tests.curation.conftest import arguments, read_lines, serve, server, sums  # noqa: F401
from tests.curation.server import expected
from tests.e2e.runs import metrics
from unigrpo.cli.main import main
from unigrpo.config import CurateConfig
from unigrpo.config.bounds import RANGES, sections
from unigrpo.config.check import check_curate
from unigrpo.config.help import help_text
from unigrpo.config.load import load_config, shipped_configs
from unigrpo.config.parts import docs
from unigrpo.config.schema import bare, field_types
from unigrpo.errors import ConfigError

ROWS = sums(30)
BASE = ["teacher.model=m", "teacher.base_url=http://127.0.0.1:1/v1", "data.path=x.jsonl", "rewards.math.weight=1"]
TINY = ["model.preset=tiny", "model.vocab_size=268", "model.device=cpu", "cluster.threads=1", "steps=2"]


@pytest.mark.parametrize("file", ["data.jsonl", "data.parquet"])
def test_sft_reads_what_was_curated_as_it_is(tmp_path, capsys, server, arguments, file):  # noqa: F811
    assert main(["curate", *arguments(server, ROWS, "samples=4", f"file={file}")]) == 0
    out = capsys.readouterr().out
    right = expected(ROWS, 4)["right"]
    assert f"| kept | {right} ({right / 120:.1%}) |" in out
    assert f"{tmp_path}/out/{file}  {right} rows, {right / 120:.1%} of the answers\n" in out
    data = [f"data.path={tmp_path}/out/{file}", "data.template=plain", "sft.batch_size=8", "sft.micro_batch=8"]
    assert main(["sft", *TINY, *data, f"output={tmp_path / 'sft'}"]) == 0
    assert len([row for row in metrics(tmp_path / "sft") if "sft/loss" in row]) == 2


def test_when_nothing_is_kept_it_says_why(tmp_path, capsys, serve, arguments):  # noqa: F811
    assert main(["curate", *arguments(serve(style="plain"), ROWS, "samples=1")]) == 2
    assert "none of 30 answers was kept: " in capsys.readouterr().err
    assert not (tmp_path / "out/data.jsonl").exists()
    assert "no_thought" in (tmp_path / "out/curation.json").read_text()


def settings(words):
    return {key: yaml.safe_load(value) for key, _, value in (word.partition("=") for word in words)}


def test_a_pipeline_curates_then_trains_and_does_neither_again(tmp_path, capsys, server, arguments):  # noqa: F811
    own = [word for word in arguments(server, ROWS) if not word.startswith("output=")]
    learned = ["data.template=plain", "sft.batch_size=8", "sft.micro_batch=8"]
    stages = {"cot": ("curate", own), "sft": ("sft", [*TINY, *learned])}
    file = tmp_path / "p.yaml"
    plain = {name: {"verb": verb, "settings": settings(words)} for name, (verb, words) in stages.items()}
    plain["sft"]["settings"]["data.path"] = "{cot}/data.jsonl"
    file.write_text(yaml.dump({"output": str(tmp_path / "p"), "stages": plain}, sort_keys=False))
    assert main(["pipeline", str(file)]) == 0
    asked = len(server.requests)
    assert main(["pipeline", str(file)]) == 0
    assert capsys.readouterr().err.count("done before, unchanged") == 2
    assert main(["pipeline", str(file), "stages.cot.settings.samples=5"]) == 0
    assert len(server.requests) == asked + len(ROWS)


def test_every_shipped_config_is_sound():
    files = sorted((shipped_configs() / "curate").glob("*.yaml"))
    assert files
    for file in files:
        words = file.read_text().splitlines()[0].removeprefix("# unigrpo curate ").split()
        check_curate(load_config(CurateConfig, [str(shipped_configs().parent / words[0]), *words[1:]]))


def test_every_field_is_explained_and_every_number_has_a_range():
    for _, section in sections(CurateConfig()):
        types = field_types(type(section))
        assert all(docs(type(section))[name].endswith(".") for name in types)
        numbers = {name for name, kind in types.items() if bare(kind) in (int, float)}
        assert numbers == set(RANGES[type(section).__name__])
    assert max(map(len, help_text(CurateConfig).splitlines())) <= 100


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["data.task=image"], "data.task is image, which is drawn without a thought: set data.task=think_image."),
        (["data.shuffle=false"], "data.shuffle is set, but it is not used to ask a teacher"),
        (["data.max_prompt_length=9"], "data.max_prompt_length is set, but it is not used to ask"),
        (["data.task=understand", "data.fit=pad"], "data.fit is pad, but it is only used when teacher.resolution is"),
        (["teacher.model="], "teacher.model is not set: name the model"),
        (["teacher.api_key_env=a-key"], "teacher.api_key_env is no name of an environment variable"),
        (["teacher.extra_body.seed=1"], "teacher.extra_body.seed is set by unigrpo itself"),
        (["teacher.python=python"], "teacher.python is python, but it is only used when teacher.base_url is not set"),
        (["teacher.base_url=null", "teacher.patience=1"], "only used when teacher.base_url is set, for a server."),
        (["teacher.look=true"], "teacher.look is true, but it is only used when data.task is think_image, not text"),
        (["teacher.resolution=64"], "teacher.resolution is 64, but the teacher is shown no pictures: drop it."),
        (["teacher.temperature=0"], "samples is 4, but at teacher.temperature=0 all are equal"),
        (["teacher.temperature=-1"], "teacher.temperature is -1.0: set it to 0 or more."),
        (["keep={format: 1}"], "keep.format is no reward of this config, which has math: correct it."),
        (["filter.max_tokens=9"], "filter.max_tokens and filter.tokenizer need each other: set both or none."),
        (["filter.min_pass=0.9", "filter.max_pass=0.1"], "filter.min_pass is 0.9, above filter.max_pass=0.1"),
        (["filter.bins=3"], "filter.bins is 3, but it is only used when filter.balance=pass_rate: drop it."),
        (["filter.near=null", "filter.ngram=3"], "filter.ngram is 3, but it is only used when filter.near is set"),
        (["file=data.csv"], "file is 'data.csv': write a name that ends in .jsonl or .parquet"),
        (["file=answers.jsonl"], "other than answers.jsonl."),
        (["output="], "output is empty: name a folder"),
        (["teacher.base_url=http://user:password@host/v1"], "teacher.base_url looks like a secret"),
    ],
)
def test_settings_that_contradict_each_other_are_refused(words, expected):
    check_curate(load_config(CurateConfig, BASE))
    with pytest.raises(ConfigError) as caught:
        check_curate(load_config(CurateConfig, [*BASE, *words]))
    assert expected in str(caught.value)


def test_there_must_be_rewards():
    with pytest.raises(ConfigError, match="rewards is empty, so that nothing checks the answers"):
        check_curate(load_config(CurateConfig, BASE[:-1]))
