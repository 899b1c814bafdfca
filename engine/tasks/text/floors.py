"""What counting alone achieves: perplexities of a unigram and a bigram model on the tokens that a model predicts."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Ids = npt.NDArray[np.int64]
_STRENGTHS = tuple(2.0**power for power in range(-2, 15))


@dataclass(frozen=True)
class Floors:
    """Perplexities: exp of the mean negative log probability, in nats, of the evaluated tokens."""

    unigram: float
    bigram: float


class Counts:
    """How often tokens and pairs of tokens follow each other in the training text.

    Unigrams are smoothed by adding one to every count. Bigrams fall back on them as under a Dirichlet prior (MacKay and
    Peto 1995): p(w|v) = (c(v, w) + s * p(w)) / (c(v) + s), with the strength s that predicts each training token best
    from all the others.

    Args:
        train: (N,) token ids.
        vocabulary: how many ids there are.
    """

    def __init__(self, train: npt.NDArray[np.integer], vocabulary: int) -> None:
        ids = np.asarray(train, dtype=np.int64)
        self.vocabulary = vocabulary
        single = np.bincount(ids, minlength=vocabulary)
        self._unigram = (single + 1) / (len(ids) + vocabulary)
        self._pairs, self._pair_counts = np.unique(ids[:-1] * vocabulary + ids[1:], return_counts=True)
        self._before = np.bincount(ids[:-1], minlength=vocabulary)
        self.strength = max(_STRENGTHS, key=self._left_out_likelihood)

    def _left_out_likelihood(self, strength: float) -> float:
        before, after = np.divmod(self._pairs, self.vocabulary)
        prior = strength * self._unigram[after]
        probability = (self._pair_counts - 1 + prior) / (self._before[before] - 1 + strength)
        return float(self._pair_counts @ np.log(probability))

    def unigram_nats(self, targets: Ids) -> npt.NDArray[np.float64]:
        """(P,) of each target, the negative log probability without context."""
        return np.asarray(-np.log(self._unigram[targets]))

    def bigram_nats(self, before: Ids, targets: Ids) -> npt.NDArray[np.float64]:
        """(P,) of each target, the negative log probability after the token before it."""
        if not len(self._pairs):
            return self.unigram_nats(targets)
        wanted = before * self.vocabulary + targets
        places = np.minimum(np.searchsorted(self._pairs, wanted), len(self._pairs) - 1)
        counted = np.where(self._pairs[places] == wanted, self._pair_counts[places], 0)
        probability = (counted + self.strength * self._unigram[targets]) / (self._before[before] + self.strength)
        return np.asarray(-np.log(probability))

    def floors(self, before: Ids, targets: Ids) -> Floors:
        """Both perplexities of the same evaluated tokens.

        Args:
            before: (P,) the token before each.
            targets: (P,) the tokens.
        """
        return Floors(
            math.exp(float(self.unigram_nats(targets).mean())),
            math.exp(float(self.bigram_nats(before, targets).mean())),
        )
