import json
import random
import shutil
import subprocess
import sys

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM, AutoTokenizer

from unigrpo.config import ModelSection
from unigrpo.errors import CheckpointError, ConfigError
from unigrpo.models import LladaConfig, LLaDAModelLM, load_model, load_policy, save_policy
from unigrpo.models.folder import write_weights


def at(folder, **settings):
    return ModelSection(path=str(folder), device="cpu", **settings)


@pytest.fixture
def folder(saved, tmp_path):
    return shutil.copytree(saved, tmp_path / "model")


def test_a_saved_policy_loads_bit_for_bit(make_policy, tmp_path, tokens):
    policy = make_policy(seed=5)
    save_policy(policy, tmp_path)
    again = load_policy(at(tmp_path))
    assert again.ids == policy.ids
    assert again.tokenizer.get_vocab() == policy.tokenizer.get_vocab()
    for name, tensor in policy.model.state_dict().items():
        assert torch.equal(tensor, again.model.state_dict()[name])
    assert torch.equal(policy.model(tokens).logits, again.model(tokens).logits)


def test_saving_twice_writes_the_same_bytes(folder, tmp_path):
    save_policy(load_policy(at(folder)), tmp_path / "again")
    for name in ("model.safetensors", "config.json", "tokenizer.json"):
        assert (folder / name).read_bytes() == (tmp_path / "again" / name).read_bytes()


def test_saved_names_are_the_published_ones(golden, folder):
    published = {name.replace("blocks.1.", "blocks.3.") for name in golden.state_dict()}
    assert published <= load_file(folder / "model.safetensors").keys()
    assert json.loads((folder / "config.json").read_text())["architectures"] == ["LLaDAModelLM"]


def test_transformers_alone_reads_a_saved_folder(folder, tokens):
    model, tokenizer = AutoModelForCausalLM.from_pretrained(folder), AutoTokenizer.from_pretrained(folder)
    policy = load_policy(at(folder))
    assert torch.equal(model(tokens).logits, policy.model(tokens).logits)
    assert tokenizer.encode("12 cats") == policy.tokenizer.encode("12 cats")


def test_save_pretrained_of_transformers_writes_what_we_read(golden, tmp_path):
    golden.save_pretrained(tmp_path)
    for name, tensor in load_model(tmp_path).state_dict().items():
        assert torch.equal(tensor, golden.state_dict()[name])


def test_shards_are_written_and_read(golden, tmp_path):
    write_weights(golden.config, golden.state_dict(), tmp_path, shard_size="100KB")
    assert len(list(tmp_path.glob("*.safetensors"))) > 2
    for name, tensor in load_model(tmp_path).state_dict().items():
        assert torch.equal(tensor, golden.state_dict()[name])
    next(tmp_path.glob("model-00002*")).unlink()
    with pytest.raises(CheckpointError, match="model-00002"):
        load_model(tmp_path)


def test_bfloat16_weights_are_the_rounded_ones(folder):
    half = load_policy(at(folder, dtype="bfloat16")).model
    for name, tensor in load_file(folder / "model.safetensors").items():
        assert torch.equal(half.state_dict()[name], tensor.bfloat16())


def test_a_model_can_overwrite_the_folder_it_was_loaded_from(folder):
    policy = load_policy(at(folder))
    with torch.no_grad():
        policy.model.transformer.ln_f.weight.fill_(2.0)
    before = {name: tensor.clone() for name, tensor in policy.model.state_dict().items()}
    save_policy(policy, folder)
    for state in (policy.model.state_dict(), load_model(folder).state_dict()):
        assert all(torch.equal(tensor, state[name]) for name, tensor in before.items())


def test_training_a_loaded_model_leaves_its_file_alone(folder):
    before = (folder / "model.safetensors").read_bytes()
    model = load_model(folder)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(1.0)
    assert (folder / "model.safetensors").read_bytes() == before


def test_the_seed_alone_fixes_a_preset_and_the_global_state_is_left_alone(make_policy):
    torch.manual_seed(1)
    before = torch.get_rng_state()
    first = make_policy(seed=7)
    assert torch.equal(before, torch.get_rng_state())
    torch.manual_seed(2)
    same, other = make_policy(seed=7), make_policy(seed=8)
    weights = [p.model.get_input_embeddings().weight for p in (first, same, other)]
    assert torch.equal(weights[0], weights[1])
    assert not torch.equal(weights[0], weights[2])


def test_tiny_has_under_a_million_parameters_in_its_blocks(make_policy):
    blocks = make_policy().model.transformer.blocks
    assert 800_000 < sum(p.numel() for p in blocks.parameters()) < 900_000


def test_settings_reach_the_model(make_policy):
    model = make_policy(dtype="bfloat16", gradient_checkpointing=True).model
    assert model.dtype == torch.bfloat16
    assert model.transformer.gradient_checkpointing


def test_auto_device_takes_what_there_is():
    expected = "cuda" if torch.cuda.is_available() else "mps" if torch.backends.mps.is_available() else "cpu"
    assert load_policy(ModelSection(preset="tiny"), texts=["a"]).model.device.type == expected


def test_a_published_style_folder_without_tokenizer_loads_as_a_model_but_not_as_a_policy(golden_folder):
    assert load_model(golden_folder).config.model_type == "mmada"
    with pytest.raises(CheckpointError, match=r"tokenizer\.json: no such file"):
        load_policy(at(golden_folder))


