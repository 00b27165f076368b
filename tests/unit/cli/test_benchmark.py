from __future__ import annotations

import json

import pytest
from delay_server import DelayServer

from trading_system.cli.benchmark import benchmark_latency
from trading_system.config.settings import Settings
from trading_system.domain.errors import ConfigurationError, VenueUnavailable


def settings(rest_url: str) -> Settings:
    return Settings(
        bybit={"rest_url": rest_url, "ws_url": "ws://127.0.0.1:1"},
        optimization={"connection_pool_size": 2},
    )


async def test_benchmark_measures_the_given_host_with_all_keys():
    async with DelayServer() as server:
        result = await benchmark_latency(settings(server.url), 20)
        assert len(server.peers) == 2
    assert (result["environment"], result["base_url"]) == ("simulated", server.url)
    assert (result["iterations_completed"], result["errors"]) == (20, 0)
    assert set(result["split"]) == {
        "queue_ms",
        "connect_ms",
        "send_ms",
        "first_byte_ms",
        "response_ms",
        "total_ms",
    }
    assert result["split"]["connect_ms"]["samples"] == 2
    assert json.loads(json.dumps(result, allow_nan=False)) == result


async def test_host_that_never_answers_is_an_error_that_names_the_setting():
    with pytest.raises(VenueUnavailable, match="TRADING_BYBIT__REST_URL"):
        await benchmark_latency(settings("http://127.0.0.1:1"), 20)


@pytest.mark.parametrize("iterations", [0, 10_001])
async def test_number_of_iterations_out_of_range_is_misuse(iterations):
    with pytest.raises(ConfigurationError, match="--iterations must be 1 to 10000"):
        await benchmark_latency(settings("http://127.0.0.1:1"), iterations)
