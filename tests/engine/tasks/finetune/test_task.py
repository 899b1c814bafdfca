"""The task: exact on resume, started from runs and saved models, and judged by a perplexity that is right."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch.nn import functional

from engine.config.resolve import resolve
from engine.errors import HeatsError
from engine.store.checkpoint_export import apply_export, plan_export
from engine.store.checkpoints import choose, scan
from engine.store.compare import checkpoint_differences
from engine.store.records import read_events
from engine.tasks.finetune.config import Config
from engine.tasks.finetune.task import Finetune
from engine.tasks.text.models import described, gpt2_config, new_model
from engine.tasks.text.tokenizer import train_tokenizer
from engine.tasks.text.tokens import Rows, token_stream
from engine.train.checkpoint import Loaded, restore_model
from engine.train.evaluation import evaluate
from engine.train.precision import Precision
from tests.engine.tasks.finetune.made import TEXT, TINY, make_run, tiny, train_attempt, trained

CPU = torch.device("cpu")


def _evaluated(task: Finetune, model: Any, split: str = "val") -> dict[str, float]:
    return evaluate(task, model, split, CPU, Precision("fp32", CPU))


def _built(config: Config, folder: Path) -> tuple[Finetune, Any]:
    task = Finetune(config)
    task.store = folder
    task.build_data()
    torch.manual_seed(config.seed)
    return task, task.build_model()


@pytest.mark.parametrize(
    "values",
    [
        {"model.dropout": 0.1},
        {"optim.name": "muon"},
        {"optim.name": "lion", "optim.lr": 0.0005},
        {"ablation.kind": "mean", "train.accumulation": 2},
    ],
    ids=lambda values: "-".join(str(value) for value in values.values()),
)
def test_a_resume_changes_no_bit(tmp_path: Path, values: dict[str, Any]) -> None:
    config = tiny(tmp_path, values)
    straight, broken = (make_run(tmp_path / "runs", config) for _ in range(2))
    train_attempt(straight, config)
    assert train_attempt(broken, config, stop_at=7)[0].word == "stopped"
    assert train_attempt(broken, config)[0].word == "finished"
    last, its = scan(straight)[-1].folder, scan(broken)[-1].folder
    assert last.name == its.name
    assert checkpoint_differences(last, its) == []


def test_a_run_starts_from_another_with_its_tokenizer_and_no_longer_needs_it_afterwards(tmp_path: Path) -> None:
    first, pretrained = trained(tmp_path, {"train.max_steps": 8})
    config = tiny(tmp_path, {"model.from_run": first.id, "data.vocabulary": 280, "model.size": "small"})
    run = make_run(tmp_path / "runs", config)
    task = Finetune(config)
    task.store, task.folder = run.folder.parent, run.folder
    task.build_data()
    model = task.build_model()
    task.warm_start(model)
    assert task.text.tokenizer.digest == pretrained.text.tokenizer.digest
    weights = Loaded(scan(first)[-1]).model
    assert torch.equal(model.state_dict()["transformer.wte.weight"], weights["transformer.wte.weight"])
    train_attempt(run, config, stop_at=4)
    first.folder.rename(tmp_path / "gone")
    outcome, _ = train_attempt(run, config)
    assert outcome.word == "finished"


def test_scratch_takes_the_shape_and_not_the_weights(tmp_path: Path) -> None:
    first, _ = trained(tmp_path, {"train.max_steps": 4})
    task, model = _built(tiny(tmp_path, {"model.from_run": first.id, "model.init": "scratch"}), tmp_path / "runs")
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    task.warm_start(model)
    assert all(torch.equal(before[name], tensor) for name, tensor in model.state_dict().items())


def test_a_model_saved_by_transformers_is_fine_tuned(tmp_path: Path) -> None:
    source, saved = _built(tiny(tmp_path), tmp_path)
    saved.save_pretrained(tmp_path / "saved")
    source.text.tokenizer.save(tmp_path / "saved")
    config = tiny(tmp_path, {"model.name": str(tmp_path / "saved"), "model.size": "small", "seed": 5})
    task, model = _built(config, tmp_path)
    task.warm_start(model)
    assert all(torch.equal(saved.state_dict()[name], tensor) for name, tensor in model.state_dict().items())
    run = make_run(tmp_path / "runs", config)
    outcome, _ = train_attempt(run, config)
    assert outcome.word == "finished"
    found = described(run.folder)
    assert found is not None
    assert found.tokenizer.vocabulary == task.text.tokenizer.vocabulary


def test_an_exported_run_is_a_folder_that_transformers_and_further_runs_start_from(tmp_path: Path) -> None:
    from transformers.models.gpt2.modeling_gpt2 import GPT2LMHeadModel

    run, task = trained(tmp_path)
    apply_export(plan_export(run, tmp_path / "exported"))
    ids = torch.tensor(task.text.tokenizer.encode(["The house number 7 is near."]))
    model = task.build_model()
    chosen = choose(run, "best").checkpoint
    assert chosen is not None
    best = Loaded(chosen)
    restore_model(model, best.model, best.aliases)
    loaded = GPT2LMHeadModel.from_pretrained(tmp_path / "exported").eval()
    assert torch.equal(loaded(ids).logits, model.eval()(ids).logits)
    further, other = _built(
        tiny(tmp_path, {"model.name": str(tmp_path / "exported"), "data.vocabulary": 280}), tmp_path
    )
    further.warm_start(other)
    assert further.text.tokenizer.encode(["river"]) == task.text.tokenizer.encode(["river"])
    assert torch.equal(other.eval()(ids).logits, loaded(ids).logits)


def test_perplexity_is_that_of_a_sliding_window_over_the_whole_text(tmp_path: Path) -> None:
    for stride in (0, 5):
        task, model = _built(tiny(tmp_path, {"data.stride": stride}), tmp_path)
        figures = _evaluated(task, model)
        text = task.text
        stream = token_stream(text.corpus, "validation", text.tokenizer, tmp_path / ".cache" / "text")
        ids = torch.from_numpy(stream.astype(np.int64))
        block, step = 16, stride or 16
        total, count, scored = 0.0, 0, 0
        model.eval()
        for start in range(0, len(ids), step):
            window = ids[start : start + block]
            with torch.no_grad():
                scores = model(window[None]).logits[0]
            for place in range(max(1, scored - start), len(window)):
                total += float(functional.cross_entropy(scores[place - 1].double(), window[place]))
                count += 1
            scored = start + len(window)
            if scored >= len(ids):
                break
        assert figures["val/tokens"] == count
        assert figures["val/loss"] == pytest.approx(total / count, rel=1e-5)
        assert figures["val/perplexity"] == pytest.approx(math.exp(total / count), rel=1e-4)


def test_padding_changes_nothing_in_the_classic_tiny_data_set(tmp_path: Path) -> None:
    task, model = _built(tiny(tmp_path, {"data.max_tokens": 200}), tmp_path)
    rows = task.text.train
    assert isinstance(rows, Rows)
    figures = _evaluated(task, model)
    model.eval()
    total, count = 0.0, 0
    for batch in task.text.evaluated("val"):
        for ids, there in zip(batch["input_ids"], batch["attention_mask"], strict=True):
            row = ids[there.bool()]
            with torch.no_grad():
                scores = model(row[None]).logits[0]
            total += float(functional.cross_entropy(scores[:-1].double(), row[1:], reduction="sum"))
            count += len(row) - 1
    assert figures["val/tokens"] == count
    assert figures["val/loss"] == pytest.approx(total / count, rel=1e-5)
    assert train_attempt(make_run(tmp_path / "runs", task.config), task.config)[0].word == "finished"


def test_a_trained_model_beats_counting_words_and_one_without_attention_does_not_beat_counting_pairs(
    tmp_path: Path,
) -> None:
    values = {"train.max_steps": 100, "data.block_size": 32, "train.batch_size": 16, "train.save_every": 0}
    whole = _last(trained(tmp_path, values)[0])
    deleted = _last(trained(tmp_path, values | {"ablation.kind": "delete"})[0])
    assert whole["val/perplexity"] < whole["val/bigram_perplexity"] < whole["val/unigram_perplexity"]
    assert whole["val/perplexity"] < deleted["val/perplexity"]
    # Counting smooths less well than a model does, so its floor is one only about.
    assert deleted["val/perplexity"] > 0.8 * deleted["val/bigram_perplexity"]


def _last(run: Any) -> dict[str, float]:
    events, _ = read_events(run.attempts()[-1].events)
    found: dict[str, float] = events[-1].facts["metrics"]
    return found


def test_an_ablation_in_evaluation_alone_trains_the_same_weights(tmp_path: Path) -> None:
    plain, _ = trained(tmp_path)
    ablated, task = trained(tmp_path, {"ablation.kind": "uniform", "ablation.when": "eval"})
    in_training, _ = trained(tmp_path, {"ablation.kind": "uniform", "ablation.when": "train"})
    weights = [Loaded(scan(run)[-1]).model for run in (plain, ablated, in_training)]
    assert all(torch.equal(weights[0][name], tensor) for name, tensor in weights[1].items())
    assert not all(torch.equal(weights[0][name], tensor) for name, tensor in weights[2].items())
    assert _last(plain)["val/loss"] != _last(ablated)["val/loss"]
    assert task.hooked(task.build_model(), training=True).hooks == []


def test_a_run_says_how_large_and_how_fast_it_was(tmp_path: Path) -> None:
    run, task = trained(tmp_path)
    events, _ = read_events(run.attempts()[-1].events)
    begun = next(event for event in events if event.name == "training")
    count = sum(parameter.numel() for parameter in task.build_model().parameters())
    assert (begun.facts["parameters"], begun.facts["trainable"]) == (count, count)
    assert events[-1].facts["tokens_per_second"] > 0
    assert events[-1].facts["peak_memory_bytes"] > 0
    assert events[-1].facts["metrics"]["train/tokens"] == 4 * 15
    accumulated, _ = trained(tmp_path, {"train.accumulation": 3, "train.max_steps": 3})
    assert _last(accumulated)["train/tokens"] == 3 * 4 * 15, "of all batches of a step"


def test_the_map_has_every_ablation_in_every_layer(tmp_path: Path) -> None:
    run, _ = trained(tmp_path, {"ablation.map": True, "train.max_steps": 6})
    figures = _last(run)
    names = [
        f"val/perplexity_{kind}_layer{layer}" for kind in ("delete", "uniform", "self_only", "mean") for layer in (0, 1)
    ]
    assert sorted(name for name in figures if "_layer" in name) == sorted(names)
    assert all(figures[name] > 1 for name in names)


def test_mistakes_are_one_clear_sentence(tmp_path: Path) -> None:
    with pytest.raises(HeatsError, match="give one of them"):
        tiny(tmp_path, {"model.from_run": "a", "model.name": "b"})
    with pytest.raises(HeatsError, match=r"needs model\.name or model\.from_run"):
        tiny(tmp_path, {"model.init": "pretrained"})
    with pytest.raises(HeatsError, match="gradient_checkpointing"):
        tiny(tmp_path, {"ablation.kind": "delete", "train.gradient_checkpointing": True})
    with pytest.raises(HeatsError, match=r"train\.compile keeps code"):
        tiny(tmp_path, {"ablation.map": True, "train.compile": True})
    with pytest.raises(HeatsError, match=r"set evaluation\.test_at_end"):
        tiny(tmp_path, {"ablation.map": True, "evaluation.patience": 2})
    with pytest.raises(HeatsError, match="blocks of 2000 tokens are longer than the 1024 positions"):
        _built(tiny(tmp_path, {"data.block_size": 2000}), tmp_path)
    with pytest.raises(HeatsError, match="there is no layer 7"):
        _built(tiny(tmp_path, {"ablation.kind": "delete", "ablation.layers": [7]}), tmp_path)
    with pytest.raises(HeatsError, match=r"model\.name: the pretrained model `gpt2-xxl` is not on"):
        _built(tiny(tmp_path, {"model.name": "gpt2-xxl"}), tmp_path)


def test_a_part_without_a_line_to_predict_is_refused_before_training(tmp_path: Path) -> None:
    (tmp_path / "words").mkdir()
    for part in ("train", "valid", "test"):
        (tmp_path / "words" / f"{part}.txt").write_text(TEXT if part != "valid" else "a\nb\n")
    with pytest.raises(HeatsError, match=r"the validation part of .* has no line of two tokens"):
        _built(tiny(tmp_path, {"data.corpus": str(tmp_path / "words"), "data.max_tokens": 50}), tmp_path)


def test_a_tokenizer_that_knows_more_tokens_than_the_model_is_refused(tmp_path: Path) -> None:
    new_model(gpt2_config("nano", train_tokenizer([TEXT], 270))).save_pretrained(tmp_path / "mixed")
    train_tokenizer([TEXT], 280).save(tmp_path / "mixed")
    with pytest.raises(HeatsError, match="they don't belong together"):
        _built(tiny(tmp_path, {"model.name": str(tmp_path / "mixed")}), tmp_path)


def test_the_config_says_what_it_is() -> None:
    assert resolve(Config, {}).slug() == "adamw-tiny-scratch"
    assert resolve(Config, {"model.name": "gpt2", "optim.name": "sgd"}).slug() == "sgd-tuned"
    assert TINY["model.size"] == "nano"
