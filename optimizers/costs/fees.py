"""Dated fee tables of the exchanges, read from data files that a user may replace.

One file per exchange holds ``format``, ``exchange``, ``note`` and ``rows``; a row holds
``product`` (spot or perpetual), ``tier``, ``maker`` and ``taker`` as decimal text (fractions of
traded value, negative = rebate), ``source`` and ``as_of``. Rates without a trustworthy source are
left out rather than guessed; an account's own rates from the venue come before any table.
"""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

from optimizers.costs.figures import FeeRates
from optimizers.costs.quantity import finite
from trading_system.domain.errors import ConfigurationError, ValidationError

SHIPPED = Path(__file__).parent / "fees"
"""Folder of the tables that come with the project."""
PRODUCTS = ("spot", "perpetual")
"""Kinds of product that a table may price."""

_FORMAT = 1
_LARGEST_RATE = 0.1
_MAX_BYTES = 1024 * 1024
_MAX_FILES = 64
_KEYS = ("product", "tier", "maker", "taker", "source", "as_of")

_Table = dict[str, dict[str, FeeRates]]


class FeeTables:
    """Fee rates by exchange, product and tier.

    Parameters
    ----------
    tables : dict
        Exchange -> product -> tier key -> rates; tier keys as :func:`tier_key` gives them.
    """

    __slots__ = ("_known", "_tables")

    def __init__(self, tables: dict[str, _Table]) -> None:
        self._tables = tables
        self._known: dict[tuple[str, str, str], FeeRates] = {
            (exchange, product, rates.tier): rates
            for exchange, products in tables.items()
            for product, tiers in products.items()
            for rates in tiers.values()
        }

    @classmethod
    def load(cls, folder: Path | None = None) -> FeeTables:
        """Return the shipped tables; a file of ``folder`` replaces its exchange's whole table.

        Raises
        ------
        ConfigurationError
            If the folder or a file cannot be read or is not a table.
        """
        tables = _read_folder(SHIPPED)
        if folder is not None:
            tables |= _read_folder(folder)
        return cls(tables)

    @property
    def exchanges(self) -> tuple[str, ...]:
        """Exchanges that have a table, sorted."""
        return tuple(sorted(self._tables))

    def tiers(self, exchange: str, product: str) -> tuple[str, ...]:
        """Return the tiers of one product in the table's order.

        Raises
        ------
        ValidationError
            If the exchange or the product has no table; the message names what exists.
        """
        return tuple(rates.tier for rates in self._product(exchange, product).values())

    def rates(self, exchange: str, product: str, tier: str) -> FeeRates:
        """Return the rates of one tier; case, spaces and dashes of names do not matter.

        Raises
        ------
        ValidationError
            If there is no such exchange, product or tier; the message names what exists.
        """
        known = self._known.get((exchange, product, tier))
        if known is not None:
            return known
        found = self._product(exchange, product).get(tier_key(tier))
        if found is None:
            raise ValidationError(
                f"no {product} fees of {exchange} for tier {tier!r}: "
                f"{_there(self.tiers(exchange, product))}; or give maker_bps and taker_bps"
            )
        return found

    def fee_bps(self, exchange: str, product: str, tier: str, *, maker_share: float) -> float:
        """Return the mean fee in basis points of traded value.

        Parameters
        ----------
        maker_share : float
            Share of the value that fills as maker, in [0, 1].

        Raises
        ------
        ValidationError
            If the share is not in [0, 1] or the tier is unknown.
        """
        rates = self.rates(exchange, product, tier)
        if not 0.0 <= maker_share <= 1.0:
            raise ValidationError(f"maker_share must be in [0, 1], was {maker_share!r}")
        return 10_000.0 * (maker_share * rates.maker + (1.0 - maker_share) * rates.taker)

    def _product(self, exchange: str, product: str) -> dict[str, FeeRates]:
        products = self._tables.get(str(exchange).strip().lower())
        if products is None:
            there = _there(self.exchanges)
            raise ValidationError(f"no fee table of exchange {exchange!r}: {there}")
        tiers = products.get(str(product).strip().lower())
        if tiers is None:
            there = _there(tuple(products))
            raise ValidationError(f"no {product!r} fees of {exchange}: {there}")
        return tiers


def tier_key(tier: str) -> str:
    """Return a tier's name without case, spaces, dashes and underscores."""
    return str(tier).lower().translate({32: None, 45: None, 95: None})


