from __future__ import annotations

import pytest
import torch
from torch import Tensor

from engine.tasks.multiplication.config import Config
from engine.tasks.multiplication.data import BOS, EOS, PAD, TIMES, VOCABULARY_SIZE
from engine.tasks.multiplication.decoding import greedy_tokens, shift_right
from engine.tasks.multiplication.layers import LayerCache
from engine.tasks.multiplication.models import Memory, Prediction, SimpleModel
from engine.tasks.multiplication.task import TASK, Multiplication
from engine.train.task import Batch, BatchKey, StepContext
from tests.engine.tasks.multiplication.conftest import MakeConfig, write

CPU = torch.device("cpu")


def context(step: int = 0, max_steps: int = 100, seed: int = 0) -> StepContext:
    return StepContext(step, max_steps, CPU, torch.Generator().manual_seed(seed))


def batch_of(task: Multiplication, size: int = 16) -> Batch:
    return task.build_data().gather(torch.arange(size), BatchKey(0, 0, 0))


def built(task: Multiplication) -> SimpleModel:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = task.build_model()
    assert isinstance(model, SimpleModel)
    return model


class Oracle(SimpleModel):
    """Multiplies by reading its input, and errs where it is told to. It never sees the target."""

    def __init__(self, config: Config, wrong: dict[tuple[int, int], str]) -> None:
        super().__init__(config)
        self.wrong = wrong

    def answers(self, source: Tensor) -> Tensor:
        rows = []
        for tokens in source.tolist():
            a, b = (int(part) for part in "".join("0123456789*."[t] for t in tokens).rstrip(".").split("*"))
            rows.append(write(self.wrong.get((a, b), f"{str(a * b)[::-1]}$"), self.layout.target_length))
        return torch.tensor(rows)

    def forward(self, source: Tensor, prefix: Tensor) -> Prediction:
        return Prediction(20.0 * torch.nn.functional.one_hot(self.answers(source), VOCABULARY_SIZE), None)

    def encode(self, source: Tensor) -> Memory:
        return Memory(self.answers(source), None)

    def start(self, memory: Memory) -> list[LayerCache]:
        empty = memory.states
        return [LayerCache(empty, empty, memory.states, empty, None)]

    def step(self, tokens: Tensor, place: int, caches: list[LayerCache]) -> Tensor:
        return torch.nn.functional.one_hot(caches[0].memory_keys[:, place], VOCABULARY_SIZE).float()


def held_out_problems(task: Multiplication) -> list[tuple[int, int]]:
    task.build_data()
    texts = ("".join("0123456789*."[t] for t in row).rstrip(".") for row in task._held_out["val"].source.tolist())
    return [(int(a), int(b)) for a, b in (text.split("*") for text in texts)]


def test_a_model_that_multiplies_scores_one_everywhere(make_config: MakeConfig) -> None:
    task = TASK(make_config())
    figures = task.evaluate(Oracle(task.config, {}).eval(), "val", CPU)
    assert figures["exact_match"] == figures["digit_accuracy"] == 1.0
    assert {name for name in figures if name.startswith("exact_match_")} == {
        "exact_match_1x1",
        "exact_match_1x2",
        "exact_match_2x2",
    }
    assert [figures[f"digit_accuracy_p{place}"] for place in range(4)] == [1.0] * 4
    assert "digit_accuracy_p4" not in figures
    assert figures["loss"] == pytest.approx(0.0, abs=1e-5)


