"""Samples with labels: features of one instant, mid moves after it, and which session they are of.

Samples are taken on a fixed grid; a label is the move of the mid over a horizon, basis points,
known only when the whole horizon lies inside the session.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from operator import attrgetter

import numpy as np
import numpy.typing as npt

from trading_system.domain.signals import FEATURE_NAMES, UNSIGNED_FEATURES, MarketFeatures

SAMPLE_S = 0.25
"""Distance of samples, seconds."""
HORIZONS_S = (1.0, 2.0, 10.0)
"""Horizons of the labels, seconds: what calibration learns from, a check, and what is traded."""

_BPS = 10_000.0
_NS_PER_S = 1_000_000_000
_WARM_UP_S = 1.0

Array = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]
_row = attrgetter(*FEATURE_NAMES)


@dataclass(frozen=True, slots=True, kw_only=True)
class Dataset:
    """Samples in order of session, symbol and time.

    Parameters
    ----------
    inputs : float64, shape (n, len(FEATURE_NAMES))
        Model inputs in the order of ``FEATURE_NAMES``, finite.
    moves : float64, shape (n, len(HORIZONS_S))
        Mid moves over each horizon, basis points, finite.
    group : int64, shape (n,)
        Number of the session; symbols of one session share it.
    second : float64, shape (n,)
        Time since the start of the session, seconds.
    """

    inputs: Array
    moves: Array
    group: IntArray
    second: Array

    def __len__(self) -> int:
        """Return the number of samples."""
        return len(self.second)

    def part(self, mask: npt.NDArray[np.bool_]) -> Dataset:
        """Return the samples that ``mask`` keeps."""
        return Dataset(
            inputs=self.inputs[mask],
            moves=self.moves[mask],
            group=self.group[mask],
            second=self.second[mask],
        )

    def mirrored(self) -> Dataset:
        """Return the samples followed by their mirror images.

        In the mirror every signed feature and every move changes its sign: a model fitted on both
        has no opinion on the direction of the market as such.
        """
        signs = np.array([1.0 if name in UNSIGNED_FEATURES else -1.0 for name in FEATURE_NAMES])
        return Dataset(
            inputs=np.vstack((self.inputs, self.inputs * signs)),
            moves=np.vstack((self.moves, -self.moves)),
            group=np.concatenate((self.group, self.group)),
            second=np.concatenate((self.second, self.second)),
        )

    def digest(self) -> str:
        """Return the SHA-256 of all samples, hexadecimal."""
        sha = hashlib.sha256()
        for values in (self.inputs, self.moves, self.group, self.second):
            sha.update(np.ascontiguousarray(values).tobytes())
        return sha.hexdigest()


class _Sampler:
    """Samples of one symbol in one session."""

    def __init__(self) -> None:
        self.rows: list[tuple[float, ...]] = []
        self.mids: list[float] = []
        self._due_ns = 0
        self._last: MarketFeatures | None = None

    def take(self, features: MarketFeatures) -> None:
        """Sample what was known at every point of the grid before ``features``."""
        while features.ts_ns > self._due_ns:
            self._write()
        self._last = features

    def _write(self) -> None:
        self._due_ns += round(SAMPLE_S * _NS_PER_S)
        if self._last is not None:
            self.rows.append(_row(self._last))
            self.mids.append(self._last.mid)

    def dataset(self, group: int) -> Dataset | None:
        """Return the samples whose longest label is known."""
        reach = round(max(HORIZONS_S) / SAMPLE_S)
        first = round(_WARM_UP_S / SAMPLE_S)
        count = len(self.mids) - reach
        if count <= first:
            return None
        mids = np.array(self.mids)
        now = np.arange(first, count)
        moves = [
            (mids[now + round(horizon / SAMPLE_S)] / mids[now] - 1.0) * _BPS
            for horizon in HORIZONS_S
        ]
        return Dataset(
            inputs=np.array(self.rows, dtype=np.float64)[now],
            moves=np.column_stack(moves),
            group=np.full(len(now), group, dtype=np.int64),
            second=np.asarray(now * SAMPLE_S, dtype=np.float64),
        )


def sampled(session: Iterable[MarketFeatures], *, group: int) -> list[Dataset]:
    """Return one data set per symbol of a session, symbols in alphabetical order."""
    samplers: dict[str, _Sampler] = {}
    for features in session:
        samplers.setdefault(features.symbol, _Sampler()).take(features)
    made = (samplers[symbol].dataset(group) for symbol in sorted(samplers))
    return [each for each in made if each is not None]


def joined(parts: Sequence[Dataset]) -> Dataset:
    """Return all parts as one data set; none gives an empty one."""
    width = len(FEATURE_NAMES)

    def stack(values: Callable[[Dataset], npt.NDArray[np.float64]], empty: Array) -> Array:
        return np.concatenate([empty, *(values(part) for part in parts)])

    groups = [part.group for part in parts]
    return Dataset(
        inputs=stack(lambda part: part.inputs, np.zeros((0, width))),
        moves=stack(lambda part: part.moves, np.zeros((0, len(HORIZONS_S)))),
        group=np.concatenate([np.zeros(0, dtype=np.int64), *groups]),
        second=stack(lambda part: part.second, np.zeros(0)),
    )
