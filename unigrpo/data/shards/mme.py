"""MME as its authors hand it out: for each picture a text file of the same name with its two questions."""

from collections.abc import Iterator
from pathlib import Path
from typing import IO

from unigrpo.data.files import Record
from unigrpo.errors import DataError

PARTS = ("questions_answers_YN", "images")
"""Folders of a category whose questions and pictures lie apart."""
PICTURES = (".jpg", ".png", ".jpeg")


def rows(path: str, file: IO[bytes], stem: str) -> Iterator[Record | DataError]:
    """Yield the questions of one picture, with the columns `question`, `answer`, `category` and `image`.

    Args:
        path: `CATEGORY/NAME.txt` or `CATEGORY/questions_answers_YN/NAME.txt`, on this machine.
        stem: begins the names of the rows.

    Raises:
        DataError: the file is no text, or there is no picture to it.
    """
    place = Path(path)
    category = place.parent.parent if place.parent.name == PARTS[0] else place.parent
    folders = (place.parent, category / PARTS[1])
    image = next(
        (found for folder in folders for end in PICTURES if (found := folder / f"{place.stem}{end}").is_file()), None
    )
    if image is None:
        where = " or ".join(dict.fromkeys(map(str, folders)))
        raise DataError(f"{path}: .txt is read as MME's questions, but {place.stem}.jpg or .png is not in {where}.")
    try:
        lines = file.read().decode("utf-8-sig").splitlines()
    except UnicodeDecodeError as error:
        raise DataError(f"{path}: is no UTF-8 text ({error}).") from None
    shared = {"category": category.name, "image": str(image.absolute())}
    for number, line in enumerate(lines, start=1):
        question, tab, answer = line.rpartition("\t")
        where = f"{path} line {number}"
        if tab:
            values = {"question": question.strip(), "answer": answer.strip()} | shared
            yield Record(f"{stem}:{number}", where, values)
        elif line.strip():
            yield DataError(f"{where}: must be a question, a tab and its answer, as in MME's files.")
