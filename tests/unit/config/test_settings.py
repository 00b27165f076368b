from __future__ import annotations

import json
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trading_system.config.settings import (
    KNOWN_BY_NAME,
    Settings,
    load_settings,
    variables,
)
from trading_system.domain.errors import ConfigurationError

FREE_PATHS = {"TRADING_COST__FEE_TABLES", "TRADING_DATA_DIR", "TRADING_VENUE__STATE"}
EXAMPLE = Path(__file__).parents[3] / ".env.example"
NOWHERE = Path("/nonexistent")


def load(arguments=None, *, environ=None, dotenv=None, config=None, folder=NOWHERE) -> Settings:
    if dotenv is not None:
        (folder / ".env").write_text(dotenv)
    if config is not None:
        text = config if isinstance(config, str) else json.dumps(config)
        (folder / "config.json").write_text(text)
    return load_settings(
        arguments or {},
        environ=environ or {},
        dotenv_path=folder / ".env",
        config_path=folder / "config.json",
    )


def refusal(arguments=None, **sources) -> str:
    with pytest.raises(ConfigurationError) as e:
        load(arguments, **sources)
    message = str(e.value)
    assert "\n" not in message
    return message


def test_defaults_are_the_documented_ones():
    settings = load()
    assert settings.environment == "simulated"
    assert settings.symbols == ("BTCUSDT", "ETHUSDT")
    assert (settings.data_dir, settings.duration_s) == (Path(".trading"), None)


def test_each_source_wins_over_the_next(tmp_path):
    sources = {
        "config": {"venue": {"seed": 5}},
        "dotenv": "TRADING_VENUE__SEED=4",
        "environ": {"TRADING_VENUE__SEED": "3"},
    }
    assert load({"venue": {"seed": 2}}, folder=tmp_path, **sources).venue.seed == 2
    assert load(folder=tmp_path, **sources).venue.seed == 3
    assert load(folder=tmp_path).venue.seed == 4
    (tmp_path / ".env").unlink()
    assert load(folder=tmp_path).venue.seed == 5
    (tmp_path / "config.json").unlink()
    assert load(folder=tmp_path).venue.seed == 1


def test_sources_complete_each_other_within_a_section(tmp_path):
    settings = load(
        {"venue.edge": 0},
        environ={"TRADING_VENUE__ACTIVITY": "2"},
        dotenv="TRADING_VENUE__SPEED=3",
        config={"venue": {"seed": 9}},
        folder=tmp_path,
    )
    venue = settings.venue
    assert (venue.edge_bps, venue.activity, venue.speed, venue.seed) == (0, 2, 3, 9)


def test_arguments_may_be_nested_or_dotted_and_none_means_not_given():
    environ = {"TRADING_DURATION_S": "7"}
    settings = load(
        {"risk.collar_bps": 20, "venue": {"edge_bps": 1}, "duration_s": None}, environ=environ
    )
    assert (settings.risk.collar_bps, settings.venue.edge_bps) == (Decimal(20), 1.0)
    assert settings.duration_s == 7.0


def test_symbols_are_split_at_commas():
    assert load(environ={"TRADING_SYMBOLS": " SOLUSDT, XRPUSDT ,"}).symbols == (
        "SOLUSDT",
        "XRPUSDT",
    )
    assert load({"symbols": ["SOLUSDT"]}).symbols == ("SOLUSDT",)


def test_empty_variable_means_not_set(tmp_path):
    settings = load(
        environ={"TRADING_VENUE__SEED": ""}, dotenv="TRADING_VENUE__SEED=4", folder=tmp_path
    )
    assert settings.venue.seed == 4


def test_settings_are_frozen():
    with pytest.raises(ValueError, match="frozen"):
        load().environment = "mainnet"


def test_settings_by_themselves_read_no_environment(monkeypatch):
    monkeypatch.setenv("ENVIRONMENT", "testnet")
    monkeypatch.setenv("TRADING_ENVIRONMENT", "testnet")
    assert Settings().environment == "simulated"
    assert load_settings({}, dotenv_path=NOWHERE, config_path=NOWHERE).environment == "testnet"


