"""Which files travel with a job."""

import pytest

from tests.cli.submit.jobs import REWARD, upload, write
from unigrpo.cli import packages, submit_files
from unigrpo.cli.submit_files import stage


def test_what_can_be_made_again_weights_and_keys_stay_behind(folder):
    kept = ["a.py", "data/rows.jsonl", "data/small.parquet", "pkg/runs/of_mine.py"]
    left = [
        *(".git/HEAD", ".venv/bin/python", "pkg/__pycache__/a.pyc", "wandb/x/log", "runs/a/metrics.jsonl"),
        *("model/model.safetensors", "w.pt", "w.bin", "old/checkpoint-2/x.json", ".env", ".ruff_cache/x"),
    ]
    for name in kept + left:
        write(folder / name)
    write(folder / "data/large.parquet", submit_files.LARGE_TABLE + 1)
    found = upload(folder)
    assert sorted(found.files) == sorted([*kept, "mine.py"])
    assert {"data/large.parquet", "runs/", ".git/", ".env"} <= set(found.left_out)
    assert found.summary().startswith(f"5 files, {sum(found.files.values()) / 1e6:.3g} MB, of {folder}, without ")


def test_ignore_files_and_patterns_leave_out_and_take_back_as_git_reads_them(folder):
    for name in ("a/keep.txt", "a/drop.txt", "b/drop.txt", "secret.txt", "small.pt", "out/of/run.txt"):
        write(folder / name)
    write(folder / ".gitignore", "secret.txt\n")
    write(folder / "a/.rayignore", "/drop.txt\n")
    names = set(upload(folder, "!small.pt", "/b/", output="out/of").files)
    assert names == {"mine.py", "a/keep.txt", "small.pt"}


def test_what_is_staged_is_what_was_counted_and_links_bring_what_they_lead_to(folder, tmp_path):
    write(folder / "w.pt")
    write(folder / "pkg/a.py", "x = 1\n")
    write(folder / ".gitignore", "*.py\n!mine.py\n!a.py\n")
    (folder / "linked").symlink_to(tmp_path / "elsewhere")
    (folder / "pkg/round").symlink_to(folder)
    found = upload(folder)
    staged = tmp_path / "staged"
    staged.mkdir()
    stage(found, staged, {"job.yaml": "steps: 1\n"})
    files = {path.relative_to(staged).as_posix(): path.read_text() for path in staged.rglob("*") if path.is_file()}
    expected = {"mine.py": REWARD, "pkg/a.py": "x = 1\n", "linked/data.jsonl": "{}\n", "job.yaml": "steps: 1\n"}
    assert files == expected
    assert set(found.files) | {"job.yaml"} == set(files)


def test_too_much_names_the_three_largest_files(folder, monkeypatch):
    monkeypatch.setattr(submit_files, "MAX_BYTES", 5000)
    for index, size in enumerate((1000, 4000, 3000, 2000)):
        write(folder / f"f{index}", size)
    with pytest.raises(ValueError, match=r"The largest are f1 \(0\.0 MB\), f2 \(0\.0 MB\), f3 \(0\.0 MB\): leave"):
        upload(folder).check()
    upload(folder, "/f1", "/f2").check()


def test_a_home_folder_is_refused_before_it_is_walked_to_the_end(folder, monkeypatch):
    monkeypatch.setattr(submit_files, "MAX_FILES", 3)
    for index in range(9):
        write(folder / str(index))
    with pytest.raises(ValueError, match="holds more than 3 files to upload: name a smaller --working-dir"):
        upload(folder)


@pytest.mark.parametrize("name", ["rewards.py", "actors/__init__.py", "unigrpo.py"])
def test_a_file_that_would_hide_a_package_on_the_cluster_is_refused(folder, name):
    write(folder / name)
    with pytest.raises(ValueError, match=f"{name} would hide the package '{name.split('.')[0].split('/')[0]}'"):
        upload(folder).check()
    top = name.split("/")[0]
    upload(folder, f"/{top}").check()


def test_a_checkout_of_unigrpo_travels_whole_so_that_the_job_runs_its_code(folder):
    for name in ("unigrpo", *packages.PACKAGES):
        write(folder / name / "__init__.py", "")
    found = upload(folder)
    found.check()
    assert found.is_checkout
    assert not upload(folder, "/rewards/").is_checkout