def test_each_way_of_being_wrong_counts(make_config: MakeConfig) -> None:
    task = TASK(make_config())
    problems = held_out_problems(task)
    long = [(a, b) for a, b in problems if a * b >= 1000][:4]
    short = next((a, b) for a, b in problems if a < 10 <= b and a * b < 1000)
    digits = [str(a * b)[::-1] for a, b in long]
    wrong = {
        long[0]: f"{digits[0][:3]}$",  # stops a digit early
        long[1]: f"{digits[1]}7",  # goes on where it should stop
        long[2]: f"{digits[2][0]}{(int(digits[2][1]) + 1) % 10}{digits[2][2:]}$",  # one digit off
        long[3]: f"{digits[3][:2]}${digits[3][3:]}$",  # EOS inside: what follows doesn't count
        short: "$",
    }
    figures = task.evaluate(Oracle(task.config, wrong).eval(), "val", CPU)
    assert figures["exact_match"] == pytest.approx(1 - 5 / len(problems))
    twos = sum(min(a, b) >= 10 for a, b in problems)
    assert figures["exact_match_2x2"] == pytest.approx(1 - sum(min(pair) >= 10 for pair in wrong) / twos)
    mixed = sum(min(a, b) < 10 <= max(a, b) for a, b in problems)
    assert figures["exact_match_1x2"] == pytest.approx(1 - sum(min(p) < 10 <= max(p) for p in wrong) / mixed)
    all_digits = sum(len(str(a * b)) for a, b in problems)
    missed = 1 + 0 + 1 + 2 + len(str(short[0] * short[1]))
    assert figures["digit_accuracy"] == pytest.approx(1 - missed / all_digits)
    assert figures["digit_accuracy_p0"] == pytest.approx(1 - 1 / len(problems))


def test_right_digits_without_eos_are_no_answer(make_config: MakeConfig) -> None:
    task = TASK(make_config())
    problems = held_out_problems(task)
    endless = {(a, b): f"{str(a * b)[::-1]}00000"[:5] for a, b in problems}
    figures = task.evaluate(Oracle(task.config, endless).eval(), "val", CPU)
    assert figures["exact_match"] == 0.0
    assert figures["digit_accuracy"] == 1.0


@pytest.mark.parametrize("kind", ["simple", "latent"])
def test_evaluation_changes_nothing(make_config: MakeConfig, kind: str) -> None:
    task = TASK(make_config({"model.kind": kind, "model.dropout": 0.3}))
    model = built(task).eval()
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    state = torch.get_rng_state()
    with torch.no_grad():
        first, second = task.evaluate(model, "val", CPU), task.evaluate(model, "val", CPU)
        other = task.evaluate(model, "test", CPU)
    assert torch.equal(torch.get_rng_state(), state)
    assert first == second
    assert other["loss"] != first["loss"]
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())


def test_the_prediction_ignores_the_true_length(make_config: MakeConfig) -> None:
    """The answers of a batch are the same alone, and among problems whose answers are longer."""
    task = TASK(make_config())
    model = built(task).eval()
    short = torch.tensor([write("1*1")])
    mixed = torch.tensor([write("1*1"), write("99*99")])
    assert torch.equal(greedy_tokens(model, short)[0], greedy_tokens(model, mixed)[0])
    assert greedy_tokens(model, short).shape == (1, 5)


def test_teacher_forcing_follows_the_schedule_and_is_logged(make_config: MakeConfig) -> None:
    task = TASK(make_config({"tf.schedule": "linear", "tf.start_step": 50}))
    model, batch = built(task), batch_of(task)
    seen = {}
    for step in (0, 49, 75, 99):
        now = context(step)
        task.loss(model, batch, now)
        seen[step] = now.figures["train/tf_probability"]
        assert now.figures["train/teacher_forced"] in (0.0, 1.0)
    assert seen == {0: 1.0, 49: 1.0, 75: 0.5, 99: pytest.approx(0.02)}


class Recorder(SimpleModel):
    """Remembers the prefixes that it is trained on."""

    def forward(self, source: Tensor, prefix: Tensor) -> Prediction:
        self.prefix = prefix
        return super().forward(source, prefix)


def test_a_forced_batch_is_fed_the_truth_and_a_free_one_the_models_own_answer(make_config: MakeConfig) -> None:
    task = TASK(make_config({"tf.start_step": 0, "model.dropout": 0.2}))
    batch = batch_of(task)
    torch.manual_seed(0)
    model = Recorder(task.config).train()
    task.loss(model, batch, context(step=0))
    assert torch.equal(model.prefix, shift_right(batch["target"]))
    task.loss(model, batch, context(step=100))
    written = greedy_tokens(model.eval(), batch["source"])
    assert torch.equal(model.prefix[:, 1:], written[:, :-1])
    assert (model.prefix[:, 0] == BOS).all()
    assert not torch.equal(written[:, :-1], batch["target"][:, :-1])


