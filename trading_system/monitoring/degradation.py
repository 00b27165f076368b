"""Changes of a figure's level, found by two-sided CUSUM sums, and single samples far outside.

Page (1954), "Continuous inspection schemes": with ``z`` the distance of a sample from the reference
in units of its scale, ``C+ = max(0, C+ + z - k)`` and ``C- = max(0, C- - z - k)``; a sum above
``h`` is a change. ``k`` = 0.5 is tuned for a shift of one scale. By Siegmund's approximation
``(exp(2 k b) - 2 k b - 1) / (2 k**2)``, ``b = h + 1.166``, halved for two sides, ``h`` = 12 gives
about 520,000 independent normal samples between false alarms, six days at one a second. With an
estimated reference it is less: the tests allow 3 in 100,000 for each of their seeds. Mean detection
delay is about 27 samples for a shift of one scale, 9 for two, 6 for three.

Valid for samples that do not overlap. Samples that wander together widen the scale by what their
correlation exceeds chance by: changes are found later, and false alarms stay few. A percentile over
the last minute, sampled every second, is beyond that.

The reference starts itself (after Hawkins 1987): the first 100 samples are learnt from, then it
follows the newest 600 that raised no suspicion; it stands still while a sum is above ``h / 2`` and
after a change. A drift slower than these 600 samples is followed, not reported: the fixed targets
of compliance are for that. What has become *better* for 100 samples becomes the reference, so that
a slow first minute hides no later change for the worse; what has become worse never does.

Samples further than 4 scales away count as 4: one outlier is no change. Latencies are compared by
their logarithm, that is by ratio. A scale has a floor per figure, so that a figure which hardly
moves raises nothing over a change nobody minds; shifts below half the floor are never reported.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from statistics import median
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from trading_system.domain.errors import ValidationError
from trading_system.domain.ports import Clock

LEARNING_SAMPLES: Final = 100
"""Samples of the first reference."""

REFERENCE_SAMPLES: Final = 600
"""Samples of the reference at most."""

ALLOWANCE: Final = 0.5
"""``k``: half the shift, in scales, the sums are tuned for."""

THRESHOLD: Final = 12.0
"""``h``: sum, in scales, at which a change is reported."""

ANOMALY_SCALES: Final = 6.0
"""Robust distance from which a single sample is an anomaly."""

_CAP: Final = 4.0
_REFRESH_SAMPLES: Final = 20
_RECENT_SAMPLES: Final = 60
_SHOWN_SAMPLES: Final = 10
_NORMAL_MAD: Final = 1.4826
_MOST_CORRELATED: Final = 0.9
_WIDENINGS: Final = 30
_SETTLED: Final = 1.001
_SMALLEST: Final = 1e-6
_LARGEST: Final = 1e12
_NS_PER_MS, _NS_PER_S = 1_000_000, 1_000_000_000


class Better(Enum):
    """The direction in which a figure improves."""

    LESS = "less"
    MORE = "more"


@dataclass(frozen=True, slots=True, kw_only=True)
class WatchedFigure:
    """How one figure is judged.

    Parameters
    ----------
    unit : str
        For people, may be empty.
    better : Better
        Which direction is the better one.
    scale_floor : float
        Least scale: in the figure's unit, or as a logarithm (0.15 is about 16 %), positive.
    is_ratio : bool
        Whether the logarithm is compared; for positive, skewed figures.
    """

    unit: str
    better: Better
    scale_floor: float
    is_ratio: bool = False


WATCHED: Final[Mapping[str, WatchedFigure]] = {
    "order_ack_ms": WatchedFigure(unit="ms", better=Better.LESS, scale_floor=0.15, is_ratio=True),
    "signal_us": WatchedFigure(unit="us", better=Better.LESS, scale_floor=0.15, is_ratio=True),
    "loop_lag_ms": WatchedFigure(unit="ms", better=Better.LESS, scale_floor=0.3, is_ratio=True),
    "slippage_bps": WatchedFigure(unit="bps", better=Better.LESS, scale_floor=0.25),
    "health": WatchedFigure(unit="points", better=Better.MORE, scale_floor=2.0),
    "success_rate": WatchedFigure(unit="%", better=Better.MORE, scale_floor=25.0),
}
"""The figures of a running system and how each is judged."""


class State(Enum):
    """What is known of a figure's level."""

    LEARNING = "learning"
    STEADY = "steady"
    WORSE = "worse"
    BETTER = "better"


