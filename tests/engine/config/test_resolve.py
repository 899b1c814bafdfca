"""From words and files to a config, or one clear sentence."""

from __future__ import annotations

import contextlib
import tempfile
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from engine.config.resolve import (
    changed_options,
    config_hash,
    content_hash,
    dump_yaml,
    flatten,
    parse_overrides,
    read_yaml_file,
    resolve,
)
from engine.config.sections import TaskConfig
from engine.errors import HeatsError
from engine.tasks.multiplication.config import Config

FAST = settings(
    max_examples=50, deadline=None, derandomize=True, database=None, suppress_health_check=[HealthCheck.too_slow]
)
SOME_VALUES: dict[str, st.SearchStrategy[Any]] = {
    "seed": st.integers(0, 2**31),
    "optim.lr": st.floats(1e-12, 10.0),
    "optim.eps": st.sampled_from([1e-8, 1e-30, 5e-324]),
    "train.max_steps": st.integers(1, 10**9),
    "train.deterministic": st.booleans(),
    "model.kind": st.sampled_from(["simple", "latent"]),
    "evaluation.best_metric": st.text(
        st.characters(exclude_categories=["Cs", "Cc"]).filter(lambda letter: letter not in "[{"), max_size=12
    ),
}
VALUES = st.fixed_dictionaries({}, optional=SOME_VALUES)


def _file(folder: Path, text: str) -> Path:
    path = folder / "given.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def test_overrides_keep_everything_after_the_first_equals_sign() -> None:
    words = ["optim.lr=3e-4", "evaluation.best_metric=a=b", "model.kind="]
    assert parse_overrides(words) == {"optim.lr": "3e-4", "evaluation.best_metric": "a=b", "model.kind": ""}


@pytest.mark.parametrize("word", ["optim.lr", "", "=3", "=", "--lr"])
def test_a_word_that_is_no_override_shows_how_to_write_one(word: str) -> None:
    with pytest.raises(HeatsError, match="key=value") as caught:
        parse_overrides([word])
    assert "train.max_steps=2000" in str(caught.value)


def test_a_key_given_twice_is_refused() -> None:
    with pytest.raises(HeatsError, match="`seed` is given twice"):
        parse_overrides(["seed=1", "seed=2"])


def test_text_becomes_the_type_of_its_option() -> None:
    config = resolve(Config, parse_overrides(["optim.lr=3e-4", "seed=7", "optim.fused=false", "model.kind=simple"]))
    assert (config.optim.lr, config.seed, config.optim.fused, config.model.kind) == (3e-4, 7, False, "simple")


def test_an_unknown_key_names_the_nearest_right_one_and_its_place() -> None:
    with pytest.raises(HeatsError) as caught:
        resolve(Config, {"model.dmodel": 8}, place="mine.yaml")
    assert str(caught.value) == "mine.yaml: unknown key `model.dmodel`; did you mean `model.d_model`?"
    assert caught.value.exit_code == 2


def test_a_key_without_its_section_names_the_full_key() -> None:
    with pytest.raises(HeatsError, match=r"did you mean `model\.d_model`"):
        resolve(Config, {"d_model": 8})


@pytest.mark.parametrize("value", ["latent", None, 3])
def test_a_section_where_an_option_belongs_names_one_of_its_options(value: object) -> None:
    with pytest.raises(HeatsError, match=r"set one of its options, such as `model\.kind`"):
        resolve(Config, {"model": value})


def test_a_key_like_no_other_says_where_all_are_listed() -> None:
    with pytest.raises(HeatsError, match="`heats tasks TASK` lists every option"):
        resolve(Config, {"xyzzy": 1})


@pytest.mark.parametrize(
    ("key", "value", "words"),
    [
        ("train.max_steps", "abc", "valid integer"),
        ("train.max_steps", 2.5, "valid integer"),
        ("train.max_steps", None, "valid integer"),
        ("optim.lr", "fast", "valid number"),
        ("optim.fused", "maybe", "valid boolean"),
        ("model.kind", 3, "choose one of simple, latent"),
        ("clip.kind", False, "choose one of dynamic, fixed, none"),
        ("train.max_steps", "[1]", "valid integer"),
    ],
)
def test_a_wrong_type_names_key_value_and_what_is_wanted(key: str, value: object, words: str) -> None:
    with pytest.raises(HeatsError) as caught:
        resolve(Config, {key: value})
    message = str(caught.value)
    assert f"`{key}` = " in message
    assert words in message
    assert "pydantic" not in message


