"""The root of all settings: arguments > environment > ``.env`` > ``config.json`` > defaults.

Every source is flattened to ``(section, field)`` keys that remember where they came from, so that
an error can name the setting as its user wrote it. Unknown names are errors in every source.
"""

from __future__ import annotations

import difflib
import json
import os
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Final, Literal, Self

from pydantic import BeforeValidator, Field, ValidationError, model_validator
from pydantic.fields import FieldInfo
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict
from typing_extensions import override

from trading_system.config.fields import Section, split_names
from trading_system.config.operations import (
    AlertSettings,
    ApiSettings,
    DashboardSettings,
    HealthSettings,
    LogSettings,
    TargetSettings,
)
from trading_system.config.sections import (
    BybitSettings,
    CostSettings,
    MarketMakerSettings,
    OkxSettings,
    OptimizationSettings,
    PerformanceSettings,
    RiskSettings,
    StrategySettings,
    VenueSettings,
)
from trading_system.domain.errors import ConfigurationError

PREFIX: Final = "TRADING_"
LIVE_CONFIRM_VARIABLE: Final = "TRADING_LIVE_CONFIRM"
LIVE_CONFIRMATION: Final = "I-UNDERSTAND"
KNOWN_BY_NAME: Final = {
    LIVE_CONFIRM_VARIABLE: f"{LIVE_CONFIRMATION} allows orders with real money on mainnet; "
    "LIVE-CHECK the tiny orders of make live-check on testnet or demo",
    "TRADING_TEST_DATA": "folder of the recordings that the data tests read",
    "TRADING_LIFELINE_FD": "set by a parent process for its children, never by hand",
}
"""Variables that are no settings, each with its meaning."""

_MAX_FILE_BYTES: Final = 1024 * 1024
_SHOWN_CHARACTERS: Final = 60
_GUIDE_KEYS: Final = {"trading.update_interval": ("market_maker", "update_interval_s")}
_DOTENV_LINE: Final = re.compile(
    r"(?:export\s+)?(?P<name>[A-Za-z_][A-Za-z0-9_]*)\s*=\s*"
    r"(?:'(?P<single>[^']*)'|\"(?P<double>[^\"]*)\"|(?P<plain>[^\s'\"#]\S*(?:\s+[^\s#]\S*)*)?)"
    r"(?:\s+#.*)?"
)

Key = tuple[str, ...]


Symbol = Annotated[str, Field(pattern=r"^[A-Z0-9]{2,20}(-[A-Z0-9]{1,12})?$")]


