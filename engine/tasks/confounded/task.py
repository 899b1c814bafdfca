"""The task `confounded`: a CNN that has learnt a dot, and what cures it."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from engine.tasks.confounded import explanations
from engine.tasks.confounded.config import EXPLAINED, Config
from engine.tasks.confounded.data import CONFOUNDED, Everything, Groups, MixedData, build
from engine.tasks.confounded.losses import lacking, mean_over, raise_multipliers, sample_losses
from engine.tasks.confounded.measures import interventions
from engine.tasks.confounded.model import bare, build_network
from engine.tasks.confounded.sampler import MixedBatchSampler
from engine.train.from_run import open_run
from engine.train.pictures import grid
from engine.train.task import Batch, LossTerms, StepContext, Task

EVALUATION_BATCH = 1024
"""Pictures evaluated at once."""
_QUANTILES = {"min": 0.0, "p25": 0.25, "median": 0.5, "p75": 0.75, "max": 1.0}
_SHOWN = 32


class Confounded(Task[Config]):
    """Tells two classes apart of which one is marked by a dot in training; judged with the dot and without it."""

    num_classes = 2
    # Whether it has learnt anything shows on data like that of training; how it generalises is the question itself.
    cross_entropy_figure = "confounded_loss"
    accuracy_figure = "confounded_accuracy"

    def __init__(self, config: Config) -> None:
        super().__init__(config)
        self._data: Everything | None = None
        self.multipliers = torch.empty(0)
        """(M,) fp32: of each corrected sample, under the lagrangian loss."""

    @property
    def data(self) -> Everything:
        """All data, built when first asked for."""
        if self._data is None:
            self._data = build(self.config.data, self.config.seed)
        return self._data

    def build_model(self) -> nn.Module:
        """The network, drawn from the global generator."""
        return build_network(self.config)

    def build_data(self) -> MixedData:
        """The confounded samples and the pool of corrected ones; held-out groups are kept for `evaluate`."""
        config, data = self.config, self.data
        self.multipliers = torch.full((len(data.pool),), config.loss.multiplier_start)
        pool = 0 if config.loss.kind == "plain" else len(data.pool)
        batches = config.train.max_steps * config.train.accumulation
        sampler = MixedBatchSampler(len(data.found), pool, config.train.batch_size, config.data, batches, config.seed)
        explained = config.loss.kind in EXPLAINED
        return MixedData(data.found, data.pool, sampler, data.normalisation, explained=explained)

    def warm_start(self, model: nn.Module) -> None:
        """The weights of the run that the config names.

        Raises:
            HeatsError: there is no such run, or its network is another.
        """
        if self.config.model.from_run is not None:
            source = open_run(self.store, self.config.model.from_run, "confounded", place="model.from_run")
            source.copy_weights(model, place="model.from_run")

    def pictures(self) -> dict[str, Tensor]:
        """Samples as they were found, and corrected ones beside what they were."""
        data = self.data
        dotted = (data.found.labels == CONFOUNDED).nonzero().squeeze(1)[: _SHOWN // 2]
        others = (data.found.labels != CONFOUNDED).nonzero().squeeze(1)[: _SHOWN // 2]
        shown = {"confounded_samples": grid(data.found.images[torch.cat([dotted, others])])}
        if len(data.pool) and self.config.loss.kind != "plain":
            # From both ends: in a pool of both classes the other one comes last.
            rows = torch.arange(len(data.pool))
            rows = torch.cat([rows[: _SHOWN // 2], rows[_SHOWN // 2 :].flip(0)[: _SHOWN // 2].flip(0)])
            shown["corrected_samples"] = grid(data.pool.images[rows])
            shown["corrected_originals"] = grid(data.pool.originals[rows])
        return shown

    def loss(self, model: nn.Module, batch: Batch, context: StepContext) -> LossTerms:
        """The terms of `loss.kind`; logs the cross entropy of confounded and corrected samples under every kind."""
        options, corrected = self.config.loss, batch["corrected"]
        images = self._laid_out(batch["image"])
        logits = model(images)
        losses = sample_losses(logits, batch["label"])
        context.figures["train/accuracy"] = (logits.detach().argmax(1) == batch["label"]).float().mean()
        size, count = batch["size"], batch["corrected_count"]
        confounded = mean_over(losses, ~corrected, size - count, size)
        if options.kind == "plain":
            return {"confounded": (1.0, confounded)}
        of_corrected = mean_over(losses, corrected, count, size)
        if options.kind == "balanced":
            return {"confounded": (1.0, confounded), "corrected": (options.corrected_weight, of_corrected)}
        context.figures["train/confounded"] = confounded.detach()
        context.figures["train/corrected"] = of_corrected.detach()
        if options.kind == "imbalanced":
            return {"cross_entropy": (1.0, losses.mean())}
        if options.kind == "lagrangian":
            return {"confounded": (1.0, confounded), "constraint": (1.0, self._constraint(losses, batch, context))}
        penalty = self._penalty(model, images, batch)
        rows = corrected
        if options.explained == "all":
            rows, count = batch["mask"].flatten(1).any(1), batch["masked_count"]
        return {
            "cross_entropy": (1.0, losses.mean()),
            "explanation": (options.explanation_weight, mean_over(penalty, rows, count, size)),
        }

    def _constraint(self, losses: Tensor, batch: Batch, context: StepContext) -> Tensor:
        """The mean over corrected samples of multiplier * what each lacks; then the multipliers move."""
        options, rows = self.config.loss, batch["corrected"]
        if self.multipliers.device != losses.device:
            self.multipliers = self.multipliers.to(losses.device)
        members, gaps = batch["member"][rows], lacking(losses[rows], options.confidence)
        term = (self.multipliers[members] * gaps).sum() / max(1, len(members))
        self.multipliers = raise_multipliers(
            self.multipliers, members, gaps, options.multiplier_rate, options.multiplier_max
        )
        if len(self.multipliers):
            context.figures["train/multiplier_mean"] = self.multipliers.mean()
            context.figures["train/multiplier_max"] = self.multipliers.max()
        context.figures["train/violated"] = (gaps.detach() > 0).float().sum() / max(1, len(members))
        return term

    def _penalty(self, model: nn.Module, images: Tensor, batch: Batch) -> Tensor:
        network, masks = bare(model), batch["mask"]
        with torch.autocast(images.device.type, enabled=False), torch.enable_grad():
            if self.config.loss.kind == "rrr":
                return explanations.gradient_penalty(network, images, masks)
            if self.config.loss.kind == "rrr_gradcam":
                return explanations.gradcam_penalty(network, images, batch["label"], masks)
            return explanations.contribution_penalty(network, images, masks)

    def evaluate(self, model: nn.Module, split: str, device: torch.device) -> dict[str, float]:
        """The figures of `measures.interventions` on clean held-out samples and the same with the dot; under the
        lagrangian loss also how the multipliers are spread, and each of them where that is asked for."""
        groups = self.groups(split)
        clean, dotted = (self.logits(model, images, device) for images in (groups.clean, groups.dotted))
        figures = interventions(clean, dotted, groups.labels)
        if self.config.loss.kind == "lagrangian" and len(self.multipliers):
            found = self.multipliers.detach().cpu().double()
            figures |= {f"multiplier_{name}": float(found.quantile(share)) for name, share in _QUANTILES.items()}
            if self.config.loss.log_multipliers:
                figures |= {f"multiplier_{place:04d}": value for place, value in enumerate(found.tolist())}
        return figures

    def groups(self, split: str) -> Groups:
        """The held-out samples of a split, `val` or `test`."""
        return self.data.val if split == "val" else self.data.test

    def logits(self, model: nn.Module, images: Tensor, device: torch.device) -> Tensor:
        """(N, 2) logits of pictures (N, C, H, W) uint8, in parts that fit into memory."""
        normalise = self.data.normalisation
        parts = torch.split(images, EVALUATION_BATCH)
        return torch.cat([model(self._laid_out(normalise(part.to(device)))) for part in parts])

    def _laid_out(self, images: Tensor) -> Tensor:
        if self.config.train.channels_last:
            return images.contiguous(memory_format=torch.channels_last)
        return images

    def state_dict(self) -> dict[str, Any]:
        """The multipliers, as hexadecimal floats, so that not a bit is lost."""
        if self.config.loss.kind != "lagrangian":
            return {}
        return {"multipliers": [value.hex() for value in self.multipliers.tolist()]}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """The inverse of `state_dict`.

        Raises:
            ValueError: it is of another pool.
        """
        if self.config.loss.kind != "lagrangian":
            return
        saved = [float.fromhex(value) for value in state["multipliers"]]
        if len(saved) != len(self.multipliers):
            raise ValueError(f"it has multipliers of {len(saved)} corrected samples, here are {len(self.multipliers)}")
        self.multipliers = torch.tensor(saved, dtype=torch.float32)


TASK = Confounded
