"""Finding tasks by name."""

from __future__ import annotations

import pytest

from engine.config.tasks import config_class, package_folder, task_package, task_packages
from engine.errors import HeatsError


def test_the_shipped_task_is_found_by_its_entry_point() -> None:
    assert task_packages()["multiplication"] == "engine.tasks.multiplication"


def test_a_misspelt_task_names_the_right_one() -> None:
    with pytest.raises(HeatsError, match="unknown task `multiplicaton`; did you mean `multiplication`") as caught:
        config_class("multiplicaton")
    assert caught.value.exit_code == 2


def test_a_task_like_no_other_lists_what_there_is() -> None:
    with pytest.raises(HeatsError, match=r"there are: .*multiplication"):
        task_package("zzz")


def test_a_tasks_folder_holds_its_code() -> None:
    folder = package_folder("multiplication")
    assert folder is not None
    assert (folder / "task.py").is_file()