@pytest.mark.parametrize("value", [True, False])
@pytest.mark.parametrize("key", ["train.max_steps", "seed", "optim.lr"])
def test_yes_and_no_are_no_numbers(key: str, value: bool) -> None:
    # `max_steps: yes` in a file would otherwise train for one step.
    with pytest.raises(HeatsError, match=f"`{key}` = {value}"):
        resolve(Config, {key: value})


@pytest.mark.parametrize("value", ["{a: 1}", {"a": 1}])
@pytest.mark.parametrize("key", ["train.device", "seed", "optim.fused"])
def test_a_mapping_where_a_single_value_belongs_is_refused(key: str, value: object) -> None:
    with pytest.raises(HeatsError, match=key):
        resolve(Config, {key: value})


def test_a_wrong_choice_lists_all_choices() -> None:
    with pytest.raises(HeatsError) as caught:
        resolve(Config, {"model.kind": "latnet"})
    assert str(caught.value) == "`model.kind` = 'latnet': is no choice; choose one of simple, latent"


def test_a_section_given_in_part_keeps_the_tasks_own_defaults() -> None:
    config = resolve(Config, {"train.log_every": 5, "clip.window": 7, "evaluation.patience": 1})
    assert (config.train.log_every, config.train.batch_size, config.train.max_steps) == (5, 256, 10_000)
    assert config.clip.kind == "dynamic", "the shared section says fixed; this task says dynamic"
    assert config.evaluation.best_metric == "val/exact_match"


def test_nothing_given_is_exactly_the_default() -> None:
    assert resolve(Config, {}) == Config()


def test_nested_and_dotted_keys_in_one_file_come_out_flat(tmp_path: Path) -> None:
    path = _file(tmp_path, "seed: 3\nmodel:\n  d_model: 64\n  num_heads: 4\noptim.lr: 1e-4\n")
    assert read_yaml_file(path) == {"seed": 3, "model.d_model": 64, "model.num_heads": 4, "optim.lr": "1e-4"}
    config = resolve(Config, read_yaml_file(path), place=str(path))
    assert config.optim.lr == 1e-4, "YAML 1.1 reads 1e-4 as text"
    assert config.model.d_model == 64


@pytest.mark.parametrize("text", ["", "# nothing yet\n", "---\n"])
def test_an_empty_file_gives_no_values(tmp_path: Path, text: str) -> None:
    assert read_yaml_file(_file(tmp_path, text)) == {}


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("seed: 1\nmodel:\n  kind: [\n", 4),
        ("seed: 1\n\tmodel: 2\n", 2),
        ("seed: 1\noptim: {lr: 3\n", 3),
        ("seed: !!python/name:os.system\n", 1),
        ("? {a: b}\n: 1\n", 1),
        ("seed: 1\ntrain:\n  max_steps: 5\nseed: 2\n", 4),
        ("train:\n  max_steps: 5\n  max_steps: 6\n", 3),
    ],
)
def test_a_broken_file_names_its_line(tmp_path: Path, text: str, line: int) -> None:
    path = _file(tmp_path, text)
    with pytest.raises(HeatsError) as caught:
        read_yaml_file(path)
    assert str(caught.value).startswith(f"{path}, line {line}: ")
    assert "\n" not in str(caught.value)


def test_a_key_both_nested_and_dotted_is_refused(tmp_path: Path) -> None:
    with pytest.raises(HeatsError, match=r"given\.yaml: `model.d_model` is given twice"):
        read_yaml_file(_file(tmp_path, "model.d_model: 8\nmodel: {d_model: 16}\n"))


