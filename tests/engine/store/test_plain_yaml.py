"""The quick reader of config files says what PyYAML says."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from engine.config.resolve import dump_yaml, flatten, read_yaml_file
from engine.store import plain_yaml
from engine.store.plain_yaml import YamlValues
from engine.tasks.multiplication.config import Config


def read(text: str | bytes) -> dict[str, Any] | None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "config.yaml"
        path.write_bytes(text.encode() if isinstance(text, str) else text)
        return YamlValues().read(path)


def test_a_config_of_ours_needs_no_yaml_reader(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "config.yaml"
    path.write_text(dump_yaml(Config()))
    expected = read_yaml_file(path)
    monkeypatch.setattr(plain_yaml, "_by_pyyaml", lambda text: pytest.fail("it took the slow way"))
    assert YamlValues().read(path) == expected


@pytest.mark.parametrize(
    "text",
    [
        "a: 1\nb:\n  c: x\n  d:\n    e: true\nf: 1.0e-08\n",
        "a: yes\nb: No\n",
        "a: 1e-3\n",
        "a: 0o17\nb: 017\n",
        "a: 12:30\n",
        "a: '1'\nb: \"x y\"\n",
        "a:\n- 1\n- two\nb: 2\n",
        "a:\n  - 1\n  - x\n",
        "a:\n- b: 1\n",
        "a: [1, 2]\n",
        "a: {b: 1}\n",
        "a: x # comment\n",
        "# comment\na: 1\n",
        "a: cuda:0\n",
        "a: two words\n",
        "a: ~\nb:\nc: null\n",
        "y: 1\n",
        "a: &x 1\nb: *x\n",
        "a:\n  b: 1\n c: 2\n",
        "a: 2026-01-01\n",
        "a: |\n  text\n",
        "a.b: 1\n",
        "a: -0.5\nb: -3\nc: .inf\n",
        "- a\n",
        "a: [\n",
        "a: 1\na: 2\n",
        "? a\n: b\n",
        "a: 1\n\nb: 2\n",
        "---\na: 1\n",
        "a: 123456789012345678901234567890\n",
        "a: '",
        "a: []\nb: {}\n",
        "a:\n  b:\n    c: 1\nd: 2\n",
    ],
)
def test_it_says_what_pyyaml_says(text: str) -> None:
    try:
        content = yaml.safe_load(text)
    except yaml.YAMLError:
        assert read(text) is None
        return
    expected = flatten(content) if isinstance(content, dict) else None
    assert read(text) == expected


VALUES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(10**6), 10**6),
    st.floats(allow_nan=False),
    st.text("abnyo01.:-~ #'", max_size=6),
    st.lists(st.integers(0, 9), max_size=3),
)


@given(
    st.dictionaries(
        st.text("abyn_", min_size=1, max_size=4),
        VALUES | st.dictionaries(st.text("abc", min_size=1), VALUES, min_size=1),
    )
)
def test_whatever_we_write_is_read_back(content: dict[str, Any]) -> None:
    assert read(yaml.safe_dump(content, sort_keys=False, default_flow_style=False)) == flatten(content)


@given(st.binary(max_size=60))
def test_damage_never_raises(content: bytes) -> None:
    found = read(content)
    assert found is None or all(isinstance(key, str) for key in found)


def test_a_missing_file_has_no_values(tmp_path: Path) -> None:
    assert YamlValues().read(tmp_path / "none.yaml") is None
