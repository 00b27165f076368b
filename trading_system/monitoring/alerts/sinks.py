"""Who is told of alerts: the log always, and whatever apprise can reach."""

from __future__ import annotations

import logging
import warnings
from importlib import import_module
from types import ModuleType
from typing import Protocol

import structlog

from trading_system.config.operations import AlertSettings
from trading_system.domain.errors import AlertDeliveryError, ConfigurationError
from trading_system.domain.ports import AlertSink
from trading_system.monitoring.redaction import REDACTOR

_LOG = structlog.get_logger(__name__)


class LogSink:
    """Writes every message into the log as a warning."""

    @property
    def name(self) -> str:
        """How figures call it."""
        return "log"

    def send(self, title: str, text: str) -> None:
        """Write one line."""
        _LOG.warning("alert", title=title, text=text)


class Service(Protocol):
    """What apprise makes of an address."""

    def notify(self, *, title: str, body: str) -> object:
        """Return something true if the message was taken."""
        ...


class AppriseSink:
    """One address of apprise.

    Parameters
    ----------
    name : str
        The address's scheme; nothing else of it is shown anywhere.
    service : Service
        The notification object that apprise made of the address.
    """

    def __init__(self, name: str, service: Service) -> None:
        self._name = name
        self._service = service

    @property
    def name(self) -> str:
        """Scheme of the address."""
        return self._name

    def send(self, title: str, text: str) -> None:
        """Deliver one message; blocks as long as the service takes.

        Raises
        ------
        AlertDeliveryError
            If the service did not take it.
        """
        try:
            is_sent = self._service.notify(title=title, body=text)
        except Exception as e:  # services raise what they like, and may quote their address
            raise AlertDeliveryError(f"{self._name}: {type(e).__name__}") from None
        if not is_sent:
            raise AlertDeliveryError(f"{self._name}: the service did not take the message")


def sinks_of(settings: AlertSettings) -> list[AlertSink]:
    """Return one sink per address; apprise is imported only if there is one.

    The log is no part of it: :class:`~trading_system.monitoring.alerts.dispatch.Dispatcher` always
    writes there.

    Raises
    ------
    ConfigurationError
        If apprise does not understand an address; the text shows its place, never the address.
    """
    if not settings.urls:
        return []
    addresses = [secret.get_secret_value() for secret in settings.urls]
    for address in addresses:
        REDACTOR.add_address(address)
    # Apprise takes 17 MiB, which a system that tells nobody does not pay.
    apprise = import_module("apprise")
    # What fails is counted and said once by the dispatcher; apprise would repeat it every time.
    logging.getLogger("apprise").setLevel(logging.CRITICAL + 1)
    asset = apprise.AppriseAsset(
        app_id="trading-system", app_desc="trading-system", secure_logging=True, async_mode=False
    )
    return [
        _sink(apprise, asset, address, place) for place, address in enumerate(addresses, start=1)
    ]


def _sink(apprise: ModuleType, asset: object, address: str, place: int) -> AppriseSink:
    try:
        with warnings.catch_warnings():
            # Its plugins load modules that Python has deprecated; nobody here can change that.
            warnings.simplefilter("ignore", DeprecationWarning)
            service = apprise.Apprise.instantiate(address, asset=asset)
    except Exception:  # plugins raise what they like; the cause would show the address
        service = None
    if service is None:
        raise ConfigurationError(
            f"TRADING_ALERTS__URLS: apprise does not understand address number {place};"
            " see https://appriseit.com/services/ for their forms"
        )
    return AppriseSink(address.partition("://")[0].lower(), service)
