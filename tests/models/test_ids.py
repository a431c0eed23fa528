import pytest

from unigrpo.errors import CheckpointError
from unigrpo.models import IdTable, LladaConfig, MMadaConfig, ids_of, supports, train_tokenizer
from unigrpo.models.ids import check_tokenizer
from unigrpo.types import Support


def test_published_mmada_has_the_published_ids_without_our_key():
    ids = IdTable.from_config(MMadaConfig())
    assert (ids.bos, ids.eos, ids.pad, ids.mask) == (126080, 126081, 126081, 126336)
    assert (ids.start_header, ids.end_header, ids.eot) == (126346, 126347, 126348)
    assert (ids.soi, ids.eoi, ids.t2i, ids.mmu, ids.ipad, ids.r2i) == (126084, 126085, 126088, 126089, 126093, 126094)
    assert ids.image_offset + 0 == ids.text_vocab == 126349
    assert ids.image_offset + 8191 == 134540


def test_published_llada_has_no_image_ids():
    ids = IdTable.from_config(LladaConfig())
    assert (ids.mask, ids.eot, ids.text_vocab) == (126336, 126348, 126349)
    assert (ids.soi, ids.image_offset, ids.codebook_size) == (None, None, 0)


def test_a_small_mmada_without_our_key_gives_what_its_config_says(golden):
    ids = IdTable.from_config(golden.config)
    assert ids == IdTable(mask=299, eos=1, pad=1, text_vocab=300, image_offset=300, codebook_size=64)


def test_text_support_leaves_out_codes_unused_rows_mask_and_image_pad():
    ids = IdTable.from_config(MMadaConfig())
    for task in ("text", "understand"):
        assert supports(ids, task) == (Support(start=0, stop=126349, banned=(126093, 126336)),)


def test_image_support_is_the_codes():
    assert supports(IdTable.from_config(MMadaConfig()), "image") == (Support(start=126349, stop=134541),)


def test_a_pad_of_its_own_is_banned_but_the_end_of_sequence_never():
    assert supports(IdTable(mask=9, eos=1, pad=2, text_vocab=10), "text")[0].banned == (2, 9)
    assert supports(IdTable(mask=9, eos=1, pad=1, text_vocab=10), "text")[0].banned == (9,)


def test_a_text_model_has_no_image_support():
    with pytest.raises(CheckpointError, match="no image codes"):
        supports(IdTable.from_config(LladaConfig()), "image")


def test_the_table_survives_config_json():
    ids = ids_of(train_tokenizer(["a"], 300), codebook_size=16)
    assert IdTable.from_config(MMadaConfig(ids=ids.as_dict())) == ids


@pytest.mark.parametrize(
    ("config", "message"),
    [(LladaConfig(vocab_size=77), "mask_token_id"), (LladaConfig(ids={"mask": 1, "colour": 2}), "colour"),
     (LladaConfig(ids={"mask": 1}), "eos")],
)  # fmt: skip
def test_a_config_without_usable_ids_is_refused(config, message):
    with pytest.raises(CheckpointError, match=message):
        IdTable.from_config(config)


def test_a_token_added_to_the_tokenizer_is_noticed_before_it_shifts_the_codes():
    tokenizer = train_tokenizer(["a"], 300)
    ids = ids_of(tokenizer, codebook_size=16)
    tokenizer.add_tokens(["<new>"])
    with pytest.raises(CheckpointError, match=f"image codes start at {ids.image_offset}"):
        check_tokenizer(ids, tokenizer, "folder")


@pytest.mark.parametrize("name", ["mask", "eos", "eot"])
def test_an_id_the_tokenizer_disagrees_with_is_refused(name):
    tokenizer = train_tokenizer(["a"], 300)
    values = ids_of(tokenizer).as_dict() | {name: 5}
    with pytest.raises(CheckpointError, match=rf"{name} id is 5"):
        check_tokenizer(IdTable(**values), tokenizer, "folder")
