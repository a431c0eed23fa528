"""Curation in order: ask, read, verify, sift, write."""

import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from unigrpo.config import CurateConfig, FilterSection
from unigrpo.curation import written
from unigrpo.curation.endpoint import Endpoint
from unigrpo.curation.filters import Length, Right, groups_of, sift
from unigrpo.curation.folder import check_folder, open_folder, save_settings
from unigrpo.curation.log import Log
from unigrpo.curation.offline import Offline
from unigrpo.curation.requests import Named, Request, requests_of
from unigrpo.curation.said import Said
from unigrpo.curation.summary import NAME as REPORT
from unigrpo.curation.summary import Summary, cost
from unigrpo.curation.teacher import Teacher, TeacherError
from unigrpo.curation.thoughts import Thought, thought_of
from unigrpo.curation.verify import Verdict, Verifier, Written
from unigrpo.data.prompts import instruction_of
from unigrpo.data.rows import Row, read_rows
from unigrpo.errors import DataError
from unigrpo.progress import progress
from unigrpo.types import DRAWING, Metrics

SHOWN = ("teacher/tokens_out", "teacher/cost", "teacher/cut")


def curate(config: CurateConfig) -> Summary:
    """Ask the teacher what it was not asked before, and write what is right and worth learning.

    Nothing is asked, and nothing written, before all that can be checked has been.
    """
    started = time.perf_counter()
    rows = _rows(config)
    verifier, length = Verifier(config), _length(config.filter)
    verifier.check(rows)
    teacher = _teacher(config)
    check_folder(config)
    requests = list(requests_of(config, rows))
    folder = open_folder(config)
    with Log(folder) as log:
        said, asked, failed = _ask(config, teacher, requests, log)
        summary = Summary(prompts=len(rows), wanted=len(requests), answers=len(said))
        summary.reject({"unanswered": len(requests) - len(said)})
        right, unknown = _right(config, requests, said, verifier, summary)
        _check_failed(config, summary, failed, unknown)
        kept, left_out = sift(right, config.filter, config.seed, length)
        summary.reject(left_out)
        summary.kept, summary.groups = len(kept), dict(groups_of(kept, config.filter))
        summary.pay(config.teacher, said, asked)
        summary.seconds = round(time.perf_counter() - started, 1)
        summary.write(folder)
        _write(config, folder, kept, verifier, summary)
    return summary


def _write(config: CurateConfig, folder: Path, kept: Sequence[Right], verifier: Verifier, summary: Summary) -> None:
    save_settings(config, folder)
    if not kept:
        (folder / config.file).unlink(missing_ok=True)
        reasons = ", ".join(f"{reason} {count}" for reason, count in summary.rejected.items())
        raise DataError(f"none of {summary.answers} answers was kept: {reasons}. One of each is in {folder / REPORT}.")
    written.write(folder / config.file, kept, verifier.version, instruction_of(config.data))


def _rows(config: CurateConfig) -> list[Row]:
    looks, column = config.data.task != "text", config.filter.balance
    rows = read_rows(config.data, ("image",) * looks)
    for row in rows:
        if row.image is not None and not looks:
            raise DataError(
                f"{row.where}: an image for a text task: set data.task=understand to ask about it, or "
                "data.task=think_image to think before it is drawn, or drop the column."
            )
        if row.history or not row.prompt:
            raise DataError(f"{row.where}: a teacher is asked single prompts, and this is a conversation, or empty.")
        if column not in (None, "pass_rate") and column not in row.metadata:
            have = ", ".join(row.metadata) or "none"
            raise DataError(f"{row.where}: filter.balance is {column}, but its columns beside the usual are {have}.")
    written.check_columns(rows)
    return rows


def _teacher(config: CurateConfig) -> Teacher:
    if config.teacher.base_url is None:
        return Offline(config.teacher, Path(config.output))
    return Endpoint(config.teacher)