class ChangeDetector:
    """Follows one figure; memory and time per sample are bounded.

    After a change the sum of its direction stays capped at the threshold; the figure is steady
    again when the sum has come down to zero, about 24 samples after the figure returned.

    Parameters
    ----------
    figure : WatchedFigure
        How it is judged.
    """

    def __init__(self, figure: WatchedFigure) -> None:
        self._figure = figure
        self._accepted: deque[float] = deque(maxlen=REFERENCE_SAMPLES)
        self._improved: deque[float] = deque(maxlen=LEARNING_SAMPLES)
        self._recent: deque[float] = deque(maxlen=_RECENT_SAMPLES)
        self._centre = 0.0
        self._scale = figure.scale_floor
        self._up = self._down = 0.0
        self._up_since_ns = self._down_since_ns = 0
        self._until_refresh = _REFRESH_SAMPLES
        self.state = State.LEARNING
        self.since_ns: int | None = None
        self.samples = 0
        self.anomalies = 0
        self.last_anomaly_ns: int | None = None

    @property
    def reference(self) -> float | None:
        """The level it is compared with, in the figure's unit; None while learning."""
        return None if self.state is State.LEARNING else self._shown(self._centre)

    @property
    def now(self) -> float | None:
        """Median of the newest ten samples, in the figure's unit; None before the first."""
        newest = list(self._recent)[-_SHOWN_SAMPLES:]
        return self._shown(median(newest)) if newest else None

    def observe(self, value: float, *, monotonic_ns: int, utc_ns: int) -> None:
        """Take one finite sample in."""
        sample = self._compared(value)
        self.samples += 1
        if self.state is State.LEARNING:
            self._learn(sample)
        else:
            distance = (sample - self._centre) / self._scale
            self._look_at(sample, distance, utc_ns=utc_ns)
            self._sum_up(max(-_CAP, min(_CAP, distance)), monotonic_ns)
            self._judge()
            self._keep(sample)
        self._recent.append(sample)

    def _learn(self, sample: float) -> None:
        self._accepted.append(sample)
        if len(self._accepted) >= LEARNING_SAMPLES:
            self._refresh()
            self.state = State.STEADY

    def _look_at(self, sample: float, distance: float, *, utc_ns: int) -> None:
        # After a change of level everything is far from the reference: what lies far from the
        # newest samples too stands alone.
        if abs(distance) <= ANOMALY_SCALES:
            return
        centre, spread = _robust(self._recent)
        if abs(sample - centre) > ANOMALY_SCALES * max(spread, self._figure.scale_floor):
            self.anomalies += 1
            self.last_anomaly_ns = utc_ns

    def _sum_up(self, distance: float, now_ns: int) -> None:
        if self._up == 0.0:
            self._up_since_ns = now_ns
        if self._down == 0.0:
            self._down_since_ns = now_ns
        self._up = max(0.0, self._up + distance - ALLOWANCE)
        self._down = max(0.0, self._down - distance - ALLOWANCE)

    def _judge(self) -> None:
        rise, fall = self._names()
        if self._up > THRESHOLD:
            self._change(rise, self._up_since_ns)
        elif self._down > THRESHOLD:
            self._change(fall, self._down_since_ns)
        elif (self.state is rise and not self._up) or (self.state is fall and not self._down):
            self._calm()
        self._up, self._down = min(self._up, THRESHOLD), min(self._down, THRESHOLD)

    def _names(self) -> tuple[State, State]:
        if self._figure.better is Better.LESS:
            return State.WORSE, State.BETTER
        return State.BETTER, State.WORSE

    def _change(self, state: State, since_ns: int) -> None:
        if self.state is not state:
            self.state, self.since_ns = state, since_ns
            self._improved.clear()

    def _calm(self) -> None:
        self.state, self.since_ns = State.STEADY, None
        self._improved.clear()

    def _keep(self, sample: float) -> None:
        if self.state is State.BETTER:
            self._improved.append(sample)
            if len(self._improved) >= LEARNING_SAMPLES:
                self._accepted = deque(self._improved, maxlen=REFERENCE_SAMPLES)
                self._refresh()
                self._up = self._down = 0.0
                self._calm()
        elif self.state is State.STEADY and max(self._up, self._down) < THRESHOLD / 2:
            self._accepted.append(sample)
            self._until_refresh -= 1
            if self._until_refresh <= 0:
                self._refresh()

    def _refresh(self) -> None:
        # The mean of samples cut at the cap that the sums use: also of skewed figures, and of those
        # with few values, the sums then have no drift of their own. Where the cap is depends on
        # what it leaves, so it is widened until it agrees with itself.
        samples = np.array(self._accepted)
        centre, scale = _robust(self._accepted)
        for _ in range(_WIDENINGS):
            reach = _CAP * max(scale, self._figure.scale_floor)
            cut = np.clip(samples, centre - reach, centre + reach)
            before, centre, scale = scale, float(cut.mean()), float(cut.std()) * _wandering(cut)
            if scale <= before * _SETTLED:
                break
        self._centre, self._scale = centre, max(scale, self._figure.scale_floor)
        self._until_refresh = _REFRESH_SAMPLES

    def _compared(self, value: float) -> float:
        if self._figure.is_ratio:
            return math.log(min(max(value, _SMALLEST), _LARGEST))
        return max(-_LARGEST, min(_LARGEST, value))

    def _shown(self, level: float) -> float:
        return math.exp(level) if self._figure.is_ratio else level


