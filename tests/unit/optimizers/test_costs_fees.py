import json
from pathlib import Path

import pytest

from optimizers.costs.fees import FeeTables, own_rates, tier_key, with_own
from trading_system.domain.errors import ConfigurationError, ValidationError

TABLES = FeeTables.load()


def row(**changes: object) -> dict[str, object]:
    return {
        "product": "spot", "tier": "A", "maker": "0.001", "taker": "0.002",
        "source": "me", "as_of": "2026-01-01", **changes,
    }  # fmt: skip


def write(folder: Path, document: object, name: str = "bybit.json") -> Path:
    folder.mkdir(exist_ok=True)
    text = document if isinstance(document, str) else json.dumps(document)
    (folder / name).write_text(text)
    return folder


def table(*rows: object) -> dict[str, object]:
    return {"format": 1, "exchange": "Bybit", "note": "", "rows": list(rows)}


@pytest.mark.parametrize(
    ("exchange", "product", "tier", "maker", "taker"),
    [
        ("bybit", "spot", "VIP 0", 0.001, 0.001),
        ("bybit", "spot", "VIP 5", 0.0004, 0.0005),
        ("bybit", "perpetual", "VIP 0", 0.0002, 0.00055),
        ("bybit", "perpetual", "VIP 3", 0.00014, 0.00035),
        ("bybit", "perpetual", "Supreme VIP", 0.0, 0.0003),
        ("okx", "spot", "Lv1", 0.0008, 0.001),
        ("okx", "spot", "VIP 8", -0.00005, 0.0002),
        ("okx", "perpetual", "Lv1", 0.0002, 0.0005),
    ],
)
def test_shipped_rates_are_those_of_the_sources(exchange, product, tier, maker, taker) -> None:
    rates = TABLES.rates(exchange, product, tier)
    assert (rates.maker, rates.taker, rates.tier) == (maker, taker, tier)


def test_every_shipped_row_names_its_source_and_date() -> None:
    for exchange in TABLES.exchanges:
        for product in ("spot", "perpetual"):
            for tier in TABLES.tiers(exchange, product):
                rates = TABLES.rates(exchange, product, tier)
                assert rates.source
                assert rates.as_of
                assert rates.maker <= rates.taker


def test_bybit_has_its_six_levels_and_supreme_for_both_products() -> None:
    names = (*(f"VIP {level}" for level in range(6)), "Supreme VIP")
    assert TABLES.tiers("bybit", "spot") == TABLES.tiers("BYBIT", "Perpetual") == names


def test_own_rates_come_before_the_tier_and_say_so() -> None:
    listed = TABLES.rates("bybit", "perpetual", "VIP 0")
    assert with_own(listed) is listed
    both = with_own(listed, maker_bps=-0.5, taker_bps=3.0)
    assert (both.maker, both.taker, both.tier) == (-0.00005, 0.0003, "own")
    assert both.source == "given with the request"
    maker = with_own(listed, maker_bps=1.0)
    assert (maker.maker, maker.taker) == (0.0001, listed.taker)
    assert "taker of tier VIP 0" in maker.source
    taker = with_own(listed, taker_bps=1.0)
    assert (taker.maker, taker.taker) == (listed.maker, 0.0001)
    assert "maker of tier VIP 0" in taker.source


def test_a_tier_is_found_however_it_is_spelled() -> None:
    assert TABLES.rates("bybit", "spot", "vip-1") is TABLES.rates("Bybit", "SPOT", "VIP_1")
    assert tier_key("Supreme VIP") == "supremevip"


def test_unknown_names_are_refused_and_existing_ones_told() -> None:
    with pytest.raises(ValidationError, match="bybit, okx"):
        TABLES.rates("kraken", "spot", "VIP 0")
    with pytest.raises(ValidationError, match="spot, perpetual"):
        TABLES.tiers("bybit", "option")
    with pytest.raises(ValidationError, match=r"there is only Lv1; or give maker_bps"):
        TABLES.rates("okx", "perpetual", "VIP 8")


def test_the_fee_is_weighted_by_the_maker_share() -> None:
    fee = TABLES.fee_bps("bybit", "perpetual", "VIP 0", maker_share=0.25)
    assert fee == pytest.approx(0.25 * 2.0 + 0.75 * 5.5, abs=1e-12)


@pytest.mark.parametrize("share", [-0.1, 1.1, float("nan")])
def test_a_maker_share_outside_its_range_is_refused(share) -> None:
    with pytest.raises(ValidationError, match="maker_share"):
        TABLES.fee_bps("bybit", "perpetual", "VIP 0", maker_share=share)


def test_an_own_table_replaces_its_exchange_and_leaves_the_others(tmp_path: Path) -> None:
    tables = FeeTables.load(write(tmp_path / "own", table(row())))
    assert tables.tiers("bybit", "spot") == ("A",)
    assert tables.rates("bybit", "spot", "a").taker == 0.002
    assert tables.tiers("okx", "spot") == TABLES.tiers("okx", "spot")


@pytest.mark.parametrize(
    "document",
    [
        "no json", "[1]", '{"format": 2}', {"format": 1, "exchange": "", "rows": [row()]},
        {"format": 1, "exchange": "x", "rows": []}, table("text"), table(row(extra="1")),
        table(row(maker=0.1)), table(row(maker="nan")), table(row(taker="0.5")),
        table(row(product="option")), table(row(tier="")), table(row(), row(tier="a")),
        " " * (1024 * 1024 + 1),
    ],
)  # fmt: skip
def test_a_table_that_is_not_understood_is_refused(tmp_path: Path, document: object) -> None:
    with pytest.raises(ConfigurationError, match="fee table"):
        FeeTables.load(write(tmp_path / "own", document))


def test_a_folder_without_tables_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="1 to 64"):
        FeeTables.load(tmp_path / "missing")
    with pytest.raises(ConfigurationError, match="1 to 64"):
        FeeTables.load(tmp_path)
    (tmp_path / "x.json").mkdir()
    with pytest.raises(ConfigurationError, match="cannot be read"):
        FeeTables.load(tmp_path)


def test_own_rates_are_checked() -> None:
    rates = own_rates(maker="-0.0001", taker=0.0004, source="venue", as_of="2026-11-20")
    assert (rates.maker, rates.taker, rates.tier) == (-0.0001, 0.0004, "own")
    with pytest.raises(ValidationError, match="not fees"):
        own_rates(maker=0.0, taker=0.2, source="venue", as_of="2026")