@pytest.mark.parametrize(
    ("environ", "expected"),
    [
        (
            {"TRADING_VENUE__EDG": "3"},
            "TRADING_VENUE__EDG (environment) is not a setting; did you mean TRADING_VENUE__EDGE?",
        ),
        (
            {"TRADING_VENU__SEED": "3"},
            "TRADING_VENU__SEED (environment) is not a setting; did you mean TRADING_VENUE__SEED?",
        ),
        (
            {"trading_venue__seed": "3"},
            "trading_venue__seed (environment) is not a setting; did you mean TRADING_VENUE__SEED?",
        ),
        (
            {"TRADING_QQQ": "3"},
            "TRADING_QQQ (environment) is not a setting; remove it (see .env.example)",
        ),
        (
            {"TRADING_LIVE_CONFRIM": "3"},
            (
                "TRADING_LIVE_CONFRIM (environment) is not a setting; "
                "did you mean TRADING_LIVE_CONFIRM?"
            ),
        ),
        (
            {"TRADING_RISK__COLLAR_BPS": "-1"},
            (
                "TRADING_RISK__COLLAR_BPS (environment): input should be greater than 0, "
                "was '-1'; the default is 50"
            ),
        ),
        (
            {"TRADING_ENVIRONMENT": "prod"},
            (
                "TRADING_ENVIRONMENT (environment): input should be 'simulated', 'testnet', 'demo' "
                "or 'mainnet', was 'prod'; the default is simulated"
            ),
        ),
        (
            {"TRADING_SYMBOLS": "BTCUSDT,BTCUSDT"},
            "TRADING_SYMBOLS names a symbol twice; remove one",
        ),
        (
            {"TRADING_VENUE__MARKET": "replay"},
            "TRADING_VENUE__MARKET=replay needs a recording; set TRADING_VENUE__RECORDING",
        ),
    ],
)
def test_refusals_name_setting_and_remedy(environ, expected):
    assert refusal(environ=environ) == expected


@pytest.mark.parametrize(
    "name",
    [v.name for v in variables().values() if not v.is_secret and v.name not in FREE_PATHS],
)
def test_every_setting_names_itself_when_its_value_is_wrong(name):
    assert "TRADING_" in refusal(environ={name: "?wrong\nvalue?"})


def test_other_variables_are_left_alone():
    load(environ={"PATH": "x", "TRADINGX": "y", **dict.fromkeys(KNOWN_BY_NAME, "z")})


def test_wrong_arguments_are_named_as_settings():
    assert refusal({"venue.seed": "x"}).startswith("TRADING_VENUE__SEED (argument): ")
    assert refusal({"venue": {"sed": 1}}) == (
        "venue.sed (argument) is not a setting; did you mean venue.seed?"
    )
    assert refusal({"venue": 5}).startswith("venue (argument) is not a setting")


@pytest.mark.parametrize("value", ["s3cret", "s3cret" * 50, 5, ["s3cret"]])
def test_secrets_never_reach_errors_or_texts(value):
    arguments = {"bybit": {"api_key": value, "api_secret": "s3cret", "recv_window_ms": "x"}}
    with pytest.raises(ConfigurationError) as e:
        load(arguments)
    assert "s3cret" not in str(e.value)
    assert e.value.__cause__ is None
    assert e.value.__context__ is None


def test_secrets_are_hidden_in_the_root():
    settings = load(
        environ={"TRADING_BYBIT__API_KEY": "s3cret", "TRADING_BYBIT__API_SECRET": "s3cret"}
    )
    assert "s3cret" not in f"{settings!r}{settings}{settings.model_dump()}"


def test_mainnet_needs_its_confirmation():
    needed = (
        "TRADING_ENVIRONMENT=mainnet trades real money; set also TRADING_LIVE_CONFIRM=I-UNDERSTAND"
    )
    assert refusal({"environment": "mainnet"}) == needed
    for wrong in ("", "yes", "i-understand", "I-UNDERSTAND "):
        environ = {"TRADING_LIVE_CONFIRM": wrong, "TRADING_ENVIRONMENT": "mainnet"}
        assert refusal(environ=environ) == needed
    environ = {"TRADING_LIVE_CONFIRM": "I-UNDERSTAND"}
    assert load({"environment": "mainnet"}, environ=environ).environment == "mainnet"


def test_what_only_reads_needs_no_confirmation_for_mainnet():
    settings = load_settings(
        {"environment": "mainnet"},
        environ={},
        dotenv_path=NOWHERE,
        config_path=NOWHERE,
        only_reads=True,
    )
    assert settings.environment == "mainnet"


def test_dotenv_understands_quotes_comments_and_export(tmp_path):
    dotenv = """
    # a comment
    TRADING_BYBIT__API_KEY = "a b # c"
    export TRADING_BYBIT__API_SECRET='it$x'
    TRADING_BYBIT__REST_URL=http://127.0.0.1:80
    TRADING_VENUE__SEED=5   # five
    TRADING_VENUE__SPEED=
    TRADING_LOG__LEVEL= # default
    OTHER=left alone
    """
    settings = load(dotenv=dotenv, folder=tmp_path)
    assert settings.bybit.api_key.get_secret_value() == "a b # c"
    assert settings.bybit.api_secret.get_secret_value() == "it$x"
    assert (settings.venue.seed, settings.venue.speed, settings.log.level) == (5, 1.0, "info")


