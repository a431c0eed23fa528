"""What is streamed is what would be in memory."""

import numpy as np
import pytest

from tests.data.shards.write import captioned, png, write_tar
from tests.images import picture, tiny_images
from unigrpo.config import DataSection
from unigrpo.data import load_examples
from unigrpo.data.shards.lanes import Lane
from unigrpo.data.shards.prepare import Preparer, Words, finish
from unigrpo.data.shards.units import units_of

IMAGES = tiny_images()
TRICKY = ["What is 12 + 30?", "<|endoftext|> and <|mdm_mask|>", "  ", "\u00e9\u0301 \U0001f600\n\t", "a" * 300]


@pytest.mark.parametrize("text", TRICKY)
def test_words_are_encoded_as_the_tokenizer_does(tokenizer, text):
    whole = tokenizer(text, add_special_tokens=False, split_special_tokens=True)["input_ids"]
    assert Words(tokenizer.backend_tokenizer)(text)["input_ids"] == whole


SECTIONS = {
    "image": {"task": "image", "layout": "caption", "path": "{tmp}/a.tar"},
    "understand": {"task": "understand", "layout": "caption", "path": "{tmp}/a.tar"},
    "think_image": {"task": "think_image", "source": "shapes", "size": 6, "instruction": "think"},
    "text": {"source": "arithmetic", "template": "plain", "size": 6},
    "chat": {"path": "{tmp}/chat.jsonl", "layout": "messages", "turns": "each"},
}
CHAT = (
    '{"messages": [{"role": "system", "content": "s"}, {"role": "user", "content": "a"}, '
    '{"role": "assistant", "content": "b"}, {"role": "user", "content": "c"}, {"role": "assistant", "content": "d"}]}\n'
)


@pytest.mark.parametrize("name", SECTIONS)
def test_streamed_examples_equal_those_in_memory(tmp_path, tokenizer, seeing, name):
    write_tar(tmp_path / "a.tar", captioned(range(6)))
    (tmp_path / "chat.jsonl").write_text(CHAT)
    fields = SECTIONS[name]
    section = DataSection(**fields | ({"path": fields["path"].format(tmp=tmp_path)} if "path" in fields else {}))
    lane = Lane(Preparer.of(section, tokenizer, seeing, 8), units_of(section))
    found = finish([(section, item.value) for item in lane], seeing, IMAGES)
    wanted = load_examples(section, tokenizer, seeing, images=IMAGES)
    assert [example.id for example in found] == [example.id for example in wanted]
    for one, other in zip(found, wanted, strict=True):
        for field in ("prompt_tokens", "response_tokens", "image_tokens", "unconditional"):
            np.testing.assert_array_equal(getattr(one, field), getattr(other, field))
        assert (one.task, one.text_length) == (other.task, other.text_length)


def test_earlier_turns_stand_before_the_question(tmp_path, tokenizer, ids):
    (tmp_path / "chat.jsonl").write_text(CHAT)
    section = DataSection(path=f"{tmp_path}/chat.jsonl", layout="messages", turns="each")
    first, last = load_examples(section, tokenizer, ids)
    assert tokenizer.decode(last.prompt_tokens) == (
        "<|startoftext|><|start_header_id|>system<|end_header_id|>\ns<|eot_id|>"
        "<|start_header_id|>user<|end_header_id|>\na<|eot_id|><|start_header_id|>assistant<|end_header_id|>\nb<|eot_id|>"
        "<|start_header_id|>user<|end_header_id|>\nc<|eot_id|><|start_header_id|>assistant<|end_header_id|>\n"
    )
    assert [tokenizer.decode(one.response_tokens[:-1]) for one in (first, last)] == ["b", "d"]
    assert (first.id, last.id) == ("chat:1#1", "chat:1#2")


def test_text_alone_is_learned_from_its_first_token(tmp_path, tokenizer, ids):
    (tmp_path / "a.jsonl").write_text('{"content": "What is 12?"}\n')
    section = DataSection(path=f"{tmp_path}/a.jsonl", layout="text", template="plain")
    (example,) = load_examples(section, tokenizer, ids)
    assert not len(example.prompt_tokens)
    assert tokenizer.decode(example.response_tokens) == "<|startoftext|>What is 12?<|endoftext|>"


def test_broken_pictures_in_memory_are_left_out_too(tmp_path, tokenizer, seeing):
    samples = captioned(range(8)) | {"x": {"png": png(1)[:50], "txt": "cut"}, "y": {"txt": "none"}}
    path = str(write_tar(tmp_path / "a.tar", samples))
    section = DataSection(task="image", layout="caption", path=path, max_broken=0.2)
    assert len(load_examples(section, tokenizer, seeing, images=IMAGES)) == 8
    section.max_broken = 0.05
    with pytest.raises(Exception, match=r"rows are broken, more than data\.max_broken=0\.05"):
        load_examples(section, tokenizer, seeing, images=IMAGES)


def test_pixels_are_fitted_as_in_memory(tmp_path, tokenizer, seeing):
    write_tar(tmp_path / "a.tar", {"a": {"png": png(3, 20, 12), "txt": "a"}})
    section = DataSection(task="image", layout="caption", path=f"{tmp_path}/a.tar")
    (item,) = Lane(Preparer.of(section, tokenizer, seeing, 8), units_of(section))
    from unigrpo.data.images import fit_image

    np.testing.assert_array_equal(item.value.picture, fit_image(picture(3, 12, 20), 8, "crop"))
    assert item.value.size == (20, 12)
