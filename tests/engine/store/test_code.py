"""The recorded code is all the code: what git's commit lacks is in the patch, and nothing of the repository changes."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from engine.store.code import MAX_FILE_BYTES, code_state
from tests.engine.store.made import make_store
from tests.engine.store.repositories import git, make_repository, write_files

FILES: dict[str, str | bytes] = {"pkg/__init__.py": "", "pkg/train.py": "lr = 1\n", ".gitignore": "ignored/\n*.log\n"}


@pytest.fixture
def top(tmp_path: Path) -> Path:
    make_repository(tmp_path / "code", FILES)
    return tmp_path / "code"


def names_in(patch: bytes) -> set[str]:
    return {
        line.rpartition(" b/")[2] for line in patch.decode(errors="replace").splitlines() if line[:11] == "diff --git "
    }


def test_the_patch_brings_back_changed_and_untracked_files(top: Path, tmp_path: Path) -> None:
    write_files(top, {"pkg/train.py": "lr = 2\n", "pkg/ne w ü.py": "import os\n", "pkg/blob.bin": bytes(range(256))})
    before = git(top, "status", "--porcelain"), (top / ".git/index").read_bytes()
    state = code_state(top / "pkg")
    assert (git(top, "status", "--porcelain"), (top / ".git/index").read_bytes()) == before
    assert state.commit == git(top, "rev-parse", "HEAD")
    assert state.left_out == ()
    (tmp_path / "p").write_bytes(state.patch)
    git(tmp_path, "clone", "-q", str(top), "again")
    git(tmp_path / "again", "apply", str(tmp_path / "p"))
    for name in ("pkg/train.py", "pkg/ne w ü.py", "pkg/blob.bin"):
        assert (tmp_path / "again" / name).read_bytes() == (top / name).read_bytes()


def test_ignored_large_secret_and_foreign_files_are_left_out(top: Path) -> None:
    write_files(
        top,
        {
            "ignored/a.py": "x", "a.log": "x", "big.bin": b"x" * (MAX_FILE_BYTES + 1), ".env": "KEY=1", "id.pem": "x",
            "small.py": "x\n", "venv/pyvenv.cfg": "", "venv/lib/module.py": "x", "other/.store.json": "{}",
            "other/run/config.yaml": "x",
        },
    )  # fmt: skip
    (top / "inner").mkdir()
    make_repository(top / "inner", {"a": "b"})
    state = code_state(top / "pkg")
    assert names_in(state.patch) == {"small.py"}
    reasons = "\n".join(state.left_out)
    for words in (
        f"big.bin ({MAX_FILE_BYTES + 1:,} bytes)",
        ".env (may hold secrets)",
        "id.pem (may",
        "inner/ (a repo",
    ):
        assert words in reasons
    assert len(state.left_out) == 4


def test_untracked_files_together_have_a_bound(top: Path) -> None:
    write_files(top, {f"data{number:02}.bin": b"x" * MAX_FILE_BYTES for number in range(12)})
    state = code_state(top)
    assert len(names_in(state.patch)) == 10
    assert [name.partition(" ")[2] for name in state.left_out] == ["(too much in all)"] * 2


@pytest.mark.parametrize("name", ["runs", "my runs [1]*", "#runs"])
def test_the_store_is_no_code(top: Path, name: str) -> None:
    store = make_store(top / name)
    write_files(store.root, {"run/run.json": "{}"})
    (store.root / ".store.json").unlink()  # found by its place, not by its mark
    assert code_state(top / "pkg", store=store.root).patch == b""


def test_a_linked_work_tree_names_the_repository_that_stays(top: Path, tmp_path: Path) -> None:
    git(top, "worktree", "add", "-q", "--detach", str(tmp_path / "linked"))
    write_files(tmp_path / "linked", {"new.py": "x\n"})
    state = code_state(tmp_path / "linked" / "pkg")
    assert state.repository == str(top)
    assert names_in(state.patch) == {"new.py"}


def test_where_imports_start_is_found(tmp_path: Path) -> None:
    make_repository(tmp_path / "r", {"src/pkg/__init__.py": "", "src/pkg/task/__init__.py": "", "plain/a.py": ""})
    assert code_state(tmp_path / "r/src/pkg/task").import_root == "src"
    assert code_state(tmp_path / "r/plain").import_root == "plain"


def test_git_variables_of_a_hook_do_not_mislead(top: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make_repository(tmp_path / "other", {"a": "b"})
    monkeypatch.setenv("GIT_DIR", str(tmp_path / "other/.git"))
    monkeypatch.setenv("GIT_INDEX_FILE", str(tmp_path / "nowhere"))
    found = code_state(top)
    monkeypatch.undo()
    assert found.commit == git(top, "rev-parse", "HEAD")


def test_a_patch_does_not_depend_on_a_persons_settings(top: Path) -> None:
    write_files(top, {"pkg/train.py": "lr = 2\n", "new.py": "x\n"})
    plain = code_state(top).patch
    for key, value in (("diff.noprefix", "true"), ("color.ui", "always"), ("diff.external", "false")):
        git(top, "config", key, value)
    assert code_state(top).patch == plain


def test_an_edit_in_the_second_of_the_commit_is_in_the_patch_too(top: Path) -> None:
    """Same size, same time: git sees such an edit by its index's own time, which the copy must keep."""
    second = 1_700_000_000
    git(top, "config", "core.trustctime", "false")
    os.utime(top / "pkg/train.py", (second, second))
    git(top, "update-index", "--refresh")
    os.utime(top / ".git/index", (second, second))
    write_files(top, {"pkg/train.py": "lr = 2\n", "new.py": "x\n"})
    os.utime(top / "pkg/train.py", (second, second))
    assert names_in(code_state(top).patch) == {"new.py", "pkg/train.py"}


def test_no_commit_no_repository_no_git(top: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "empty").mkdir()
    git(tmp_path / "empty", "init", "-q")
    assert code_state(tmp_path / "empty").commit is None
    assert code_state(tmp_path).commit is None
    assert code_state(None).commit is None
    monkeypatch.setenv("PATH", "/nowhere")
    assert code_state(top).commit is None