def test_hash_inside_a_plain_value_belongs_to_it(tmp_path):
    dotenv = "TRADING_BYBIT__API_KEY=a#b\nTRADING_BYBIT__API_SECRET=c"
    settings = load(dotenv=dotenv, folder=tmp_path)
    assert settings.bybit.api_key.get_secret_value() == "a#b"


@pytest.mark.parametrize("line", ["TRADING_VENUE__SEED", "= 5", 'X="open', "X='a' b", "1X=2"])
def test_dotenv_lines_that_are_no_assignment_are_refused(tmp_path, line):
    message = refusal(dotenv=f"\n{line}", folder=tmp_path)
    assert message == f"{tmp_path}/.env line 2 is not NAME=VALUE; repair or remove it"


def test_unknown_names_in_dotenv_are_refused(tmp_path):
    message = refusal(dotenv="TRADING_VENUE__SEDE=1", folder=tmp_path)
    assert message.endswith("is not a setting; did you mean TRADING_VENUE__SEED?")


def test_the_guides_config_file_reaches_its_settings(tmp_path):
    performance = {
        "enable_caching": True,
        "price_cache_ttl": 0.1,
        "order_book_cache_ttl": 0.2,
        "volatility_cache_ttl": 60,
        "min_api_interval": 0.05,
        "max_ticker_response_time": 0.5,
        "max_order_response_time": 1.5,
        "max_volatility_calc_time": 0.1,
        "batch_size": 4,
        "batch_timeout": 0.1,
        "performance_log_interval": 300,
    }
    config = {"trading": {"update_interval": 3}, "performance": performance}
    settings = load(config=config, folder=tmp_path)
    assert settings.market_maker.update_interval_s == 3.0
    assert settings.performance.max_order_response_time_s == 1.5
    assert settings.performance.batch_size == 4


@pytest.mark.parametrize(
    ("config", "expected"),
    [
        ("{", "is not valid JSON"),
        ("[" * 100_000, "is not valid JSON"),
        ("[]", "must hold one JSON object"),
        ({"venue": {"sede": 1}}, "did you mean venue.seed?"),
        ({"venu": {"seed": 1}}, "did you mean venue.seed?"),
        ({"venue": {"seed": {"deep": 1}}}, "was {'deep': 1}"),
        ({"venue": {"seed": "x"}}, "venue.seed in "),
        ({"trading": {"update_interval": "x"}}, "trading.update_interval in "),
        ('{"venue": {"edge": NaN}}', "finite"),
        ('{"trading": {"update_interval": NaN}}', "finite"),
        ({"risk": {"max_order_notional": 0}}, "risk.max_order_notional in "),
    ],
)
def test_config_file_refusals_say_what_is_wrong(tmp_path, config, expected):
    assert expected in refusal(config=config, folder=tmp_path)


def test_files_that_cannot_be_read_are_refused(tmp_path):
    (tmp_path / "config.json").write_bytes(b"\xff\xfe")
    assert "cannot be read" in refusal(folder=tmp_path)
    (tmp_path / "config.json").write_text(" " * (1024 * 1024 + 1))
    assert "larger than 1 MiB" in refusal(folder=tmp_path)
    (tmp_path / "config.json").unlink()
    (tmp_path / ".env").mkdir()
    assert "cannot be read" in refusal(folder=tmp_path)


@given(st.text(max_size=30), st.text(max_size=30))
def test_no_name_and_no_value_escapes_as_another_error(name, value):
    message = refusal(environ={f"TRADING_{name}": value, "TRADING_QQQ": value})
    assert message.isprintable()


def test_example_file_lists_every_variable_with_its_default_and_meaning():
    lines = EXAMPLE.read_text().splitlines()
    listed = [line for line in lines if line and not line.startswith("#")]
    known = [f"{v.name}={v.default}" for v in variables().values()]
    assert listed == known + [f"{name}=" for name in KNOWN_BY_NAME]
    for variable in variables().values():
        at = lines.index(f"{variable.name}={variable.default}")
        assert lines[at - 1] == f"# {variable.meaning}"


def test_example_file_loads_as_the_defaults():
    assert load_settings({}, environ={}, dotenv_path=EXAMPLE, config_path=NOWHERE) == load()
