"""The task `finetune`: a GPT-2 learns a text, whole or with its attention ablated, under one of several optimizers."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from engine.tasks.finetune.ablation import Ablation, Means, ablate, attention_means
from engine.tasks.finetune.config import ABLATIONS, Config
from engine.tasks.finetune.hooks import Hooks, unrecorded
from engine.tasks.finetune.text import TASK_NAME, Text
from engine.tasks.text.models import bare, new_model, pretrained_model
from engine.tasks.text.tokens import IGNORED, Blocks, Rows
from engine.train.from_run import open_run
from engine.train.pace import TOKENS
from engine.train.task import Batch, LossTerms, StepContext, Task

_MEAN_BATCH = 8


class Finetune(Task[Config]):
    """Judged by the perplexity on held-out text, beside that of counting words and pairs of words."""

    cross_entropy_figure = "loss"
    watched = ("transformer.h.*.attn", "transformer.h.*.mlp")
    """The modules that `heats hooks` records unless told which."""

    def __init__(self, config: Config) -> None:
        super().__init__(config)
        self._text: Text | None = None
        self._means: Means | None = None
        self._ablation = Ablation.of(config.ablation)

    # --- what is built ---

    @property
    def text(self) -> Text:
        """All text, read when first asked for."""
        if self._text is None:
            self._text = Text(self.config, self.store, self.folder)
            self.num_classes = self._text.tokenizer.base
        return self._text

    def build_data(self) -> Blocks | Rows:
        """The training samples; what is evaluated is cut when it is needed."""
        return self.text.train

    def build_model(self) -> nn.Module:
        """A GPT-2 with new weights; those that it starts from come with `warm_start`, and not on a resume."""
        model: nn.Module = new_model(self.text.start.gpt2)
        self._ablation.chosen_layers(model)  # a layer that isn't there is refused now
        if self.config.train.gradient_checkpointing:
            model.gradient_checkpointing_enable(gradient_checkpointing_kwargs={"use_reentrant": False})  # type: ignore[operator]
        return model

    def warm_start(self, model: nn.Module) -> None:
        """The weights of the run or of the pretrained model that the config names.

        Raises:
            HeatsError: they aren't there, or are of another model.
        """
        options = self.config.model
        if options.is_new:
            return
        if options.from_run is not None:
            source = self.text.start.source
            if source is None:  # the run had begun before, without a step
                source = open_run(self.store, options.from_run, TASK_NAME, place="model.from_run")
            source.copy_weights(model, place="model.from_run")
            return
        assert options.name is not None, "the config has seen to it"
        with torch.random.fork_rng(devices=[]):  # the weights that are drawn on the way are overwritten at once
            found = pretrained_model(options.name, download=self.config.data.download)
        model.load_state_dict(found.state_dict())

    # --- training ---

    def loss(self, model: nn.Module, batch: Batch, context: StepContext) -> LossTerms:
        """`cross_entropy`, in nats: the mean over all tokens that the batch predicts."""
        with self._hooks(model, training=True):
            logits = _logits(model, batch)
        targets = batch["labels"][:, 1:]
        before = context.figures.get(TOKENS, 0)  # of the step's earlier batches
        context.figures[TOKENS] = before + (targets != IGNORED).sum()
        return {"cross_entropy": (1.0, _cross_entropy(logits, targets, "mean"))}

    def _hooks(self, model: nn.Module, *, training: bool) -> Hooks:
        options, inner = self.config.ablation, bare(model)
        if not (options.in_training if training else options.in_evaluation):
            return Hooks(inner)
        means = None
        if options.kind == "mean":
            means = self._fixed_means(inner) if options.in_training else self._measure(inner, self._ablation)
        return ablate(inner, self._ablation, means)

    def _fixed_means(self, model: Any) -> Means:
        """Those that a run trains with: measured before its first step, and kept; of layers added later, then."""
        known = self._means or {}
        if not known.keys() >= set(self._ablation.chosen_layers(model)):
            self._means = known = self._measure(model, self._ablation) | known
        return known

    def _measure(self, model: Any, ablation: Ablation) -> Means:
        """The means of attention's output under the model's weights of now, over the first training samples."""
        train, device = self.text.train, next(model.parameters()).device
        count = min(self.config.ablation.mean_blocks, len(train))
        if isinstance(train, Rows):  # one at a time: padding must not be in a mean
            samples = [torch.tensor([row], device=device) for row in train.rows[:count]]
        else:
            samples = list(torch.split(train.rows(torch.arange(count)).to(device), _MEAN_BATCH))
        mode = model.training
        model.eval()
        try:
            with unrecorded():
                return attention_means(model, ablation, samples)
        finally:
            model.train(mode)

    # --- evaluation ---

    def evaluate(self, model: nn.Module, split: str, device: torch.device) -> dict[str, float]:
        """`loss` in nats a token and `perplexity`, its exponential, over all predicted tokens, and how many those are;
        `unigram_perplexity` and `bigram_perplexity` of counting on the same tokens. At the end of a run that wants the
        map also the perplexities with every ablation in every single layer, `perplexity_delete_layer0` and so on."""
        batches = self.text.evaluated(split)
        floors = self.text.floors(split, batches)
        with self._hooks(model, training=False):
            loss, tokens = self._mean_loss(model, batches, device)
        figures = {
            "loss": loss,
            "perplexity": _exp(loss),
            "unigram_perplexity": floors.unigram,
            "bigram_perplexity": floors.bigram,
            "tokens": float(tokens),
        }
        if self._maps(split):
            figures |= self._map(bare(model), batches, device)
        return figures

    def _maps(self, split: str) -> bool:
        if not self.config.ablation.map:
            return False
        if self.config.evaluation.test_at_end:
            return split == "test"
        return self.step >= self.config.train.max_steps

    def _map(self, model: Any, batches: list[Batch], device: torch.device) -> dict[str, float]:
        """Perplexities by kind and layer, of the model whole but for that."""
        means = self._measure(model, Ablation("mean"))
        found: dict[str, float] = {}
        for kind in ABLATIONS:
            for layer in range(model.config.n_layer):
                with unrecorded(), ablate(model, Ablation(kind, (layer,)), means):
                    loss, _ = self._mean_loss(model, batches, device)
                found[f"perplexity_{kind}_layer{layer}"] = _exp(loss)
        return found

    @staticmethod
    def _mean_loss(model: nn.Module, batches: list[Batch], device: torch.device) -> tuple[float, int]:
        """Nats a token over all that is predicted, and how many tokens that is."""
        total, tokens = torch.zeros((), dtype=torch.float64), 0
        for batch in batches:
            here = {name: tensor.to(device) for name, tensor in batch.items()}
            targets = here["labels"][:, 1:]
            total += _cross_entropy(_logits(model, here), targets, "sum").cpu().double()
            tokens += int((targets != IGNORED).sum())
        return float(total) / tokens, tokens

    def hooked(self, model: nn.Module, *, training: bool) -> Hooks:
        """The hooks that training or evaluation puts on the model, for a `with` block of whoever wants to look."""
        return self._hooks(model, training=training)

    # --- state ---

    def state_dict(self) -> dict[str, Any]:
        """The means that a run under the ablation `mean` trains with, as hexadecimal floats."""
        if self._means is None or not self.config.ablation.in_training:
            return {}
        means = {str(layer): [value.hex() for value in mean.tolist()] for layer, mean in self._means.items()}
        return {"means": means, "of_heads": bool(self._ablation.heads)}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """The inverse of `state_dict`. Means of what heads give are left out where all of attention is ablated now, or
        the other way round: those are other figures."""
        saved, of_heads = state.get("means"), bool(self._ablation.heads)
        self._means = None
        if saved is not None and state.get("of_heads", of_heads) == of_heads:
            self._means = {
                int(layer): torch.tensor([float.fromhex(value) for value in values]) for layer, values in saved.items()
            }


def _logits(model: nn.Module, batch: Batch) -> Tensor:
    """(B, T - 1, V): for each position but the last, of what comes next."""
    logits: Tensor = model(batch["input_ids"], attention_mask=batch.get("attention_mask"), use_cache=False).logits
    return logits[:, :-1]


def _cross_entropy(logits: Tensor, targets: Tensor, reduction: str) -> Tensor:
    """Of (B, T, V) logits, in nats and fp32, over the targets (B, T) that aren't -100."""
    flat = logits.float().flatten(0, 1)
    return functional.cross_entropy(flat, targets.flatten(), ignore_index=IGNORED, reduction=reduction)


def _exp(loss: float) -> float:
    """The exponential; infinite where a float can't hold it."""
    return math.exp(loss) if loss < 700 else math.inf


TASK = Finetune
