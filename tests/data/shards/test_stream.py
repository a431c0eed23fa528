"""Order, epochs and resuming: whatever reads it, and wherever it goes on, the same rows come in the same order."""

import json
from collections import Counter

import pytest

from tests.data.shards.conftest import epoch, names
from tests.data.shards.write import captioned, png, write_parquet, write_tar, write_tars
from unigrpo.config import DataSection
from unigrpo.data.shards.windows import Windows
from unigrpo.errors import ConfigError, DataError


@pytest.fixture(scope="module")
def tars(tmp_path_factory):
    """Eleven shards of seven captioned pictures."""
    path = write_tars(tmp_path_factory.mktemp("tars"), shards=11, each=7)
    return DataSection(task="image", layout="caption", path=path)


def test_an_epoch_has_every_row_once_and_the_next_has_another_order(streamed, tars):
    stream = streamed(tars)
    first, second = epoch(stream), epoch(stream)
    assert sorted(first) == sorted(second) == sorted(f"{n // 7:05}/{n:06}" for n in range(77))
    assert first != second
    assert epoch(streamed(tars, seed=4)) != first


def test_without_shuffling_rows_come_in_the_order_of_the_lanes(streamed, tars):
    from dataclasses import replace

    still = streamed(replace(tars, shuffle=False))
    first = epoch(still)
    assert first == epoch(still)
    assert first[:8] == [f"{lane:05}/{7 * lane:06}" for lane in range(8)]


@pytest.mark.parametrize("workers", [1, 3])
def test_the_order_does_not_depend_on_the_processes_that_read(windows, tars, workers):
    assert names(windows(tars, workers), range(45)) == names(windows(tars), range(45))


@pytest.mark.parametrize("step", [0, 1, 5, 6, 18, 19, 20, 40])
def test_a_run_goes_on_at_any_step(windows, tars, step):
    whole = windows(tars)
    every = names(whole, range(45))
    cut = windows(tars)
    names(cut, range(step))
    state = json.loads(json.dumps(cut.state(step)))
    again = windows(tars, workers=2)
    again.restore(state)
    assert names(again, range(step, 45)) == every[step:]
    assert json.loads(json.dumps(again.state(45))) == json.loads(json.dumps(whole.state(45)))
    assert names(windows(tars), [step]) == [every[step]]
    assert names(whole, [3, 1]) == [every[3], every[1]]


def test_an_epoch_of_batches_holds_no_row_twice(windows, tars):
    found = [name for batch in names(windows(tars), range(19)) for name in batch]
    assert len(set(found)) == len(found) == 76


def test_ranks_share_the_rows(streamed, tars):
    parts = [epoch(streamed(tars, rank=rank, world=3)) for rank in range(3)]
    assert sorted(name for part in parts for name in part) == sorted(epoch(streamed(tars)))
    with pytest.raises(ConfigError, match="has 11 parts for 12 ranks"):
        streamed(tars, rank=0, world=12)


def test_a_parquet_file_is_streamed_by_row_groups(windows, tmp_path):
    rows = [{"prompt": f"{n}+1=", "response": str(n + 1)} for n in range(50)]
    path = write_parquet(tmp_path / "a.parquet", rows, group=5)
    found = windows(DataSection(path=str(path), template="plain", streaming=True))
    assert {name for batch in names(found, range(12)) for name in batch} <= {f"a:{n}" for n in range(1, 51)}
    assert len({name for batch in names(found, range(12)) for name in batch}) == 48


def test_other_files_than_before_are_refused(streamed, tars, tmp_path):
    state = streamed(tars).state()
    other = DataSection(task="image", layout="caption", path=write_tars(tmp_path, shards=2, each=1))
    with pytest.raises(ConfigError, match="has other files, or other parts, than when the run was saved"):
        streamed(other).restore(state)


def broken_shards(tmp_path, **fields) -> DataSection:
    """A sound shard, a truncated one, an empty one, and one with a missing and a broken picture."""
    write_tar(tmp_path / "0.tar", captioned(range(4)))
    cut = write_tar(tmp_path / "1.tar", captioned(range(4, 8)))
    cut.write_bytes(cut.read_bytes()[:6000])
    write_tar(tmp_path / "2.tar", {})
    flawed = {"8": {"txt": "no picture"}, "9": {"png": png(9)[:60], "txt": "cut"}}
    write_tar(tmp_path / "3.tar", flawed | captioned([10]))
    return DataSection(task="image", layout="caption", path=f"{tmp_path}/*.tar", **fields)