class Settings(BaseSettings):
    """All settings. Built by :func:`load_settings`; by itself it reads no environment and no file.

    Frozen; components receive their section, never this root.
    """

    model_config = SettingsConfigDict(
        frozen=True,
        extra="forbid",
        allow_inf_nan=False,
        hide_input_in_errors=True,
        validate_default=True,
    )

    environment: Literal["simulated", "testnet", "demo", "mainnet"] = Field(
        default="simulated", description="simulated (embedded venue), testnet, demo or mainnet"
    )
    symbols: Annotated[
        tuple[Symbol, ...], BeforeValidator(split_names), Field(min_length=1, max_length=20)
    ] = Field(default=("BTCUSDT", "ETHUSDT"), description="symbols to trade, separated by commas")
    data_dir: Path = Field(
        default=Path(".trading"),
        description="folder of journals, token, lock file, venue state and kernel cache",
    )
    duration_s: Annotated[float, Field(gt=0, le=31_536_000)] | None = Field(
        default=None,
        description="seconds after which the system stops; empty runs until it is stopped",
    )
    venue: VenueSettings = VenueSettings()
    bybit: BybitSettings = BybitSettings()
    risk: RiskSettings = RiskSettings()
    strategy: StrategySettings = StrategySettings()
    market_maker: MarketMakerSettings = MarketMakerSettings()
    performance: PerformanceSettings = PerformanceSettings()
    okx: OkxSettings = OkxSettings()
    cost: CostSettings = CostSettings()
    optimization: OptimizationSettings = OptimizationSettings()
    targets: TargetSettings = TargetSettings()
    health: HealthSettings = HealthSettings()
    alerts: AlertSettings = AlertSettings()
    api: ApiSettings = ApiSettings()
    dashboard: DashboardSettings = DashboardSettings()
    log: LogSettings = LogSettings()

    @classmethod
    @override
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Keep only the values given: ambient sources are read by :func:`load_settings`."""
        del settings_cls, env_settings, dotenv_settings, file_secret_settings
        return (init_settings,)

    @model_validator(mode="after")
    def _symbols_are_distinct(self) -> Self:
        if len(set(self.symbols)) != len(self.symbols):
            raise ValueError("TRADING_SYMBOLS names a symbol twice; remove one")
        return self


@dataclass(frozen=True, slots=True)
class _Entry:
    value: object
    label: str
    source: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Variable:
    """One environment variable that sets one field.

    Parameters
    ----------
    name : str
        Full name of the variable.
    key : tuple[str, ...]
        Field name, or section and field name.
    default : str
        The default, spelled as in the environment; empty for none.
    meaning : str
        One line for people.
    is_secret : bool
        Whether the value must never be shown.
    """

    name: str
    key: Key
    default: str
    meaning: str
    is_secret: bool


def variables() -> dict[str, Variable]:
    """Return every variable that sets a field, by name, in the order of the models."""
    found = (_variable(key, field) for key, field in _fields())
    return {variable.name: variable for variable in found}


def load_settings(
    arguments: Mapping[str, object],
    *,
    environ: Mapping[str, str] | None = None,
    dotenv_path: Path = Path(".env"),
    config_path: Path = Path("config.json"),
    only_reads: bool = False,
) -> Settings:
    """Return the settings collected from all sources.

    Parameters
    ----------
    arguments : Mapping[str, object]
        Values given on the command line, nested by section or with dotted keys
        (``{"venue": {"edge": 0}}`` or ``{"venue.edge": 0}``); None means not given.
    environ : Mapping[str, str] or None
        Environment variables; None takes those of the process.
    dotenv_path, config_path : Path
        Files that are read if they exist.
    only_reads : bool
        Whether nothing that is built from the settings can send an order: then mainnet needs no
        confirmation.

    Raises
    ------
    ConfigurationError
        One line that names the setting and the remedy: an unknown name, a wrong type, a value
        out of range, a file that cannot be read, or mainnet without its confirmation.
    """
    environ = os.environ if environ is None else environ
    dotenv = _read_dotenv(dotenv_path)
    merged: dict[Key, _Entry] = {}
    merged |= _from_config(config_path)
    merged |= _from_variables(dotenv, source=str(dotenv_path))
    merged |= _from_variables(environ, source="environment")
    merged |= _from_arguments(arguments)
    settings = _validated(merged)
    if settings.environment == "mainnet" and not only_reads:
        _require_confirmation({**dotenv, **environ})
    return settings


def require_key(settings: Settings) -> None:
    """Refuse to go on where orders need an API key and there is none.

    Raises
    ------
    ConfigurationError
        If the venue is not the embedded one and key and secret are not set.
    """
    is_embedded = settings.environment == "simulated" and settings.bybit.rest_url is None
    if not is_embedded and settings.bybit.api_key is None:
        raise ConfigurationError(
            f"TRADING_ENVIRONMENT={settings.environment} needs an API key here; "
            "set TRADING_BYBIT__API_KEY and TRADING_BYBIT__API_SECRET"
        )


def _fields() -> Iterator[tuple[Key, FieldInfo]]:
    for name, field in Settings.model_fields.items():
        section = field.annotation
        if isinstance(section, type) and issubclass(section, Section):
            for inner, inner_field in section.model_fields.items():
                yield (name, inner), inner_field
        else:
            yield (name,), field


def _variable(key: Key, field: FieldInfo) -> Variable:
    spelled = (*key[:-1], field.alias or key[-1])
    return Variable(
        name=PREFIX + "__".join(spelled).upper(),
        key=key,
        default=_spelled(field.get_default()),
        meaning=field.description or "",
        is_secret="SecretStr" in str(field.annotation),
    )


def _spelled(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, tuple):
        separator = os.pathsep if any(isinstance(part, Path) for part in value) else ","
        return separator.join(str(part) for part in value)
    return str(value)


def _from_variables(environ: Mapping[str, str], *, source: str) -> dict[Key, _Entry]:
    known = variables()
    entries: dict[Key, _Entry] = {}
    for name, value in environ.items():
        if not name.upper().startswith(PREFIX) or name in KNOWN_BY_NAME:
            continue
        if name not in known:
            raise _unknown(name, source, [*known, *KNOWN_BY_NAME])
        entry = _Entry(value, name, source)
        # An empty variable is how shells and .env files say "not set".
        if value.strip():
            entries[known[name].key] = entry
    return entries


def _from_arguments(arguments: Mapping[str, object]) -> dict[Key, _Entry]:
    names = _names_by_key()
    entries: dict[Key, _Entry] = {}
    for dotted, value in _flattened(arguments):
        if dotted not in names:
            raise _unknown(dotted, "argument", names)
        if value is not None:
            variable = names[dotted]
            entries[variable.key] = _Entry(value, variable.name, "argument")
    return entries


def _from_config(path: Path) -> dict[Key, _Entry]:
    text = _read_text(path)
    if text is None:
        return {}
    try:
        content = json.loads(text)
    except (ValueError, RecursionError) as e:
        raise ConfigurationError(f"{path} is not valid JSON ({e}); repair or remove it") from e
    if not isinstance(content, dict):
        raise ConfigurationError(f"{path} must hold one JSON object; repair or remove it")
    names = _names_by_key()
    entries: dict[Key, _Entry] = {}
    for dotted, value in _flattened(content):
        label = f"{dotted} in {path}"
        if dotted in _GUIDE_KEYS:
            entries[_GUIDE_KEYS[dotted]] = _Entry(value, label, str(path))
        elif dotted in names:
            entries[names[dotted].key] = _Entry(value, label, str(path))
        else:
            raise _unknown(dotted, str(path), [*names, *_GUIDE_KEYS])
    return entries


def _names_by_key() -> dict[str, Variable]:
    names = {}
    for variable in variables().values():
        names[".".join(variable.key)] = variable
        names[variable.name.removeprefix(PREFIX).lower().replace("__", ".")] = variable
    return names


def _flattened(values: Mapping[str, object], prefix: str = "") -> Iterator[tuple[str, object]]:
    for name, value in values.items():
        dotted = f"{prefix}{name}"
        if isinstance(value, Mapping) and "." not in dotted:
            yield from _flattened(value, f"{dotted}.")
        else:
            yield dotted, value


def _unknown(name: str, source: str, known: Iterable[str]) -> ConfigurationError:
    names = {candidate.upper().removeprefix(PREFIX): candidate for candidate in known}
    wanted = name.upper().removeprefix(PREFIX)
    nearest = difflib.get_close_matches(wanted, names, n=1, cutoff=0.6)
    remedy = f"did you mean {names[nearest[0]]}?" if nearest else "remove it (see .env.example)"
    return ConfigurationError(_printable(f"{name} ({source}) is not a setting; {remedy}"))


def _validated(merged: Mapping[Key, _Entry]) -> Settings:
    nested: dict[str, Any] = {}
    for key, entry in merged.items():
        target = nested
        for part in key[:-1]:
            target = target.setdefault(part, {})
        target[key[-1]] = entry.value
    try:
        return Settings(**nested)
    except ValidationError as e:
        message = _explained(e, merged)
    # Raised outside the handler: the validation error holds the input, secrets included.
    raise ConfigurationError(message)


def _explained(error: ValidationError, merged: Mapping[Key, _Entry]) -> str:
    names = _names_by_key()
    detail = error.errors(include_url=False, include_context=False)[0]
    location = [str(part) for part in detail["loc"]]
    text = detail["msg"].removeprefix("Value error, ")
    variable = names.get(".".join(location[:2])) or names.get(".".join(location[:1]))
    if variable is None:
        # A rule over several fields; its message names them as the environment spells them.
        return _printable(text)
    text = text[:1].lower() + text[1:]
    entry = merged.get(variable.key, _Entry(variable.default, variable.name, "default"))
    shown = "" if variable.is_secret else f", was {_shown(entry.value)}"
    remedy = f"the default is {variable.default}" if variable.default else "correct or unset it"
    where = "" if entry.source in entry.label else f" ({entry.source})"
    return _printable(f"{entry.label}{where}: {text}{shown}; {remedy}")


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= _SHOWN_CHARACTERS else f"{text[:_SHOWN_CHARACTERS]}..."


def _printable(text: str) -> str:
    return "".join(c if c.isprintable() else "?" for c in text)


def _require_confirmation(environ: Mapping[str, str]) -> None:
    if environ.get(LIVE_CONFIRM_VARIABLE) != LIVE_CONFIRMATION:
        raise ConfigurationError(
            f"TRADING_ENVIRONMENT=mainnet trades real money; set also "
            f"{LIVE_CONFIRM_VARIABLE}={LIVE_CONFIRMATION}"
        )


def _read_text(path: Path) -> str | None:
    try:
        if path.stat().st_size > _MAX_FILE_BYTES:
            raise ConfigurationError(f"{path} is larger than 1 MiB; it cannot be a settings file")
        return path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return None
    except (OSError, UnicodeDecodeError) as e:
        raise ConfigurationError(f"{path} cannot be read ({e}); repair or remove it") from e


def _read_dotenv(path: Path) -> dict[str, str]:
    # Strict on purpose: a line that is skipped in silence is a setting that is not in force.
    values: dict[str, str] = {}
    for number, line in enumerate((_read_text(path) or "").splitlines(), start=1):
        text = line.strip()
        if not text or text.startswith("#"):
            continue
        match = _DOTENV_LINE.fullmatch(text)
        if match is None:
            raise ConfigurationError(f"{path} line {number} is not NAME=VALUE; repair or remove it")
        values[match["name"]] = match["single"] or match["double"] or match["plain"] or ""
    return values
