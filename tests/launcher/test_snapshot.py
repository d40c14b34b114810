"""The copy of the working tree that a sweep's jobs run: what is in it, when there is a new one, what a job refuses."""

from __future__ import annotations

import errno
import os
import subprocess
from collections.abc import Iterable
from pathlib import Path

import pytest

from vsd.run import provenance
from vsd.run.cluster import snapshot


def git(root: Path, *words: str) -> None:
    subprocess.run(["git", "-c", "user.name=a", "-c", "user.email=a@b.c", *words], cwd=root, check=True)


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A checkout as small as one can be, of which vsd seems to be imported."""
    found = tmp_path / "checkout"
    files = {
        "vsd/__init__.py": "",
        "vsd/method.py": "one",
        "vsd/zoo/weights/a/model.safetensors": "weights",
        "vsd/zoo/small_events/clips/a.mp4": "clip",
        "conf/config.yaml": "gamma: 5",
        ".gitignore": "ignored",
        "ignored": "",
    }
    for name, text in files.items():
        (found / name).parent.mkdir(parents=True, exist_ok=True)
        (found / name).write_text(text)
    (found / "vsd" / "conf").symlink_to("../conf")
    git(found, "init", "-q")
    git(found, "add", "-A")
    git(found, "commit", "-q", "-m", "all")
    (found / "new.py").write_text("new")
    monkeypatch.setattr(snapshot, "PACKAGE", found / "vsd")
    return found


def test_it_holds_what_git_does_not_ignore_and_links_to_weights_and_clips(root: Path, tmp_path: Path) -> None:
    code = snapshot.freeze(tmp_path / "sweep")
    copy = Path(code.folder)
    assert copy == tmp_path / "sweep" / ".code" / code.digest
    assert (copy / "vsd" / "method.py").read_text() == "one"
    assert (copy / "new.py").read_text() == "new"
    assert (copy / "vsd" / "conf" / "config.yaml").resolve() == copy / "conf" / "config.yaml"
    assert not (copy / "ignored").exists()
    assert (copy / "vsd/zoo/weights/a/model.safetensors").resolve() == root / "vsd/zoo/weights/a/model.safetensors"
    assert code.size == sum(path.lstat().st_size for path in copy.rglob("*") if path.name != snapshot.MARK) - sum(
        (copy / name).lstat().st_size for name in snapshot.DATA
    ) - sum(path.lstat().st_size for path in copy.rglob("*") if path.is_dir() and not path.is_symlink())
    assert code.dirty
    assert "new, in the snapshot alone: new.py" in code.diff


def test_an_edit_makes_another_and_leaves_the_first_alone(root: Path, tmp_path: Path) -> None:
    first = snapshot.freeze(tmp_path)
    assert snapshot.freeze(tmp_path) == first
    (root / "vsd" / "method.py").write_text("two")
    second = snapshot.freeze(tmp_path)
    assert second.digest != first.digest
    assert "-one" in second.diff
    assert (Path(first.folder) / "vsd" / "method.py").read_text() == "one"
    assert (Path(second.folder) / "vsd" / "method.py").read_text() == "two"
    same = [os.stat(Path(code.folder) / "conf" / "config.yaml").st_ino for code in (first, second)]
    assert same[0] == same[1]  # what did not change takes no room twice
    assert same[0] != os.stat(root / "conf" / "config.yaml").st_ino  # and is not what will be edited


@pytest.mark.parametrize("name", ["vsd/method.py", "conf/config.yaml", "vsd/zoo/weights/a/model.safetensors"])
def test_a_job_knows_its_code_from_another(
    name: str, root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    code = snapshot.freeze(tmp_path)
    monkeypatch.setattr(snapshot, "PACKAGE", Path(code.folder) / "vsd")
    assert snapshot.current_digest() == code.digest
    (Path(code.folder) / name).write_text("edited")
    assert snapshot.current_digest() != code.digest


def test_in_it_the_commit_is_that_of_the_submission(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    code = snapshot.freeze(root / "outputs")  # inside of the checkout, whose commit will be another
    git(root, "commit", "-q", "--allow-empty", "-m", "later")
    monkeypatch.setattr(provenance, "PACKAGE", Path(code.folder) / "vsd")
    assert provenance.git_state(Path(code.folder) / "vsd") == {"commit": code.commit, "dirty": True}


def test_what_is_edited_while_it_is_copied_is_no_reason_to_refuse(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And neither is what vanishes."""
    copy_file = snapshot._copy_file

    def edited(source: Path, target: Path, earlier: Iterable[Path]) -> None:
        copy_file(source, target, earlier)
        (root / "new.py").unlink(missing_ok=True)
        if source.name == "method.py":
            source.write_text("edited")

    monkeypatch.setattr(snapshot, "_copy_file", edited)
    code = snapshot.freeze(tmp_path / "sweep")
    assert [path.name for path in (tmp_path / "sweep" / ".code").iterdir()] == [code.digest]
    assert not (Path(code.folder) / "new.py").exists()
    monkeypatch.setattr(snapshot, "PACKAGE", Path(code.folder) / "vsd")
    assert snapshot.current_digest() == code.digest


def test_runs_that_git_does_not_ignore_are_no_code(root: Path) -> None:
    files = ("sweep/0/samples.jsonl", "other/.submitted/0.json", "other/0/samples.jsonl", "run/provenance.json",
             "run/.hydra/config.yaml", "serial/multirun.yaml", "serial/0/samples.jsonl", "notes/new.py")  # fmt: skip
    for name in files:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text("{}")
    (root / "kept").mkdir()
    (root / "kept" / "provenance.json").write_text("{}")
    git(root, "add", "kept")  # a run that somebody has made a part of the project
    first = snapshot.freeze(root / "sweep")
    copy = Path(first.folder)
    assert [name for name in files if (copy / name).exists()] == ["notes/new.py"]
    assert (copy / "kept" / "provenance.json").exists()
    assert "sweep" not in first.diff
    (root / "sweep" / "0" / "samples.jsonl").write_text("more")
    assert snapshot.freeze(root / "sweep") == first
    assert snapshot.freeze(root).digest == first.digest  # out=.


def test_without_hard_links_it_is_copied(root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(source: Path, target: Path) -> None:
        raise OSError(errno.EPERM, "no hard links here")

    snapshot.freeze(tmp_path)
    (root / "new.py").write_text("newer")
    monkeypatch.setattr(os, "link", refuse)
    copy = Path(snapshot.freeze(tmp_path).folder)
    assert (copy / "vsd" / "method.py").read_text() == "one"


def test_a_large_file_is_left_out_and_named(root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(snapshot, "LARGEST", 100)
    (root / "film.mp4").write_text(101 * "x")
    code = snapshot.freeze(tmp_path)
    assert code.left_out == ("film.mp4",)
    assert not (Path(code.folder) / "film.mp4").exists()


def test_an_installed_package_is_not_copied(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also in a virtual environment within a checkout."""
    package = tmp_path / ".venv" / "vsd"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text("")
    (tmp_path / ".gitignore").write_text(".venv")
    git(tmp_path, "init", "-q")
    monkeypatch.setattr(snapshot, "PACKAGE", package)
    code = snapshot.freeze(tmp_path / "sweep")
    assert (code.folder, code.commit) == ("", None)
    assert snapshot.current_digest() == code.digest
    (package / "__init__.py").write_text("another version")
    assert snapshot.current_digest() != code.digest
