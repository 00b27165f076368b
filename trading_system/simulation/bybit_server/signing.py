"""Bybit V5 signatures over raw bytes: HMAC-SHA256 in lower-case hex, or RSA in base64."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
from functools import lru_cache
from pathlib import Path

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import load_pem_public_key

from trading_system.domain.errors import ConfigurationError

_MAX_SIGNATURE = 1_024


def sign(secret: str, text: bytes) -> str:
    """Return the lower-case hex HMAC-SHA256 of ``text`` under ``secret``."""
    return hmac.new(secret.encode(), text, hashlib.sha256).hexdigest()


def request_text(*, timestamp: str, api_key: str, window: str, payload: bytes) -> bytes:
    """Return the bytes a REST client signs; ``payload`` is the raw query string or body."""
    return f"{timestamp}{api_key}{window}".encode("utf-8", "surrogateescape") + payload


def stream_text(expires: str) -> bytes:
    """Return the bytes a WebSocket client signs; ``expires`` is its decimal text."""
    return f"GET/realtime{expires}".encode()


def is_signed(secret: str, text: bytes, signature: str) -> bool:
    """Return whether ``signature`` is that of ``text``, in constant time."""
    expected = sign(secret, text).encode()
    return hmac.compare_digest(expected, signature.encode("utf-8", "surrogatepass"))


def is_signed_rsa(public_key: str, text: bytes, signature: str) -> bool:
    """Return whether ``signature`` (base64) is that of ``text`` under the owner of a PEM key."""
    if len(signature) > _MAX_SIGNATURE:
        return False
    try:
        raw = base64.b64decode(signature, validate=True)
        rsa_key(public_key).verify(raw, text, PKCS1v15(), SHA256())
    except (InvalidSignature, binascii.Error, ValueError):
        return False
    return True


@lru_cache(maxsize=64)
def rsa_key(public_key: str) -> RSAPublicKey:
    """Return the RSA key in a PEM text.

    Raises
    ------
    ConfigurationError
        If it is no public RSA key.
    """
    try:
        key = load_pem_public_key(public_key.encode())
    except (ValueError, UnsupportedAlgorithm) as e:
        raise ConfigurationError("the public key is not PEM: -----BEGIN PUBLIC KEY-----") from e
    if not isinstance(key, RSAPublicKey):
        raise ConfigurationError("the public key is not an RSA key")
    return key


def read_key(path: Path) -> str:
    """Return the PEM text of a public RSA key.

    Raises
    ------
    ConfigurationError
        If the file cannot be read or holds something else.
    """
    try:
        text = path.read_text()
        rsa_key(text)
    except OSError as e:
        raise ConfigurationError(f"cannot read {path} ({e.strerror})") from e
    except (UnicodeDecodeError, ConfigurationError) as e:
        raise ConfigurationError(
            f"{path} is no public RSA key: make one with openssl rsa -in key.pem -pubout"
        ) from e
    return text