def test_broken_samples_are_left_out_counted_and_named(streamed, tmp_path):
    stream = streamed(broken_shards(tmp_path, max_broken=0.5), workers=1)
    assert len(epoch(stream)) == 4 + 2 + 1
    assert (stream.tally.seen, stream.tally.broken) == (7 + 4, 4)
    told = " ".join(stream.tally.messages)
    for part in ("1.tar: damaged after sample 000005", "2.tar: holds no samples", "3.tar sample 8", "3.tar sample 9"):
        assert part in told


def test_more_broken_samples_than_may_be_stop_the_run(streamed, tmp_path):
    with pytest.raises(DataError, match=r"4 of 11 rows are broken, more than data\.max_broken=0\.3\. The last one"):
        epoch(streamed(broken_shards(tmp_path, max_broken=0.3)))


def test_the_first_broken_sample_stops_a_run_that_allows_none(streamed, tmp_path):
    with pytest.raises(DataError, match=r"\.tar"):
        epoch(streamed(broken_shards(tmp_path)))


def test_a_run_goes_on_behind_broken_samples(streamed, tmp_path):
    section = broken_shards(tmp_path, max_broken=0.5)
    every = epoch(streamed(section))
    for count in range(len(every)):
        cut, again = streamed(section), streamed(section)
        for _ in range(count):
            cut.next()
        again.restore(json.loads(json.dumps(cut.state())))
        assert epoch(again) == every[count:]
        assert again.tally.broken == 4


def test_data_of_which_nothing_is_left_is_an_error(streamed, tmp_path):
    section = DataSection(path=f"{tmp_path}/a.jsonl", streaming=True, template="plain")
    section.filter.min_tokens = 99
    (tmp_path / "a.jsonl").write_text('{"prompt": "a", "response": "b"}\n')
    with pytest.raises(DataError, match=r"no rows that can be used: of 1, 0 are broken and 1 left out \{'min_tokens'"):
        epoch(streamed(section))


def test_fewer_rows_than_a_batch_are_an_error(windows, tmp_path):
    (tmp_path / "a.jsonl").write_text('{"prompt": "a", "response": "b"}\n' * 3)
    with pytest.raises(ConfigError, match=r"batch_size is 4, but the data has 3 examples"):
        windows(DataSection(path=f"{tmp_path}/a.jsonl", streaming=True, template="plain")).batch(0)


def mixed(streamed, tmp_path, workers=0) -> Windows:
    """Three times as many rows of one file as of the other."""
    sets = {}
    for number, name in enumerate(("often", "seldom")):
        path = tmp_path / f"{name}.jsonl"
        path.write_text("".join(f'{{"prompt": "{name}{n}", "response": "b"}}\n' for n in range(40)))
        section = DataSection(path=str(path), streaming=True, template="plain")
        sets[name] = streamed(section, workers, seed=number)
    return Windows(sets, {"often": 3.0, "seldom": 1.0}, batch_size=4, size=40, seed=5)


def test_a_mix_draws_each_sample_by_weight(streamed, tmp_path):
    found = mixed(streamed, tmp_path)
    drawn = Counter(name for step in range(500) for name, _ in found.batch(step))
    # 2000 draws with p = 1/4 deviate by 19.4; four deviations.
    assert abs(drawn["seldom"] - 500) < 4 * 19.4
    rows = Counter(draft.id for step in range(500) for name, draft in found.batch(step) if name == "often")
    assert max(rows.values()) - min(rows.values()) <= 2


def test_a_mix_goes_on_where_it_was(streamed, tmp_path):
    every = names(mixed(streamed, tmp_path), range(40))
    cut = mixed(streamed, tmp_path, workers=1)
    names(cut, range(23))
    again = mixed(streamed, tmp_path)
    again.restore(json.loads(json.dumps(cut.state(23))))
    assert names(again, range(23, 40)) == every[23:]


def test_a_process_that_is_killed_is_named(streamed, tars):
    stream = streamed(tars, workers=1, ahead=1)
    stream.next()
    stream.pool.workers[0].process.kill()
    with pytest.raises(DataError, match=r"a process that reads data ended with status -9"):
        epoch(stream)


def test_processes_end_with_their_pool(streamed, tars):
    stream = streamed(tars, workers=2)
    stream.next()
    stream.pool.close()
    assert [worker.process.returncode for worker in stream.pool.workers] == [0, 0]
