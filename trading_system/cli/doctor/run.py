"""Runs all preflight checks; the command exits 1 if one failed."""

from __future__ import annotations

import asyncio
from typing import Any

from trading_system.cli.doctor.findings import Finding, failed, is_fit, ok
from trading_system.cli.doctor.machine import machine_findings
from trading_system.cli.doctor.probe import Probe
from trading_system.cli.doctor.venue import venue_findings
from trading_system.config.settings import Settings, load_settings
from trading_system.domain.errors import ConfigurationError
from trading_system.domain.ports import Clock
from trading_system.live.access import signer_of
from trading_system.runtime.clock import SystemClock
from trading_system.venues.bybit.hosts import endpoints

_KEY_REMEDY = "set TRADING_BYBIT__API_KEY and TRADING_BYBIT__API_SECRET"


def examine(given: dict[str, Any]) -> dict[str, Any]:
    """Return ``{"fit", "checks"}`` for the settings with the options ``given``."""
    return asyncio.run(_examine(given, clock=SystemClock()))


async def _examine(given: dict[str, Any], *, clock: Clock) -> dict[str, Any]:
    try:
        settings = load_settings(given)
    except ConfigurationError as e:
        problem, _, remedy = str(e).rpartition("; ")
        findings = [failed("configuration", problem or remedy, remedy)]
        # The machine can be judged all the same, with the defaults.
        findings += machine_findings(Settings())
    else:
        symbols = ", ".join(settings.symbols)
        findings = [ok("configuration", f"{settings.environment}, {symbols}")]
        findings += machine_findings(settings)
        findings += await remote_findings(settings, clock=clock)
    return {"fit": is_fit(findings), "checks": [finding.as_row() for finding in findings]}


async def remote_findings(settings: Settings, *, clock: Clock) -> list[Finding]:
    """Return the checks of the venue that ``settings`` name, if it is not the embedded one."""
    bybit = settings.bybit
    if settings.environment == "simulated" and bybit.rest_url is None:
        return [ok("venue", "embedded: no key and no network needed")]
    try:
        signer = signer_of(bybit)
        if signer is None:
            detail = f"{settings.environment} needs an API key"
            return [failed("venue", detail, _KEY_REMEDY)]
        base_url = endpoints(
            settings.environment, rest_url=bybit.rest_url, ws_url=bybit.ws_url
        ).rest
    except ConfigurationError as e:
        problem, _, remedy = str(e).partition("; ")
        return [failed("venue", problem, remedy)]
    timeout_s = bybit.request_timeout_s
    async with Probe(base_url, signer=signer, clock=clock, timeout_s=timeout_s) as probe:
        return await venue_findings(probe, settings, utc_ns=clock.utc_ns)
