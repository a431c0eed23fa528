import json
import shutil
import subprocess
import sys

import pytest
import torch
from safetensors.torch import load_file
from tokenizers import AddedToken, Tokenizer
from tokenizers.models import WordLevel
from transformers import PreTrainedTokenizerFast

from unigrpo.cli.main import main
from unigrpo.config import ModelSection
from unigrpo.errors import CheckpointError
from unigrpo.models import LladaConfig, LLaDAModelLM, load_policy
from unigrpo.models.extend import GROWN, grow, plan_extension, write_extension
from unigrpo.models.folder import write_weights
from unigrpo.models.ids import PUBLISHED, TOKENS


def extend(source, folder, codes=64, seed=0, **settings):
    write_extension(plan_extension(source, codes), folder, seed, **settings)
    return load_policy(ModelSection(path=str(folder), device="cpu"))


def test_old_ids_have_the_logits_they_had(saved, tmp_path, tokens):
    old, new = load_policy(ModelSection(path=str(saved), device="cpu")), extend(saved, tmp_path / "new")
    rows = old.model.config.vocab_size
    assert torch.equal(new.model(tokens).logits[..., :rows], old.model(tokens).logits)
    for name, tensor in old.model.state_dict().items():
        assert torch.equal(new.model.state_dict()[name][: len(tensor)], tensor)


def test_codes_follow_the_tokenizer_and_the_table_says_so(saved, tmp_path):
    old, new = load_policy(ModelSection(path=str(saved), device="cpu")), extend(saved, tmp_path / "new", codes=32)
    config = json.loads((tmp_path / "new" / "config.json").read_text())
    assert (config["model_type"], config["codebook_size"]) == ("mmada", 32)
    assert config["vocab_size"] == config["embedding_size"] == config["llm_vocab_size"] + 32
    assert config["ids"] == old.ids.as_dict() | {"image_offset": len(old.tokenizer), "codebook_size": 32}
    assert new.ids.as_dict() == config["ids"]
    assert new.tokenizer.get_vocab() == old.tokenizer.get_vocab()


def published_style(folder, reserved="<|reserved_token_{}|>"):
    """A LLaDA of the published vocabulary, eight wide; its config.json holds no id table."""
    named = {getattr(PUBLISHED["llada", 126464], name): token for name, token in TOKENS.items()}
    tokenizer = Tokenizer(WordLevel({f"w{index}": index for index in range(126080)}, unk_token="w0"))
    special = [named.get(index, reserved.format(index)) for index in range(126080, 126349)]
    tokenizer.add_special_tokens([AddedToken(token, special=True) for token in special])
    PreTrainedTokenizerFast(tokenizer_object=tokenizer).save_pretrained(folder)
    sizes = {"d_model": 8, "n_layers": 1, "n_heads": 1, "mlp_hidden_size": 8, "mask_token_id": 126336}
    config = LladaConfig(**sizes, vocab_size=126464, eos_token_id=126081, pad_token_id=126081)
    write_weights(config, LLaDAModelLM(config).bfloat16().state_dict(), folder)
    return folder


def test_the_published_llada_becomes_the_published_mmada(tmp_path):
    source = published_style(tmp_path / "llada")
    policy = extend(source, tmp_path / "mmada", codes=8192)
    assert policy.ids == PUBLISHED["mmada", 134656]
    assert policy.model.config.vocab_size == 134656
    assert policy.model.transformer.wte.weight.shape == policy.model.transformer.ff_out.weight.shape == (134656, 8)
    found = load_file(tmp_path / "mmada" / "model.safetensors")
    assert {tensor.dtype for tensor in found.values()} == {torch.bfloat16}


def test_new_rows_have_the_mean_and_the_deviation_of_the_rows_in_use():
    weight = torch.randn(500, 6, generator=torch.Generator().manual_seed(0)) * torch.arange(1.0, 7) + 3
    weight[400:] = 1e4
    new = grow(weight, 20500, 400, seed=1)[500:]
    deviation = weight[:400].std(0, correction=0)
    torch.testing.assert_close(new.mean(0), weight[:400].mean(0), atol=0.2, rtol=0)
    torch.testing.assert_close(new.std(0), deviation, atol=0, rtol=0.03)


def test_the_seed_decides_the_new_rows_and_both_ends_differ(saved, tmp_path):
    one, same, other = (extend(saved, tmp_path / str(n), seed=seed) for n, seed in enumerate([3, 3, 4]))
    first, again, others = ([p.model.state_dict()[name][-64:] for name in GROWN] for p in (one, same, other))
    assert all(map(torch.equal, first, again))
    assert not any(map(torch.equal, first, others))
    assert not torch.equal(first[0], first[1])


