"""Walk-forward splits with purging and embargo.

Labels look ahead: a sample at time t knows about (t, t + label]. Training on samples whose label
reaches into the test span would leak the answers (Lopez de Prado, Advances in Financial Machine
Learning, 2018, chapter 7). They are purged, and an embargo keeps a further distance because
features remember.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from trading_system.domain.errors import ValidationError
from trading_system.evaluation.datasets import Dataset

Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True, kw_only=True)
class Fold:
    """Which samples to learn from and which to be judged by; never both."""

    train: Mask
    test: Mask


def timeline(data: Dataset) -> npt.NDArray[np.float64]:
    """Return one time axis, seconds: sessions follow each other in order of their numbers."""
    if not len(data):
        return np.zeros(0)
    length = float(data.second.max()) + 1.0
    _, rank = np.unique(data.group, return_inverse=True)
    return np.asarray(rank * length + data.second, dtype=np.float64)


def folds(
    time_s: npt.NDArray[np.float64], *, count: int, label_s: float, embargo_s: float
) -> Iterator[Fold]:
    """Yield expanding folds: learn from the past, be judged by the next span of equal length.

    Parameters
    ----------
    time_s : float64, shape (n,)
        Time of each sample, seconds, in any order.
    count : int
        Folds, at least 1; the first span is only learned from.
    label_s, embargo_s : float
        A sample is learned from only if its label ends this much before the test span starts.

    Raises
    ------
    ValidationError
        If ``count`` is below 1 or a duration negative.
    """
    if count < 1 or label_s < 0 or embargo_s < 0:
        raise ValidationError("folds, label and embargo must not be negative, folds at least 1")
    edges = np.linspace(time_s.min(), time_s.max(), count + 2)
    edges[-1] = np.inf
    for start, end in pairwise(edges[1:]):
        train = time_s + label_s + embargo_s < start
        yield Fold(train=train, test=(time_s >= start) & (time_s < end))
