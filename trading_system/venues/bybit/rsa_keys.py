"""RSA keys: the private part is a PEM file that only its owner may read."""

from __future__ import annotations

import base64
import os
import stat
from pathlib import Path
from typing import Final

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from trading_system.domain.errors import ConfigurationError
from trading_system.venues.bybit.signing import Seal

_SETTING: Final = "TRADING_BYBIT__PRIVATE_KEY_FILE"
_MOST_BYTES = 65_536
_LEAST_BITS = 2_048


def rsa_seal(path: Path) -> Seal:
    """Return what signs with the private key in ``path``: SHA-256, PKCS #1 v1.5, base64.

    Parameters
    ----------
    path : Path
        A PEM file without a passphrase, readable by its owner only; at least 2048 bits.

    Raises
    ------
    ConfigurationError
        If it cannot be read, others may read it, or it holds no such key. The message names the
        file and the remedy, never its content.
    """
    key = _loaded(_content(path), path)

    def seal(text: bytes) -> str:
        return base64.b64encode(key.sign(text, PKCS1v15(), SHA256())).decode()

    return seal


def _content(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            found = os.fstat(file.fileno())  # of the open file: the name may change its meaning
            if not stat.S_ISREG(found.st_mode):
                raise ConfigurationError(f"{path} is no file; correct {_SETTING}")
            if os.name == "posix" and found.st_mode & (stat.S_IRWXG | stat.S_IRWXO):
                raise ConfigurationError(
                    f"others than its owner may read {path}; run: chmod 600 {path}"
                )
            content = file.read(_MOST_BYTES + 1)
    except OSError as e:
        raise ConfigurationError(
            f"the private key {path} cannot be read ({e.strerror}); correct {_SETTING}"
        ) from e
    if len(content) > _MOST_BYTES:
        raise ConfigurationError(f"{path} is too large for a private key; correct {_SETTING}")
    return content


def _loaded(content: bytes, path: Path) -> RSAPrivateKey:
    try:
        key = load_pem_private_key(content, password=None)
    except TypeError as e:
        raise ConfigurationError(
            f"the private key {path} has a passphrase; store it without one, mode 600"
        ) from e
    except (ValueError, UnsupportedAlgorithm) as e:
        raise ConfigurationError(
            f"{path} holds no private key in PEM form; correct {_SETTING}"
        ) from e
    if not isinstance(key, RSAPrivateKey) or key.key_size < _LEAST_BITS:
        raise ConfigurationError(
            f"{path} holds no RSA key of at least {_LEAST_BITS} bits; make a new key at the venue"
        )
    return key