@pytest.mark.parametrize(
    "text",
    [
        "- a\n- b\n",
        "just words\n",
        "seed: 2020-13-45\n",
        f"seed: {'9' * 5000}\n",
        "a: &x {b: *x}\n",
        "seed: 1\x00\n",
        "[" * 5000,
    ],
)
def test_a_file_that_makes_no_sense_is_refused_in_one_sentence(tmp_path: Path, text: str) -> None:
    path = _file(tmp_path, text)
    with pytest.raises(HeatsError, match=r"given\.yaml"):
        read_yaml_file(path)


def test_a_file_that_is_missing_a_folder_or_binary_is_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(HeatsError, match=r"none\.yaml: there is no such config file"):
        read_yaml_file(tmp_path / "none.yaml")
    with pytest.raises(HeatsError, match="can't be read"):
        read_yaml_file(tmp_path)
    (tmp_path / "binary.yaml").write_bytes(b"\xff\xfe\xfd\x80")
    with pytest.raises(HeatsError, match=r"binary\.yaml: can't be read"):
        read_yaml_file(tmp_path / "binary.yaml")


@given(text=st.text(max_size=60))
@FAST
def test_any_text_as_a_config_file_is_read_or_refused(text: str) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "any.yaml"
        path.write_bytes(text.encode("utf-8", "surrogatepass"))
        with contextlib.suppress(HeatsError):
            assert isinstance(resolve(Config, read_yaml_file(path)), Config)


@given(key=st.sampled_from(["seed", "train.device", "optim.lr", "optim.fused"]), value=st.text(max_size=30))
@FAST
def test_any_text_as_a_value_is_taken_or_refused(key: str, value: str) -> None:
    with contextlib.suppress(HeatsError):
        assert resolve(Config, {key: value})


@given(values=VALUES)
@FAST
def test_a_stored_config_reads_back_equal(values: dict[str, Any]) -> None:
    config = resolve(Config, values)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "config.yaml"
        path.write_bytes(dump_yaml(config).encode())
        again = resolve(Config, read_yaml_file(path))
    assert again == config
    assert config_hash(again) == config_hash(config)


@given(first=VALUES, second=VALUES)
@FAST
def test_config_hashes_are_equal_exactly_for_equal_configs(first: dict[str, Any], second: dict[str, Any]) -> None:
    one, other = resolve(Config, first), resolve(Config, second)
    assert (config_hash(one) == config_hash(other)) == (one == other)
    assert bool(changed_options(one, other)) == (one != other)


def test_the_config_hash_is_the_same_in_every_session() -> None:
    # Study cells are known by it: a change here would train everything anew.
    assert config_hash(TaskConfig()) == config_hash(TaskConfig(seed=0))
    by_text, by_number = resolve(Config, {"optim.lr": "1e-3"}), resolve(Config, {"optim.lr": 0.001})
    assert config_hash(by_text) == config_hash(by_number) == config_hash(Config())
    assert len(config_hash(Config())) == 16


def test_one_option_more_or_less_changes_the_hash() -> None:
    hashes = {config_hash(resolve(Config, {key: value})) for key, value in (("seed", 1), ("model.d_model", 8))}
    assert len(hashes | {config_hash(Config())}) == 3


def test_what_changed_is_listed_with_both_values() -> None:
    before, after = resolve(Config, {}), resolve(Config, {"train.max_steps": 5, "model.kind": "simple"})
    assert changed_options(before, after) == {
        "train.max_steps": {"from": 10_000, "to": 5},
        "model.kind": {"from": "latent", "to": "simple"},
    }


def test_a_stored_config_is_plain_yaml_in_the_order_of_declaration() -> None:
    content = yaml.safe_load(dump_yaml(Config()))
    assert list(content)[:3] == ["seed", "train", "optim"]
    assert flatten(content) == flatten(Config().model_dump())


def test_configs_from_before_there_were_several_processes_have_the_same_hash() -> None:
    values = Config().model_dump()
    older = {name: section for name, section in values.items() if name != "parallel"}
    assert content_hash(older) == config_hash(Config())
    assert config_hash(resolve(Config, {"parallel.procs": 2})) != config_hash(Config())