def test_a_free_batch_costs_what_its_own_prefix_gives(make_config: MakeConfig) -> None:
    task = TASK(make_config({"tf.start_step": 0}))
    model, batch = built(task), batch_of(task)
    terms = task.loss(model, batch, context(step=100))
    own = shift_right(greedy_tokens(model, batch["source"]))
    log_p = model(batch["source"], own).logits.log_softmax(-1)
    target = batch["target"]
    chosen = log_p.gather(-1, target[..., None])[..., 0][target != PAD]
    torch.testing.assert_close(terms["cross_entropy"][1], -chosen.mean())


def test_free_running_under_autocast_still_trains_every_weight(make_config: MakeConfig) -> None:
    """Autocast caches cast weights; cast without gradients, they would cut the weights off from the loss."""
    task = TASK(make_config({"tf.start_step": 0, "loss.column_sum_weight": 0.1}))
    model, batch = built(task).train(), batch_of(task)
    with torch.autocast("cpu", torch.bfloat16):
        terms = task.loss(model, batch, context(step=100))
        total = torch.stack([weight * value for weight, value in terms.values()]).sum()
    total.backward()  # type: ignore[no-untyped-call]
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.abs().sum() > 0 or name.startswith("positions"), name


def test_terms_and_their_weights(make_config: MakeConfig) -> None:
    plain = TASK(make_config({"loss.accuracy_weight": 0.25}))
    terms = plain.loss(built(plain), batch_of(plain), context())
    assert {name: weight for name, (weight, _) in terms.items()} == {"cross_entropy": 1.0, "sequence": 0.25}
    aided = TASK(make_config({"loss.column_sum_weight": 0.1}))
    terms = aided.loss(built(aided), batch_of(aided), context())
    assert {name: weight for name, (weight, _) in terms.items()} == {
        "cross_entropy": 1.0,
        "sequence": 0.5,
        "column_sum": 0.1,
    }
    assert all(value.ndim == 0 and value.requires_grad for _, value in terms.values())


def test_training_and_held_out_problems_never_meet(make_config: MakeConfig) -> None:
    task = TASK(make_config())
    data = task.build_data()
    train = {tuple(row) for order in data.sources.tolist() for row in order}
    for split in ("val", "test"):
        held_out = {tuple(row) for row in task._held_out[split].source.tolist()}
        assert held_out
        assert not train & held_out


def test_evaluation_uses_no_more_pairs_than_allowed(make_config: MakeConfig) -> None:
    task = TASK(make_config({"data.max_eval_pairs": 7}))
    problems = held_out_problems(task)
    assert len({tuple(sorted(pair)) for pair in problems}) == 7


def test_wrapped_models_are_evaluated_as_the_bare_one(make_config: MakeConfig) -> None:
    class Wrapper(torch.nn.Module):
        def __init__(self, module: torch.nn.Module) -> None:
            super().__init__()
            self.module = module

        def forward(self, *args: Tensor) -> Prediction:
            prediction: Prediction = self.module(*args)
            return prediction

    task = TASK(make_config({"tf.start_step": 0}))
    model, batch = built(task), batch_of(task)
    bare = task.loss(model, batch, context(step=100))
    wrapped = task.loss(Wrapper(model), batch, context(step=100))
    assert all(torch.equal(bare[name][1], wrapped[name][1]) for name in bare)


@pytest.mark.parametrize("kind", ["simple", "latent"])
def test_it_learns(make_config: MakeConfig, kind: str) -> None:
    """A few dozen steps of plain AdamW, and the model beats every fixed guess on problems that it has never seen."""
    task = TASK(make_config({"model.kind": kind, "model.d_model": 32, "data.pad_operands": True}))
    data, model = task.build_data(), built(task)
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3)
    order = torch.randperm(len(data), generator=torch.Generator().manual_seed(0))
    for step in range(120):
        indices = order[(step * 64) % 3840 :][:64]
        terms = task.loss(model, data.gather(indices, BatchKey(0, 0, step)), context())
        optimizer.zero_grad()
        torch.stack([weight * value for weight, value in terms.values()]).sum().backward()  # type: ignore[no-untyped-call]
        optimizer.step()
    model.eval()
    with torch.no_grad():
        figures = task.evaluate(model, "val", CPU)
    assert figures["digit_accuracy_p0"] > 0.3
    assert figures["cross_entropy"] < 1.7


def test_tokens_of_the_oracle_are_those_of_the_task() -> None:
    assert write("1*2.^$", 6) == [1, TIMES, 2, PAD, BOS, EOS]
