"""The harness and `unigrpo eval` at the same protocol: every answer and every number is the same."""

from dataclasses import replace

import pytest

from tests.e2e.runs import ONE
from tests.suites.conftest import SMALL
from unigrpo.config import DataSection
from unigrpo.data.prompts import encode_prompt
from unigrpo.errors import ConfigError

lm_eval = pytest.importorskip("lm_eval", reason="the extra lm-eval is not installed")

ROWS = [
    {
        "prompt": f"{n}+{n}=",
        "answer": f"{n + 1}",
        "question": f"{n}+1=",
        "choices": [f"{n}", f"{n + 1}", "9"],
        "gold": 1,
    }
    for n in range(1, 8)
]
GENERATE = {
    "task": "sums_generate",
    "output_type": "generate_until",
    "doc_to_text": "{{prompt}}",
    "doc_to_target": "{{answer}}",
    "generation_kwargs": {"until": ["zz"], "max_gen_toks": 4},
    "metric_list": [{"metric": "exact_match"}],
}
CHOOSE = {
    "task": "sums_choose",
    "output_type": "multiple_choice",
    "doc_to_text": "{{question}}",
    "doc_to_choice": "{{choices}}",
    "doc_to_target": "{{gold}}",
    "target_delimiter": " ",
    "metric_list": [{"metric": "acc"}, {"metric": "acc_norm"}],
}


@pytest.fixture(scope="module")
def model(sft):
    from lm_eval.api.registry import get_model

    import unigrpo.lm_eval  # noqa: F401  registers the model

    arguments = f"pretrained={sft / 'model'},gen_length=4,block_length=4,steps=2,samples=6,threads=1"
    return get_model("unigrpo").create_from_arg_string(arguments, {"batch_size": 3, "device": "cuda:0"})


@pytest.fixture
def harness(model, written, tmp_path, monkeypatch):
    """Runs one task of the harness on the rows, and returns its metrics and its samples."""
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hf"))

    def evaluate(task: dict, **settings) -> tuple[dict, list[dict]]:
        from lm_eval.tasks import TaskManager

        path = written("rows.jsonl", *ROWS)
        data = {"dataset_path": "json", "dataset_kwargs": {"data_files": {"test": str(path)}}, "test_split": "test"}
        cache = {"cache_dir": str(tmp_path / "cache")}
        data["dataset_kwargs"] |= cache
        found = lm_eval.simple_evaluate(
            model,
            tasks=[task | data],
            task_manager=TaskManager(include_defaults=False),
            bootstrap_iters=0,
            **settings,
        )
        assert found is not None
        samples = sorted(found["samples"][task["task"]], key=lambda sample: sample["doc_id"])
        return found["results"][task["task"]], samples

    return evaluate


def test_a_context_is_what_a_prompt_is_with_a_bos_and_without(model, monkeypatch):
    for bos in (model.policy.ids.bos, None):
        monkeypatch.setattr(model, "policy", replace(model.policy, ids=replace(model.policy.ids, bos=bos)))
        section = DataSection(template="plain")
        prompt = encode_prompt("3+4=", section, model.policy.tokenizer, model.policy.ids)
        assert model._context("3+4=").tolist() == prompt.tolist()
        assert model._context("").tolist() == [model.policy.ids.eos if bos is None else bos]


@pytest.mark.parametrize("chat", [False, True])
def test_generation_is_the_same(harness, evaluated, written, chat):
    results, samples = harness(GENERATE, apply_chat_template=chat)
    args = [f"data.path={written('rows.jsonl', *ROWS)}", *SMALL]
    found, rows = evaluated(
        *args, f"data.template={'chat' if chat else 'plain'}", "rewards.exact_match.weight=1", "solved=exact_match"
    )
    assert [sample["resps"][0][0] for sample in samples] == [row["output"] for row in rows]
    assert len({row["output"] for row in rows}) > 1
    right = [row["output"] == row["answer"] for row in rows]
    assert results["exact_match,none"] == sum(right) / len(right)
    assert found["metrics"]["eval/accuracy"] == pytest.approx(results["exact_match,none"])


