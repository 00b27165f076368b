"""Online calibration: how much of a model's score the market of this hour really delivers.

A model is trained on one market and used on another, where its relation may be weaker, absent or
reversed. Two Bayesian regressions of realised mid moves on the score answer that question.

The first looks at a short learning interval. Its slope is 0 with probability ``doubt`` (the model
knows nothing here) and normal around ``prior_slope`` otherwise; the posterior is the mixture of
both, weighted by their marginal likelihoods (Kass and Raftery, Bayes Factors, 1995, section 2).
The second looks at the whole horizon. It starts from the first one's posterior, widened because
what holds over one second need not hold over ten, and corrects it as long outcomes mature.

Each outcome is weighed by the variance that the market's present volatility implies. Samples
overlap, so each counts as its share of the interval: evidence grows with the time watched, not
with the sampling rate. Outcomes that come after a silence teach nothing. Old evidence fades.
"""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass

from agents.artifacts import Scaling

_NS_PER_S = 1_000_000_000
_BPS = 10_000.0
_MAX_PENDING = 4_096
_LATE = 1.5
_TAIL = 4.0
_PATIENCE = 4.0
_LONG_PATIENCE = 6.0
_FLOOR_VARIANCE = 0.25
_NO_SCORE_BPS = 1e-9


@dataclass(frozen=True, slots=True, kw_only=True)
class CalibrationParameters:
    """What is believed before the first outcome, and how evidence is gathered.

    Parameters
    ----------
    horizon_s : float
        How far ahead the score looks, seconds.
    learning_s : float
        The short interval, seconds, below the horizon.
    learning_share : float
        Part of the score that should be realised within the short interval, positive.
    sample_s : float
        Distance of samples, seconds.
    warm_up_s : float
        Time before the first sample, seconds: averages are not formed yet.
    memory_s : float
        Time constant with which old evidence fades, seconds.
    prior_slope, prior_deviation : float
        Mean and standard deviation of the slope if there is a relation.
    doubt : float
        Prior probability that there is none, in (0, 1).
    transfer : float
        Standard deviation of the ratio of long to short slope around 1.
    learning_noise, prior_noise : float
        Residual variance over that of a random walk of the present volatility, in the short
        interval and at the horizon.
    min_matured : int
        Matured outcomes before the first expectation.
    """

    horizon_s: float = 10.0
    learning_s: float = 1.0
    learning_share: float = 0.14
    sample_s: float = 0.1
    warm_up_s: float = 0.5
    memory_s: float = 600.0
    prior_slope: float = 1.0
    prior_deviation: float = 0.4
    doubt: float = 0.65
    transfer: float = 0.2
    learning_noise: float = 1.6
    prior_noise: float = 2.0
    min_matured: int = 4

    @classmethod
    def trained(cls, scaling: Scaling) -> CalibrationParameters:
        """Return the defaults with what training has measured of a model."""
        return cls(
            horizon_s=scaling.horizon_s,
            learning_share=scaling.learning_share,
            prior_noise=scaling.noise,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Expectation:
    """What a score is worth now.

    Parameters
    ----------
    move_bps, uncertainty_bps : float
        Expected mid move over the horizon and its standard error, basis points.
    p_up : float
        Probability that the mid is higher at the end of the horizon, in [0, 1].
    """

    move_bps: float
    uncertainty_bps: float
    p_up: float


@dataclass(frozen=True, slots=True)
class Slope:
    """Mean and variance of what is believed of a slope."""

    mean: float
    variance: float


class Evidence:
    """Fading sums of one regression through the origin, and its noise.

    Parameters
    ----------
    interval_s : float
        Time over which an outcome matures, seconds.
    share : float
        Part of the score that the interval should realise.
    prior_noise : float
        Expected squared residual over its implied variance; counts as ``patience`` intervals.
    """

    def __init__(
        self, interval_s: float, *, share: float, prior_noise: float, patience: float, fade: float
    ) -> None:
        self.interval_s = interval_s
        self._share = share
        self._fade = fade
        self._gram = 0.0
        self._moment = 0.0
        self._squares = prior_noise * patience
        self._weight = patience

    @property
    def noise(self) -> float:
        """Squared residuals over the variance that the volatility implies."""
        return self._squares / self._weight

    def variance(self, volatility_bps: float) -> float:
        """Return the variance of a move that the volatility alone implies, square bps."""
        return max(_FLOOR_VARIANCE, volatility_bps * volatility_bps) * self.interval_s

    def add(
        self, score_bps: float, move_bps: float, *, variance: float, share: float, slope: float
    ) -> None:
        """Take one outcome; ``share`` is how much of an independent one it is."""
        expected = self._share * score_bps
        error = move_bps - slope * expected
        fade = self._fade
        # A move far beyond the noise tells more of a burst than of the slope: Student's weights.
        robust = share / (1.0 + error * error / (_TAIL * variance * self.noise))
        self._gram = self._gram * fade + robust * expected * expected / variance
        self._moment = self._moment * fade + robust * expected * move_bps / variance
        self._squares = self._squares * fade + share * error * error / variance
        self._weight = self._weight * fade + share

    def posterior(self, prior: Slope) -> Slope:
        """Return what is believed of the slope, for a normal prior."""
        precision = 1.0 / prior.variance + self._gram / self.noise
        moment = prior.mean / prior.variance + self._moment / self.noise
        return Slope(moment / precision, 1.0 / precision)

    def log_odds(self, prior: Slope, posterior: Slope) -> float:
        """Return the log Bayes factor of a relation over none."""
        spread = 0.5 * math.log(posterior.variance / prior.variance)
        fit = posterior.mean**2 / posterior.variance - prior.mean**2 / prior.variance
        return spread + 0.5 * fit


@dataclass(frozen=True, slots=True)
class _Sample:
    ts_ns: int
    mid: float
    score_bps: float
    volatility_bps: float


class OnlineCalibration:
    """Learns the slope of realised moves on one model's score, for one symbol."""

    def __init__(self, parameters: CalibrationParameters) -> None:
        self._parameters = parameters
        fade = math.exp(-parameters.sample_s / parameters.memory_s)
        self._prior = Slope(parameters.prior_slope, parameters.prior_deviation**2)
        self._short = Evidence(
            parameters.learning_s,
            share=parameters.learning_share,
            prior_noise=parameters.learning_noise,
            patience=_PATIENCE,
            fade=fade,
        )
        self._long = Evidence(
            parameters.horizon_s,
            share=1.0,
            prior_noise=parameters.prior_noise,
            patience=_LONG_PATIENCE,
            fade=fade,
        )
        self._waiting: tuple[deque[_Sample], deque[_Sample]] = (
            deque(maxlen=_MAX_PENDING),
            deque(maxlen=_MAX_PENDING),
        )
        self._start_ns: int | None = None
        self._next_ns = 0
        self._slope = self._blend()
        self.matured = 0

    @property
    def slope(self) -> Slope:
        """What is believed of the slope now."""
        return self._slope

    @property
    def is_ready(self) -> bool:
        """Whether enough outcomes have matured to say anything."""
        return self.matured >= self._parameters.min_matured

    def reset(self) -> None:
        """Drop samples that wait for their outcome; averages form anew. Slopes are kept."""
        for waiting in self._waiting:
            waiting.clear()
        self._start_ns = None

    def observe(self, score_bps: float, *, mid: float, volatility_bps: float, ts_ns: int) -> None:
        """Learn from outcomes that have matured and take a sample when one is due.

        Parameters
        ----------
        score_bps : float
            The model's raw prediction of the move over the horizon, basis points, finite.
        mid : float
            Quote currency, positive.
        volatility_bps : float
            Basis points per square root of a second.
        """
        parameters = self._parameters
        if self._start_ns is None:
            self._start_ns = ts_ns
            self._next_ns = ts_ns + round(parameters.warm_up_s * _NS_PER_S)
        now = _Sample(ts_ns, mid, score_bps, volatility_bps)
        short, long = self._waiting
        learned = self._mature(short, self._short, now, slope=self._slope.mean)
        self.matured += learned
        learned += self._mature(long, self._long, now, slope=self._slope.mean)
        if learned:
            self._slope = self._blend()
        if ts_ns >= self._next_ns:
            short.append(now)
            long.append(now)
            self._next_ns = ts_ns + round(parameters.sample_s * _NS_PER_S)

    def expect(self, score_bps: float, *, volatility_bps: float) -> Expectation:
        """Return what ``score_bps`` is worth at the present volatility."""
        move = self._slope.mean * score_bps
        uncertainty = math.sqrt(self._slope.variance) * abs(score_bps)
        noise = self._long.variance(volatility_bps) * self._long.noise
        p_up = 0.5 * (1.0 + math.erf(move / math.sqrt(2.0 * (noise + uncertainty**2))))
        return Expectation(move_bps=move, uncertainty_bps=uncertainty, p_up=p_up)

    def _mature(
        self, waiting: deque[_Sample], evidence: Evidence, now: _Sample, *, slope: float
    ) -> int:
        interval_ns = evidence.interval_s * _NS_PER_S
        share = self._parameters.sample_s / evidence.interval_s
        learned = 0
        while waiting and now.ts_ns - waiting[0].ts_ns >= interval_ns:
            then = waiting.popleft()
            if now.ts_ns - then.ts_ns > _LATE * interval_ns or abs(then.score_bps) < _NO_SCORE_BPS:
                continue
            evidence.add(
                then.score_bps,
                (now.mid / then.mid - 1.0) * _BPS,
                variance=evidence.variance(max(then.volatility_bps, now.volatility_bps)),
                share=share,
                slope=slope,
            )
            learned += 1
        return learned

    def _blend(self) -> Slope:
        parameters = self._parameters
        related = self._short.posterior(self._prior)
        odds = self._short.log_odds(self._prior, related)
        odds += math.log((1.0 - parameters.doubt) / parameters.doubt)
        belief = 1.0 / (1.0 + math.exp(-max(-700.0, min(700.0, odds))))
        mean = belief * related.mean
        variance = belief * (related.variance + related.mean**2) - mean**2
        variance += (parameters.transfer * mean) ** 2
        return self._long.posterior(Slope(mean, max(variance, 1e-12)))
