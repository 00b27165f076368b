from agents.conformance import made_up_market
from agents.mean_reversion import MeanReversionAgent
from agents.trend import TrendAgent


def test_trend_expects_a_move_to_go_on_and_reversion_to_come_back() -> None:
    for features in made_up_market(steps=400)[300:]:
        older = features.return_5s_bps - features.return_1s_bps
        score = TrendAgent("TESTUSDT").score(features)
        assert score == features.return_1s_bps + 0.5 * older
        back = MeanReversionAgent("TESTUSDT").score(features)
        assert back is not None
        assert back * (features.return_30s_bps - features.return_1s_bps) <= 0
