"""Sends a picture through the published architectures at full size, with random weights, on the CPU.

    python scripts/full_size.py PICTURE [--resolution 256] [--tokens 4] [--layers 32]

MAGVIT-v2 (95M parameters) encodes and decodes it, ViT-L-14 CLIP (428M) scores it through the `clip` reward, and MMaDA
(8.08B, bfloat16, 16.2 GB) answers a question about it and draws one. Shown are seconds and the process's peak memory.
Nothing is learned from the numbers that come out; that it fits and runs is the point.
"""

import argparse
import gc
import json
import resource
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import open_clip
import torch
from open_clip.factory import get_model_config
from safetensors.torch import save_file

from rewards.vision.clip import Clip
from rollout.image import decode
from rollout.text import denoise
from unigrpo.config import ImageSamplingSection, ImageTokenizerSection, SamplingSection
from unigrpo.data.images import fit_image, read_image
from unigrpo.models import MMadaConfig, MMadaModelLM
from unigrpo.models.ids import PUBLISHED, supports, text_support
from unigrpo.models.image_tokenizer import ImageTokenizer
from unigrpo.models.magvit import Magvit
from unigrpo.models.magvit_config import MagvitConfig
from unigrpo.types import Prompt, Rollout, Sampling

IDS = PUBLISHED["mmada", 134656]
TEXT = [IDS.bos, *range(1000, 1012)]
"""Some ids of text, for want of the published tokenizer."""


@contextmanager
def measured(what: str):
    """Prints how long the block took and the most memory the process has had."""
    started = time.perf_counter()
    yield
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    print(f"{what:48} {time.perf_counter() - started:7.1f} s   peak {peak:5.1f} GiB", flush=True)


def codes_of(picture: np.ndarray, resolution: int) -> np.ndarray:
    """Encodes and decodes with MAGVIT-v2; returns the codes."""
    tokenizer = ImageTokenizer(Magvit(MagvitConfig()), ImageTokenizerSection(resolution=resolution, batch_size=1))
    count = sum(parameter.numel() for parameter in tokenizer.network.parameters())
    with measured(f"MAGVIT-v2 encodes ({count:,} parameters)"):
        [codes] = tokenizer.encode([picture])
    with measured(f"MAGVIT-v2 decodes {len(codes)} codes"):
        [decoded] = tokenizer.decode([codes])
    assert decoded.shape == picture.shape
    return codes


def clip_score(picture: np.ndarray) -> None:
    """Scores the picture as a drawing, with a ViT-L-14 from a folder."""
    prompt = Prompt(id="0", task="image", text="a dog on a sofa", tokens=np.array([0]))
    sampling = Sampling(temperature=1.0, guidance=0.0, gen_length=1, block_length=1)
    rollout = Rollout(
        id="0", prompt=prompt, tokens=np.array([0]), commit_step=np.array([0]), output="", sampling=sampling,
        truncated=False, image=picture,
    )  # fmt: skip
    with tempfile.TemporaryDirectory() as folder:
        with measured("ViT-L-14 is made and saved"):
            model = open_clip.create_model("ViT-L-14")
            save_file(model.state_dict(), Path(folder) / "open_clip_model.safetensors")
            config = {"model_cfg": get_model_config("ViT-L-14"), "preprocess_cfg": {}}
            (Path(folder) / "open_clip_config.json").write_text(json.dumps(config))
            del model
        with measured("the clip reward loads it and scores"):
            [score] = Clip(folder, device="cpu")([picture], [rollout])
        print(f"  clip {score:.2f}")


def make_mmada(layers: int) -> MMadaModelLM:
    """MMaDA with random bfloat16 weights, made in that type from the start."""
    config = MMadaConfig(
        d_model=4096, n_layers=layers, n_heads=32, mlp_hidden_size=12288, vocab_size=134656, embedding_size=134656,
        rope_theta=500000.0, mask_token_id=IDS.mask, eos_token_id=IDS.eos, pad_token_id=IDS.pad, ids=IDS.as_dict(),
    )  # fmt: skip
    with torch.device("meta"):
        model = MMadaModelLM(config)
    model = model.to(torch.bfloat16).to_empty(device="cpu").eval()
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.ndim == 1:
                parameter.fill_(1.0)
            else:
                parameter.uniform_(-0.03, 0.03)
    return model


def main() -> None:
    """Runs all of it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("picture")
    parser.add_argument("--resolution", type=int, default=256)
    parser.add_argument("--tokens", type=int, default=4, help="tokens of the answer, one step each")
    parser.add_argument("--layers", type=int, default=32, help="32 is the published depth")
    given = parser.parse_args()
    torch.manual_seed(0)
    picture = fit_image(read_image(given.picture, given.picture), given.resolution, "crop")
    codes = codes_of(picture, given.resolution)
    clip_score(picture)
    gc.collect()

    with measured("MMaDA is made"):
        model = make_mmada(given.layers)
    print(f"  {sum(parameter.numel() for parameter in model.parameters()):,} parameters")
    asked = torch.tensor([[IDS.mmu, IDS.soi, *(codes + IDS.image_offset), IDS.eoi, *TEXT]])
    keys = torch.zeros(1, dtype=torch.long)
    settings = SamplingSection(gen_length=given.tokens, block_length=given.tokens)
    with measured(f"it answers, {given.tokens} forwards of {asked.shape[1] + given.tokens} tokens"):
        visible = torch.ones_like(asked, dtype=torch.bool)
        answer, *_ = denoise(model, asked, visible, keys, settings, IDS.mask, text_support(IDS), IDS.eos)
    print(f"  {answer[0].tolist()}")
    masks = [IDS.mask] * len(codes)
    rows = [
        torch.tensor([[IDS.ipad] * pads + [IDS.t2i, *text, IDS.eos, IDS.soi, *masks, IDS.eoi]])
        for pads, text in ((0, TEXT), (len(TEXT) - 1, TEXT[:1]))
    ]
    visible = [row != IDS.ipad for row in rows]
    place = slice(rows[0].shape[1] - 1 - len(codes), rows[0].shape[1] - 1)
    drawing = ImageSamplingSection(steps=2, guidance=3.5)
    with measured(f"it draws {len(codes)} codes, 2 guided steps"):
        codes_of_image = supports(IDS, "image")[0]
        drawn, *_ = decode(
            model, rows[0], visible[0], place, keys, drawing, IDS.mask, codes_of_image, (rows[1], visible[1])
        )
    assert ((drawn >= codes_of_image.start) & (drawn < codes_of_image.stop)).all()
    print(f"  {drawn[0, :8].tolist()} ...")


if __name__ == "__main__":
    main()