def test_shards_do_not_change_what_is_made(saved, tmp_path):
    whole, parts = extend(saved, tmp_path / "whole"), extend(saved, tmp_path / "parts", shard_size="400KB")
    assert len(list((tmp_path / "parts").glob("*.safetensors"))) > 2
    again = extend_llada_from_shards(saved, tmp_path)
    for name, tensor in whole.model.state_dict().items():
        assert torch.equal(parts.model.state_dict()[name], tensor)
        assert torch.equal(again.model.state_dict()[name], tensor)


def extend_llada_from_shards(saved, tmp_path):
    source = shutil.copytree(saved, tmp_path / "sharded")
    policy = load_policy(ModelSection(path=str(saved), device="cpu"))
    (source / "model.safetensors").unlink()
    write_weights(policy.model.config, policy.model.state_dict(), source, shard_size="400KB")
    return extend(source, tmp_path / "from-shards")


def edited(folder, **values):
    config = json.loads((folder / "config.json").read_text()) | values
    (folder / "config.json").write_text(json.dumps({k: v for k, v in config.items() if v != "DROP"}))


FAULTS = {
    "model_type is 'mmada'; only llada can be loaded": lambda f: edited(f, model_type="mmada"),
    "`ids` names no `soi`, which images need.*add the ids of reserved tokens": lambda f: edited(f, ids=None),
    "tensor .* is missing": lambda f: edited(f, n_layers=5),
    "tokenizer.json: no such file": lambda f: (f / "tokenizer.json").unlink(),
}


@pytest.mark.parametrize("message", FAULTS)
def test_a_folder_that_is_no_llada_is_refused_before_anything_is_written(saved, tmp_path, message, capsys):
    source = shutil.copytree(saved, tmp_path / "source")
    FAULTS[message](source)
    with pytest.raises(CheckpointError, match=message):
        plan_extension(source, 64)
    assert main(["init-mmada", "--from", str(source), f"output={tmp_path}/new"]) == 2
    assert sorted(path.name for path in tmp_path.iterdir()) == ["source"]


def test_an_id_that_is_text_is_refused(saved, tmp_path):
    source = shutil.copytree(saved, tmp_path / "source")
    ids = json.loads((source / "config.json").read_text())["ids"]
    edited(source, ids=ids | {"t2i": 65})
    with pytest.raises(CheckpointError, match=r"id 65, which images need as `t2i`, is the text '.*' of the tokenizer"):
        plan_extension(source, 64)


def test_the_verb_says_where_the_codes_start(saved, tmp_path, capsys):
    assert main(["init-mmada", "--from", str(saved), f"output={tmp_path}/new", "codebook_size=16"]) == 0
    policy = load_policy(ModelSection(path=str(tmp_path / "new"), device="cpu"))
    rows = policy.model.config.vocab_size
    expected = f"{tmp_path}/new  {rows - 16} rows became {rows}; image code 0 is id {policy.ids.image_offset}\n"
    assert capsys.readouterr().out == expected
    assert main(["init-mmada", f"--from={saved}", f"output={tmp_path}/new"]) == 2
    assert f"output={tmp_path}/new exists already: name another folder, or delete it." in capsys.readouterr().err
    assert main(["init-mmada", f"output={tmp_path}/other"]) == 2
    assert "source is not set: name the folder of a LLaDA checkpoint with --from FOLDER." in capsys.readouterr().err


MEASURE = """
import sys, threading, time
from pathlib import Path
from unigrpo.models.extend import plan_extension, write_extension

def resident():
    return next(int(line.split()[1]) * 1024 for line in open("/proc/self/status") if line.startswith("RssAnon:"))

extension = plan_extension(sys.argv[1], 256)
start, peak, done = resident(), 0, False

def watch():
    global peak
    while not done:
        peak = max(peak, resident())
        time.sleep(0.001)

thread = threading.Thread(target=watch)
thread.start()
write_extension(extension, Path(sys.argv[2]), 0, shard_size="32MB")
done = True
thread.join()
print(peak - start)
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_making_it_needs_the_memory_of_few_shards(saved, tmp_path):
    source = shutil.copytree(saved, tmp_path / "source")
    old = LladaConfig.from_pretrained(source)
    sizes = {"d_model": 1024, "n_layers": 8, "n_heads": 8, "mlp_hidden_size": 4096}
    config = LladaConfig(**old.to_dict() | sizes)
    state = LLaDAModelLM(config).bfloat16().state_dict()
    (source / "model.safetensors").unlink()
    write_weights(config, state, source)
    command = [sys.executable, "-c", MEASURE, str(source), str(tmp_path / "new")]
    peak = int(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
    assert sum(tensor.nbytes for tensor in state.values()) > 250e6
    assert peak < 100e6
