import numpy as np
import pytest

from trading_system.domain.errors import ValidationError
from trading_system.domain.signals import FEATURE_NAMES
from trading_system.evaluation.datasets import HORIZONS_S, Dataset
from trading_system.evaluation.walk_forward import folds, timeline


def test_no_label_that_is_learned_from_reaches_the_test_span() -> None:
    time_s = np.arange(0, 1_000, 0.25)
    made = list(folds(time_s, count=4, label_s=10.0, embargo_s=30.0))
    assert len(made) == 4
    for fold in made:
        assert fold.train.any()
        assert not (fold.train & fold.test).any()
        assert time_s[fold.train].max() + 40.0 < time_s[fold.test].min()


def test_test_spans_cover_all_but_the_first_span_once() -> None:
    time_s = np.arange(0, 1_000, 0.25)
    made = list(folds(time_s, count=4, label_s=10.0, embargo_s=30.0))
    tested = np.sum([fold.test for fold in made], axis=0)
    assert (tested == (time_s >= made[0].test.nonzero()[0][0] * 0.25)).all()
    assert [fold.train.sum() for fold in made] == sorted(fold.train.sum() for fold in made)


@pytest.mark.parametrize(
    "wrong",
    [
        {"count": 0, "label_s": 1.0, "embargo_s": 1.0},
        {"count": 1, "label_s": -1.0, "embargo_s": 1.0},
        {"count": 1, "label_s": 1.0, "embargo_s": -1.0},
    ],
)
def test_impossible_splits_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ValidationError):
        list(folds(np.arange(10.0), **wrong))


def test_leaking_labels_are_what_purging_prevents() -> None:
    """Noise with overlapping labels looks predictable to a shuffled split, not to this one."""
    rng = np.random.default_rng(2)
    path = np.cumsum(rng.normal(size=4_050))
    labels = (path[50:] - path[:-50]) > 0
    inputs = np.column_stack((path[:-50], np.arange(4_000.0)))
    time_s = np.arange(4_000.0)

    def accuracy(train: np.ndarray, test: np.ndarray) -> float:
        distances = np.abs(inputs[test][:, None, :] - inputs[train][None, :, :]).sum(axis=2)
        nearest = distances.argmin(axis=1)
        return float((labels[train][nearest] == labels[test]).mean())

    shuffled = rng.permutation(4_000) < 3_200
    leaking = accuracy(shuffled, ~shuffled)
    honest = [
        accuracy(fold.train, fold.test)
        for fold in folds(time_s, count=3, label_s=50.0, embargo_s=100.0)
    ]
    assert leaking > 0.9
    assert np.mean(honest) < 0.65


def test_sessions_follow_each_other_on_one_time_axis() -> None:
    def data(groups: list[int], seconds: list[float]) -> Dataset:
        count = len(groups)
        return Dataset(
            inputs=np.zeros((count, len(FEATURE_NAMES))),
            moves=np.zeros((count, len(HORIZONS_S))),
            group=np.array(groups, dtype=np.int64),
            second=np.array(seconds, dtype=np.float64),
        )

    assert timeline(data([9, 9, 4], [0.0, 5.0, 3.0])).tolist() == [6.0, 11.0, 3.0]
    assert timeline(data([], [])).tolist() == []