class DegradationWatch:
    """Watches several figures, one detector each.

    Parameters
    ----------
    clock : Clock
        Source of both times.
    figures : mapping of str to WatchedFigure
        What may be observed; the number of names bounds the memory.
    """

    def __init__(self, *, clock: Clock, figures: Mapping[str, WatchedFigure] = WATCHED) -> None:
        self._clock = clock
        self._figures = dict(figures)
        self._detectors = {name: ChangeDetector(one) for name, one in self._figures.items()}

    def observe(self, name: str, value: float | None) -> None:
        """Take one sample of a figure in; None and what is not finite say nothing.

        Raises
        ------
        ValidationError
            If no figure of this name is watched.
        """
        detector = self._detectors.get(name)
        if detector is None:
            raise ValidationError(f"{name!r} is not watched, only {', '.join(self._detectors)}")
        if value is not None and math.isfinite(value):
            now_ns, utc_ns = self._clock.monotonic_ns(), self._clock.utc_ns()
            detector.observe(float(value), monotonic_ns=now_ns, utc_ns=utc_ns)

    def degraded(self) -> tuple[tuple[str, str], ...]:
        """Return name and description of every figure that became worse."""
        return tuple(
            (name, self._description(name, detector))
            for name, detector in self._detectors.items()
            if detector.state is State.WORSE
        )

    def figures(self) -> dict[str, Any]:
        """Return the state of every figure that was observed, and the names of the worse ones.

        ``reference`` and ``now`` are in the figure's unit; ``since_s`` counts from the estimated
        beginning of a change, None without one; ``last_anomaly_ms`` is UTC milliseconds.
        """
        seen = {name: one for name, one in self._detectors.items() if one.samples}
        return {
            "figures": {name: self._row(one) for name, one in seen.items()},
            "degraded": [name for name, _ in self.degraded()],
        }

    def _row(self, detector: ChangeDetector) -> dict[str, Any]:
        at_ns = detector.last_anomaly_ns
        return {
            "state": detector.state.value,
            "reference": _rounded(detector.reference),
            "now": _rounded(detector.now),
            "since_s": self._since_s(detector),
            "samples": detector.samples,
            "anomalies": detector.anomalies,
            "last_anomaly_ms": None if at_ns is None else at_ns // _NS_PER_MS,
        }

    def _since_s(self, detector: ChangeDetector) -> float | None:
        if detector.since_ns is None:
            return None
        return round((self._clock.monotonic_ns() - detector.since_ns) / _NS_PER_S, 1)

    def _description(self, name: str, detector: ChangeDetector) -> str:
        unit = self._figures[name].unit
        now, reference = _rounded(detector.now), _rounded(detector.reference)
        since_s = self._since_s(detector)
        text = f"now {now:g} {unit}, before {reference:g} {unit}, for {since_s:.0f} s"
        return " ".join(text.replace(" ,", ",").split())


def _robust(samples: Sequence[float]) -> tuple[float, float]:
    values = np.array(samples)
    centre = float(np.median(values))
    return centre, _NORMAL_MAD * float(np.median(np.abs(values - centre)))


def _wandering(values: NDArray[np.float64]) -> float:
    # Long-run over short-run deviation of an autoregression of first order, from what its
    # correlation exceeds chance by; 1 for independent samples.
    gaps = values - values.mean()
    whole = float(gaps @ gaps)
    if whole == 0.0:
        return 1.0
    correlation = float(gaps[1:] @ gaps[:-1]) / whole - 2.0 / math.sqrt(values.size)
    correlation = min(max(correlation, 0.0), _MOST_CORRELATED)
    return math.sqrt((1.0 + correlation) / (1.0 - correlation))


def _rounded(value: float | None) -> float | None:
    return None if value is None else float(f"{value:.4g}")
