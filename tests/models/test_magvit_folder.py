import json
import shutil

import pytest
import torch
from safetensors.torch import load_file, save_file

from tests.images import tiny_images
from unigrpo.errors import CheckpointError
from unigrpo.models.magvit_folder import load_magvit, save_magvit


@pytest.fixture(scope="module")
def network():
    return tiny_images().network


@pytest.fixture
def state(network):
    return {name: tensor.clone() for name, tensor in network.state_dict().items()}


@pytest.fixture
def folder(network, tmp_path):
    save_magvit(network, tmp_path / "saved")
    return tmp_path / "saved"


def same(found, network) -> bool:
    own, other = network.state_dict(), found.state_dict()
    return own.keys() == other.keys() and all(torch.equal(own[name], other[name]) for name in own)


def test_a_saved_network_loads_bit_for_bit_with_its_sizes(folder, network):
    found = load_magvit(folder)
    assert same(found, network)
    assert found.config == network.config


@pytest.mark.parametrize("key", [None, "model", "state_dict"])
@pytest.mark.parametrize("name", ["pytorch_model.bin", "magvitv2.pth", "anything.pt"])
def test_torch_files_are_read_as_published(tmp_path, golden_folder, name, key):
    state = load_file(golden_folder / "vq.safetensors")
    torch.save({key: state, "step": 3} if key else state, tmp_path / name)
    (tmp_path / "config.json").write_text('{"_class_name": "MAGVITv2", "_diffusers_version": "0.30.1"}')
    assert same(load_magvit(tmp_path), load_magvit(golden_folder / "vq.safetensors"))
    assert same(load_magvit(tmp_path / name), load_magvit(golden_folder / "vq.safetensors"))


def test_half_precision_weights_become_float32_and_codes_stay_integers(state, folder):
    half = {name: tensor.half() for name, tensor in state.items()}
    save_file(half, folder / "model.safetensors")
    found = load_magvit(folder)
    assert {weight.dtype for weight in found.parameters()} == {torch.float32}
    assert found.encode(torch.zeros(1, 3, 8, 8)).dtype == torch.int64


def test_safetensors_are_preferred_to_a_pickle(folder, network):
    (folder / "pytorch_model.bin").write_bytes(b"never opened")
    assert same(load_magvit(folder), network)


def replaced(name, value):
    def change(state):
        state[name] = value

    return change


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda state: state.pop("encoder.mid.attn_1.k.bias"), r"tensor encoder\.mid\.attn_1\.k\.bias is missing"),
        (
            lambda state: state.pop("decoder.up.1.upsample.conv.bias"),
            r"decoder\.up\.1\.upsample\.conv\.bias is missing",
        ),
        (
            replaced("decoder.conv_out.weight", torch.zeros(3, 8, 1, 1)),
            r"decoder\.conv_out\.weight has shape \(3, 8, 1, 1\), not \(3, 8, 3, 3\)",
        ),
        (replaced("loss.disc.weight", torch.zeros(1)), r"1 tensors are unknown to MAGVIT-v2, such as loss\.disc"),
        (
            replaced("quantize.power_vals", torch.tensor([1, 2, 4, 8])),
            r"quantize\.power_vals numbers the codes in another order",
        ),
    ],
    ids=["missing", "missing upsample", "shape", "unknown", "order"],
)
def test_a_wrong_tensor_is_named(state, folder, change, message):
    change(state)
    save_file(state, folder / "model.safetensors")
    with pytest.raises(CheckpointError, match=message):
        load_magvit(folder)


class Command:
    def __reduce__(self):
        return (open, ("ran", "w"))


def test_a_pickle_that_would_run_code_is_refused_and_not_run(state, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    torch.save({"model": state, "extra": Command()}, tmp_path / "evil.pth")
    with pytest.raises(CheckpointError, match=r"evil\.pth: holds no tensors that can be read safely"):
        load_magvit(tmp_path)
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({}, "holds no weights, but one is needed"),
        ({"a.pt": b"x", "b.pth": b"x"}, r"holds 2 files of weights \(a\.pt, \.\.\.\)"),
        ({"a.pt": b"not torch"}, r"a\.pt: holds no tensors that can be read safely"),
        ({"model.safetensors": b"\0" * 9}, r"model\.safetensors: truncated or corrupt"),
    ],
    ids=["empty", "two", "garbage", "corrupt"],
)
def test_a_folder_without_usable_weights_is_one_clear_error(tmp_path, files, message):
    for name, content in files.items():
        (tmp_path / name).write_bytes(content)
    with pytest.raises(CheckpointError, match=message):
        load_magvit(tmp_path)


def test_a_missing_folder_says_what_to_name(tmp_path):
    with pytest.raises(CheckpointError, match=r"nowhere: no such folder\. Name one made by `unigrpo tokenizer`"):
        load_magvit(tmp_path / "nowhere")


@pytest.mark.parametrize("value", [[1, 2], {"model": 3}, {"a": torch.zeros(1), "b": 2}])
def test_a_torch_file_without_a_state_dict_is_refused(tmp_path, value):
    torch.save(value, tmp_path / "x.pt")
    with pytest.raises(CheckpointError, match=r"x\.pt: holds no state dict"):
        load_magvit(tmp_path)


def test_the_weights_of_another_model_are_no_tokenizer(tmp_path, golden_folder):
    shutil.copy(golden_folder / "model.safetensors", tmp_path)
    with pytest.raises(CheckpointError, match="holds no MAGVIT-v2"):
        load_magvit(tmp_path)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"bits": "4"}, "bits is '4', but is a number"),
        ({"encoder_widths": 8}, "encoder_widths is 8, but is numbers"),
        ({"encoder_widths": [8, "8", 8]}, "but is numbers"),
        ({"bits": 5}, r"tensor encoder\.conv_out\.weight has shape \(4, 8, 3, 3\), not \(5, 8, 3, 3\)"),
        ({"groups": 5}, "groups is 5, which does not divide the width 8"),
    ],
)
def test_a_config_that_does_not_fit_is_one_clear_error(folder, change, message):
    path = folder / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    with pytest.raises(CheckpointError, match=message):
        load_magvit(folder)


def test_without_sizes_only_the_groups_must_be_said(folder, network):
    (folder / "config.json").write_text('{"groups": 4}')
    assert load_magvit(folder).config == network.config
    (folder / "config.json").write_text("{}")
    with pytest.raises(CheckpointError, match="groups is 32, which does not divide the width 8"):
        load_magvit(folder)