@pytest.mark.parametrize(
    ("settings", "message"),
    [({}, "neither of model.path and model.preset"), ({"path": "x", "preset": "tiny"}, "both of model.path"),
     ({"preset": "tiny", "device": "nonsense"}, "model.device is 'nonsense'"),
     ({"preset": "tiny", "device": "cuda:99"}, "model.device is 'cuda:99'"),
     ({"preset": "tiny", "vocab_size": 10}, "model.vocab_size")],
)  # fmt: skip
def test_a_section_that_cannot_be_used_is_refused(settings, message):
    with pytest.raises(ConfigError, match=message):
        load_policy(ModelSection(**settings), texts=["a"])


def test_a_preset_without_texts_is_refused():
    with pytest.raises(ConfigError, match=r"model\.preset makes a tokenizer"):
        load_policy(ModelSection(preset="tiny", device="cpu"))


def edit_config(folder, **values):
    config = json.loads((folder / "config.json").read_text())
    config.update(values)
    (folder / "config.json").write_text(json.dumps({k: v for k, v in config.items() if v != "DROP"}))


def edit_weights(folder, change):
    state = load_file(folder / "model.safetensors")
    change(state)
    save_file(state, folder / "model.safetensors")


def truncate(file):
    file.write_bytes(file.read_bytes()[:-100])


def corrupt(file):
    file.write_bytes(random.Random(0).randbytes(5000))


NAME = "model.transformer.blocks.2.q_proj.weight"
FAULTS = {
    "no such folder": lambda f: shutil.rmtree(f),
    "config.json: no such file": lambda f: (f / "config.json").unlink(),
    "config.json: not valid JSON": lambda f: truncate(f / "config.json"),
    "config.json: holds no JSON object": lambda f: (f / "config.json").write_text("[]"),
    "config.json: model_type is 'bert'": lambda f: edit_config(f, model_type="bert"),
    "config.json: `n_heads` is missing": lambda f: edit_config(f, n_heads="DROP"),
    "config.json: alibi is True": lambda f: edit_config(f, alibi=True),
    "config.json: .*n_heads.*int": lambda f: edit_config(f, n_heads="four"),
    "config.json: `ids` cannot be read": lambda f: edit_config(f, ids={"mask": 1}),
    "no model.safetensors and no": lambda f: (f / "model.safetensors").unlink(),
    "Pickled weights are not read": lambda f: (f / "model.safetensors").rename(f / "pytorch_model.bin"),
    "model.safetensors: truncated or corrupt": lambda f: truncate(f / "model.safetensors"),
    "model.safetensors: truncated .*": lambda f: corrupt(f / "model.safetensors"),
    f"tensor {NAME} is missing": lambda f: edit_weights(f, lambda s: s.pop(NAME)),
    f"tensor {NAME} has shape": lambda f: edit_weights(f, lambda s: s.update({NAME: torch.zeros(2, 2)})),
    "1 tensors are unknown": lambda f: edit_weights(f, lambda s: s.update({"model.extra": torch.zeros(2)})),
    "shape .* but config.json asks for": lambda f: edit_config(f, mlp_hidden_size=64),
    "tokenizer.json: no such file": lambda f: (f / "tokenizer.json").unlink(),
    "tokenizer.json: cannot be read": lambda f: truncate(f / "tokenizer.json"),
}


@pytest.mark.parametrize("message", FAULTS)
def test_a_bad_folder_is_refused_in_one_line_that_names_the_file(folder, message):
    FAULTS[message](folder)
    with pytest.raises(CheckpointError, match=message) as error:
        load_policy(at(folder))
    assert str(folder) in str(error.value)
    assert "\n" not in str(error.value)


def test_unknown_keys_and_remote_code_in_config_json_do_no_harm(folder):
    edit_config(folder, auto_map={"AutoModel": "evil.Evil"}, new_key=3, use_cache=False, torch_dtype="bfloat16")
    model = load_policy(at(folder)).model
    assert not hasattr(model.config, "auto_map")
    assert model.dtype == torch.float32


MEASURE = """
import sys, threading, time, torch
from unigrpo.models import load_model

def resident(kind):
    return next(int(line.split()[1]) * 1024 for line in open("/proc/self/status") if line.startswith(kind))

start, peak, done = resident(sys.argv[3]), 0, False

def watch():
    global peak
    while not done:
        peak = max(peak, resident(sys.argv[3]))
        time.sleep(0.001)

thread = threading.Thread(target=watch)
thread.start()
model = load_model(sys.argv[1], getattr(torch, sys.argv[2]))
touched = sum(p.float().sum() for p in model.parameters())
done = True
thread.join()
print((peak - start) / sum(p.numel() * p.element_size() for p in model.parameters()))
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
@pytest.mark.parametrize(("dtype", "kind"), [("bfloat16", "VmRSS:"), ("float32", "RssAnon:")])
def test_loading_needs_little_more_memory_than_the_weights(tmp_path, dtype, kind):
    config = LladaConfig(d_model=1024, n_layers=8, n_heads=8, mlp_hidden_size=4096, vocab_size=8192)
    model = LLaDAModelLM(config).to(torch.bfloat16)
    write_weights(config, model.state_dict(), tmp_path, shard_size="64MB")
    command = [sys.executable, "-c", MEASURE, str(tmp_path), dtype, kind]
    ratio = float(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
    assert 0.9 < ratio < 1.3
