"""How long a run has trained, from the times of its log: nights between two attempts are no training."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from engine.late import np

if TYPE_CHECKING:
    from numpy.typing import NDArray


_PAUSE_SECONDS = 60.0
_PAUSE_FACTOR = 50


def training_time(times: NDArray[Any]) -> NDArray[np.float64]:
    """Seconds of training until each of the moments at which a run logged. A pause counts as one usual step.

    Args:
        times: seconds since 1970, in the order of the steps.
    """
    gaps = np.diff(times, prepend=times[:1])
    usual = float(np.median(gaps[1:])) if len(gaps) > 1 else 0.0
    pause = max(_PAUSE_SECONDS, _PAUSE_FACTOR * usual)
    gaps = np.where((gaps > pause) | (gaps < 0), usual, gaps)
    return np.asarray(np.cumsum(gaps) + usual)