def test_likelihoods_are_the_same(harness, evaluated, written):
    results, samples = harness(CHOOSE)
    path = written("rows.jsonl", *ROWS)
    args = [f"data.path={path}", "data.layout=choices", "data.template=plain", ONE]
    found, rows = evaluated(*args, "data.delimiter=' '", "likelihood.samples=6")
    ours = [[float(word) for word in row["notes"]["likelihood"].split()[1::2]] for row in rows]
    theirs = [[float(answer[0]) for answer in sample["filtered_resps"]] for sample in samples]
    assert ours == [pytest.approx(values, abs=1e-3) for values in theirs]
    assert found["metrics"]["eval/likelihood"] == results["acc,none"]
    assert found["metrics"]["eval/likelihood_normalized"] == results["acc_norm,none"]


def request(*arguments):
    from lm_eval.api.instance import Instance

    return Instance(request_type="loglikelihood", doc={}, arguments=arguments, idx=0)


def test_what_greedy_denoising_writes_is_greedy_and_nothing_else_of_its_length(model):
    settings = model.settings.__class__(gen_length=1, block_length=1, temperature=0.0)
    prompt = model._prompts(["3+4="])
    [rollout] = model._sampler(settings).sample(prompt, 1, "test")
    vocabulary = [text for text in "0123456789+=" if len(model._continuation(text)) == 1]
    greedy = {text: model.loglikelihood([request("3+4=", text)])[0][1] for text in vocabulary}
    assert [text for text, is_greedy in greedy.items() if is_greedy] == [
        text for text in vocabulary if model._continuation(text)[0] == rollout.tokens[0]
    ]


def test_a_text_alone_is_the_sum_over_its_windows(model, monkeypatch):
    whole = model.loglikelihood_rolling([request("1+2=3")])[0]
    assert whole == pytest.approx(model.loglikelihood([request("", "1+2=3")])[0][0], abs=1e-5)
    monkeypatch.setattr(model.policy.model.config, "max_sequence_length", 4)
    parts = [model.loglikelihood([request("", part)])[0][0] for part in ("1+2", "=3")]
    assert model.loglikelihood_rolling([request("1+2=3")])[0] == pytest.approx(sum(parts), abs=1e-5)


def test_stop_strings_cut_and_repeats_of_a_sampled_request_differ(model):
    [whole] = model.generate_until([request("3+4=", {"until": [], "max_gen_toks": 4})])
    assert whole
    assert model.generate_until([request("3+4=", {"until": ["zz", whole[-1]]})]) == [whole.partition(whole[-1])[0]]
    asked = {"until": [], "max_gen_toks": 4, "do_sample": True, "temperature": 2.0}
    assert len(set(model.generate_until([request("3+4=", asked)] * 4))) > 1


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({}, "model_args names no model: write --model_args pretrained=FOLDER"),
        (
            {"pretrained": "m", "gen_lenght": 4},
            "model_args holds 'gen_lenght', which is not known. Did you mean: gen_",
        ),
        (
            {"pretrained": "m", "gen_length": 5, "block_length": 4},
            "rollout.gen_length is 5, which rollout.block_",
        ),
        ({"pretrained": "m", "steps": 8}, "model_args has steps=8 and no gen_length, which they belong to: give both"),
        ({"pretrained": "m", "samples": 0}, "likelihood.samples is 0: set it to 1 or more"),
    ],
)
def test_wrong_arguments_are_named(arguments, words):
    from unigrpo.lm_eval.settings import settings_of

    with pytest.raises(ConfigError) as caught:
        settings_of(arguments)
    assert words in str(caught.value)


def test_the_harness_finds_its_own_models_too():
    from lm_eval.api.registry import model_registry

    import unigrpo.lm_eval  # noqa: F401

    assert {"unigrpo", "hf", "dummy"} <= set(model_registry.keys())