def _length(section: FilterSection) -> Length | None:
    if section.tokenizer is None:
        return None
    from transformers import AutoTokenizer

    try:
        tokenizer = AutoTokenizer.from_pretrained(section.tokenizer)
    except (OSError, ValueError) as error:
        reason = str(error).partition("\n")[0]
        raise DataError(f"filter.tokenizer={section.tokenizer} cannot be loaded: {reason}") from None
    return lambda text: len(tokenizer.encode(text, add_special_tokens=False))


def _ask(
    config: CurateConfig, teacher: Teacher, requests: Sequence[Request], log: Log
) -> tuple[dict[Named, Said], set[Named], Mapping[str, int]]:
    """All answers, the names of those that were asked for now, and why some are missing."""
    said = log.read({request.name for request in requests})
    missing = [request for request in requests if request.name not in said]
    before, failed = len(said), {}
    if not missing:
        return said, set(), failed
    metrics: Metrics = dict.fromkeys(SHOWN, 0.0)
    with progress("Teacher", len(requests), before, SHOWN) as bar:

        def heard(request: Request, answer: Said) -> None:
            log.add(request, answer)
            said[request.name] = answer
            metrics["teacher/tokens_out"] += answer.tokens_out
            metrics["teacher/cost"] += cost(config.teacher, answer)
            metrics["teacher/cut"] += answer.finish == "length"
            bar.update(metrics)

        failed = teacher.ask(missing, heard)
    return said, {request.name for request in missing if request.name in said}, failed


def _right(
    config: CurateConfig,
    requests: Sequence[Request],
    said: Mapping[Named, Said],
    verifier: Verifier,
    summary: Summary,
) -> tuple[list[Right], int]:
    """The right answers, and of how many others it is not known whether they are."""
    responses = list(_responses(requests, said, config.data.task in DRAWING, summary))
    verdicts = verifier.judge(responses)
    rates = _pass_rates(requests, said, responses, verdicts)
    right, unknown = [], 0
    for one, verdict in zip(responses, verdicts, strict=True):
        if verdict.right:
            right.append(Right(one.request, one.response, verdict, rates[one.request.row.id]))
        elif verdict.right is None:
            summary.reject({"unverified": 1}, verdict.note)
            unknown += 1
        else:
            summary.reject({f"below_{verdict.short}": 1}, one.response)
    summary.right = len(right)
    return right, unknown


def _responses(
    requests: Sequence[Request], said: Mapping[Named, Said], draws: bool, summary: Summary
) -> Iterator[Written]:
    """The answers that can be brought into our format."""
    for request in requests:
        if (answer := said.get(request.name)) is None:
            continue
        found = thought_of(answer, draws)
        if isinstance(found, Thought):
            yield Written(request, found.response(draws))
        else:
            summary.reject({found: 1}, answer.refused or answer.content)


def _pass_rates(
    requests: Sequence[Request], said: Mapping[Named, Said], responses: Sequence[Written], verdicts: Sequence[Verdict]
) -> dict[str, float]:
    """The share of the answers to each prompt that are right, of those that could be judged."""
    known = Counter(request.row.id for request in requests if request.name in said)
    right: Counter[str] = Counter()
    for one, verdict in zip(responses, verdicts, strict=True):
        known[one.request.row.id] -= verdict.right is None
        right[one.request.row.id] += bool(verdict.right)
    return {prompt: right[prompt] / count for prompt, count in known.items() if count}


def _check_failed(config: CurateConfig, summary: Summary, failed: Mapping[str, int], unknown: int) -> None:
    """Raise when too many answers are missing or not judged, for then what is kept is kept by chance."""
    missing = summary.wanted - summary.answers
    if missing + unknown <= config.max_failed * summary.wanted:
        return
    why = next(iter(failed), "") or summary.examples.get("unverified", "")
    raise TeacherError(
        f"of {summary.wanted} answers {missing} are missing and {unknown} could not be judged, more than "
        f"max_failed={config.max_failed:g}: {why} The same command goes on from what was answered."
    )
