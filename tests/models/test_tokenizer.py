import subprocess
import sys
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st
from transformers import PreTrainedTokenizerFast

from unigrpo.errors import ConfigError
from unigrpo.models import ids_of, train_tokenizer

TEXTS = ["the cat sat on the mat in 1984", "12 + 34 = 46"]
TOKENIZER = train_tokenizer(TEXTS, 320)


@given(st.text())
def test_any_text_comes_back_in_normal_form(text):
    assert TOKENIZER.decode(TOKENIZER.encode(text)) == unicodedata.normalize("NFC", text)


@given(st.text(alphabet="0123456789 a+", min_size=1))
def test_every_digit_is_a_token_by_itself(text):
    pieces = [TOKENIZER.decode([token]) for token in TOKENIZER.encode(text)]
    assert [p for p in pieces if any(c.isdigit() for c in p)] == [c for c in text if c.isdigit()]


@given(st.text())
def test_encoding_adds_no_special_token(text):
    special = set(TOKENIZER.all_special_ids)
    if "<|" not in text:
        assert not special & set(TOKENIZER.encode(text))


def test_words_of_the_texts_are_merged():
    assert len(TOKENIZER.encode("the cat")) < len(b"the cat")
    assert len(TOKENIZER) <= 320


def test_special_strings_are_single_ids_and_stay_last():
    ids = ids_of(TOKENIZER)
    names = {"<|startoftext|>": ids.bos, "<|endoftext|>": ids.eos, "<|mdm_mask|>": ids.mask, "<|eot_id|>": ids.eot,
             "<|start_header_id|>": ids.start_header, "<|end_header_id|>": ids.end_header}  # fmt: skip
    for text, expected in names.items():
        assert TOKENIZER.encode(text) == [expected]
    assert ids.pad == ids.eos == TOKENIZER.pad_token_id == TOKENIZER.eos_token_id
    special = [ids.soi, ids.eoi, ids.t2i, ids.mmu, ids.r2i, ids.ipad, *names.values()]
    assert sorted(special) == list(range(len(TOKENIZER) - 12, len(TOKENIZER)))


def test_the_smallest_vocabulary_encodes_everything_and_a_smaller_one_is_refused():
    assert len(train_tokenizer(TEXTS, 268)) == 268
    with pytest.raises(ConfigError, match=r"model\.vocab_size is 267.*268"):
        train_tokenizer(TEXTS, 267)


def test_texts_fix_the_tokenizer_in_every_process():
    code = (
        "from unigrpo.models import train_tokenizer;"
        f"print(train_tokenizer({TEXTS!r}, 320).backend_tokenizer.to_str(), end='')"
    )
    again = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert again == TOKENIZER.backend_tokenizer.to_str()


def test_a_saved_tokenizer_encodes_the_same(tmp_path):
    TOKENIZER.save_pretrained(tmp_path)
    loaded = PreTrainedTokenizerFast.from_pretrained(tmp_path)
    text = " the<|eot_id|> 12  x"
    assert len(loaded) == len(TOKENIZER)
    assert loaded.encode(text) == TOKENIZER.encode(text)
    assert loaded.decode(loaded.encode(text)) == text