def own_rates(*, maker: object, taker: object, source: str, as_of: str) -> FeeRates:
    """Return an account's own rates, which come before any table.

    Parameters
    ----------
    maker, taker : number or str
        Fractions of traded value, negative = rebate, at most 10 % in size.

    Raises
    ------
    ValidationError
        If a rate is no finite number of that size.
    """
    rates = FeeRates(
        maker=finite(maker, "maker rate"),
        taker=finite(taker, "taker rate"),
        tier="own",
        source=source,
        as_of=as_of,
    )
    if max(abs(rates.maker), abs(rates.taker)) > _LARGEST_RATE:
        raise ValidationError(f"fee rates above {_LARGEST_RATE:.0%} are not fees: {rates}")
    return rates


def with_own(
    rates: FeeRates, *, maker_bps: float | None = None, taker_bps: float | None = None
) -> FeeRates:
    """Return ``rates`` with one's own instead, tier ``own``; unchanged where none is given.

    Parameters
    ----------
    maker_bps, taker_bps : float or None
        Basis points of traded value, negative = rebate; None keeps the table's.

    Raises
    ------
    ValidationError
        If a rate is no finite number or above 10 % in size.
    """
    if maker_bps is None and taker_bps is None:
        return rates
    source = "given with the request"
    if maker_bps is None or taker_bps is None:
        kept = "maker" if maker_bps is None else "taker"
        source += f"; {kept} of tier {rates.tier} as of {rates.as_of}, {rates.source}"
    return own_rates(
        maker=rates.maker if maker_bps is None else maker_bps / 10_000.0,
        taker=rates.taker if taker_bps is None else taker_bps / 10_000.0,
        source=source,
        as_of="given",
    )


def _there(names: tuple[str, ...]) -> str:
    return f"there is only {names[0]}" if len(names) == 1 else f"there are {', '.join(names)}"


def _read_folder(folder: Path) -> dict[str, _Table]:
    paths = sorted(folder.glob("*.json")) if folder.is_dir() else []
    if not paths or len(paths) > _MAX_FILES:
        raise ConfigurationError(f"{folder} must be a folder with 1 to {_MAX_FILES} fee tables")
    return dict(_read_table(path) for path in paths)


def _read_table(path: Path) -> tuple[str, _Table]:
    try:
        with path.open("rb") as stream:
            content = stream.read(_MAX_BYTES + 1)
        if len(content) > _MAX_BYTES:
            raise ConfigurationError(f"fee table {path} is larger than {_MAX_BYTES} bytes")
        document = json.loads(content)
    except (OSError, ValueError, RecursionError) as e:
        raise ConfigurationError(f"fee table {path} cannot be read: {e}") from e
    if not isinstance(document, dict) or document.get("format") != _FORMAT:
        raise ConfigurationError(f"fee table {path} is not of format {_FORMAT}")
    exchange, rows = document.get("exchange"), document.get("rows")
    if not isinstance(exchange, str) or not exchange or not isinstance(rows, list) or not rows:
        raise ConfigurationError(f"fee table {path} names no exchange or has no rows")
    table: _Table = {}
    for row in rows:
        product, rates = _read_row(row, path)
        tiers = table.setdefault(product, {})
        if tier_key(rates.tier) in tiers:
            raise ConfigurationError(f"fee table {path} has {product} tier {rates.tier} twice")
        tiers[tier_key(rates.tier)] = rates
    return exchange.lower(), table


def _read_row(row: object, path: Path) -> tuple[str, FeeRates]:
    if not isinstance(row, dict) or set(row) != set(_KEYS):
        raise ConfigurationError(f"a row of fee table {path} must hold {', '.join(_KEYS)}")
    if not all(isinstance(row[key], str) and row[key] for key in _KEYS):
        raise ConfigurationError(f"a row of fee table {path} holds something that is no text")
    if row["product"] not in PRODUCTS:
        raise ConfigurationError(f"fee table {path}: product must be one of {PRODUCTS}")
    try:
        rates = own_rates(
            maker=row["maker"], taker=row["taker"], source=row["source"], as_of=row["as_of"]
        )
    except ValidationError as e:
        raise ConfigurationError(f"fee table {path}, tier {row['tier']}: {e}") from e
    return row["product"], replace(rates, tier=row["tier"])
