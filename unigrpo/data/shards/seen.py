"""Layouts of benchmarks about pictures: from their columns to question, answer, image and what a scorer reads."""

import base64
import binascii
import re
from typing import Any

from unigrpo.config import DataSection
from unigrpo.data.files import Record
from unigrpo.data.shards.evaluated import choices, column
from unigrpo.data.wording import LETTERS
from unigrpo.errors import DataError

Values = dict[str, Any]
VQA_IMAGE = "COCO_val2014_{:012d}.jpg"
"""How VQAv2's validation pictures are called."""
_PLACE = re.compile(r"<image(?: \d+)?>\s*")


def yes_or_no(record: Record, section: DataSection) -> Values:
    """POPE and MME: `text` or `question`, `label` or `answer`, each yes or no; MME's `category` stays."""
    answer = str(column(record, ("label", "answer"))).strip().lower()
    if answer not in ("yes", "no"):
        raise DataError(f"{record.where}: the answer is {answer!r:.40}, but must be yes or no.")
    return {"prompt": str(column(record, ("text", "question"))), "answer": answer}


def vqav2(record: Record, section: DataSection) -> Values:
    """VQAv2: ten `answers` of people, who need not agree; the picture may be named by `image_id` alone."""
    said = column(record, ("answers",))
    answers = [str(one["answer"] if isinstance(one, dict) else one) for one in said]
    common = record.values.get("multiple_choice_answer") or max(answers, key=answers.count)
    values = {"prompt": str(column(record, ("question",))), "answer": str(common), "consensus": answers}
    if record.values.get("image") is None:
        values["image"] = VQA_IMAGE.format(int(str(column(record, ("image_id",)))))
    return values


def gqa(record: Record, section: DataSection) -> Values:
    """GQA: one `answer`; the picture is `imageId`; `types` says what kind of question it is."""
    types = record.values.get("types")
    values = {"prompt": str(column(record, ("question",))), "answer": str(column(record, ("answer",)))}
    values["structural"] = str(types.get("structural", "")) if isinstance(types, dict) else ""
    if record.values.get("image") is None:
        values["image"] = f"{column(record, ('imageId',))}.jpg"
    return values


def mmmu(record: Record, section: DataSection) -> Values:
    """MMMU: multiple choice about `image_1`; open questions, and those about several pictures, cannot be asked."""
    if record.values.get("image_2") is not None:
        raise DataError(f"{record.where}: it is about several pictures, and one is looked at: leave it out.")
    options = record.values.get("options")
    if str(record.values.get("question_type", "")) == "open" or options in ("[]", [], None):
        raise DataError(f"{record.where}: it is an open question without options: leave it out.")
    found = choices(record, section)
    parts = str(record.values.get("id", "")).split("_")
    subject = "_".join(parts[1:-1]) if len(parts) > 2 else ""
    prompt = _PLACE.sub("", found["prompt"]).strip()
    return found | {"prompt": prompt, "image": column(record, ("image_1", "image")), "subject": subject}


def vlmevalkit(record: Record, section: DataSection) -> Values:
    """VLMEvalKit's .tsv files: `image` as base64, `question`, `hint`, choices under A, B, C, ..., `answer`."""
    question, hint = str(column(record, ("question",))), record.values.get("hint")
    values: Values = {"prompt": f"{hint}\n{question}" if hint else question, "image": _decoded(record)}
    texts = [record.values[letter] for letter in LETTERS if record.values.get(letter) not in (None, "")]
    if texts:
        values["choices"] = texts
    return values | {"answer": str(column(record, ("answer",)))}


def _decoded(record: Record) -> bytes:
    try:
        return base64.b64decode(str(column(record, ("image",))), validate=True)
    except binascii.Error:
        raise DataError(f"{record.where}: `image` is no base64, as VLMEvalKit writes pictures.") from None
