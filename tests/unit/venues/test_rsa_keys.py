import base64

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
)

from trading_system.config.sections import BybitSettings
from trading_system.domain.errors import ConfigurationError
from trading_system.live.access import signer_of
from trading_system.venues.bybit.rsa_keys import rsa_seal
from trading_system.venues.bybit.signing import Signer

KEY = rsa.generate_private_key(public_exponent=65537, key_size=2048)
SMALL = rsa.generate_private_key(public_exponent=65537, key_size=1024)
CURVE = ec.generate_private_key(ec.SECP256R1())


def pem(key, encryption=None):
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, encryption or NoEncryption())


def stored(folder, content, mode=0o600):
    file = folder / "key.pem"
    file.write_bytes(content)
    file.chmod(mode)
    return file


def test_an_rsa_signature_is_the_documented_one(tmp_path):
    signer = Signer("demoKey", rsa_seal(stored(tmp_path, pem(KEY))), recv_window_ms=5000)
    signed = signer.headers(b"a=1", timestamp_ms=1_700_000_000_000)["X-BAPI-SIGN"]
    text = b"1700000000000demoKey5000a=1"
    # Raises unless it is SHA-256 with PKCS #1 v1.5.
    KEY.public_key().verify(base64.b64decode(signed), text, PKCS1v15(), SHA256())
    name, expires, auth = signer.stream_auth(expires_ms=1)
    assert (name, expires) == ("demoKey", 1)
    KEY.public_key().verify(base64.b64decode(auth), b"GET/realtime1", PKCS1v15(), SHA256())


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o644, 0o620, 0o601])
def test_a_key_file_that_others_may_use_is_refused_with_the_remedy(tmp_path, mode):
    with pytest.raises(ConfigurationError, match=r"chmod 600 .*key\.pem"):
        rsa_seal(stored(tmp_path, pem(KEY), mode))


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "no private key"),
        (b"-----BEGIN PRIVATE KEY-----\nxx\n-----END PRIVATE KEY-----", "no private key"),
        (pem(KEY, BestAvailableEncryption(b"pw")), "passphrase"),
        (pem(SMALL), "at least 2048 bits"),
        (pem(CURVE), "no RSA key"),
        (bytes(70_000), "too large"),
    ],
)
def test_what_is_no_usable_key_is_refused_without_its_content(tmp_path, content, says):
    with pytest.raises(ConfigurationError, match=says) as e:
        rsa_seal(stored(tmp_path, content))
    assert "key.pem" in str(e.value)
    assert "BEGIN" not in str(e.value)


def test_a_missing_file_and_a_folder_are_refused(tmp_path):
    for path in (tmp_path / "none", tmp_path):
        with pytest.raises(ConfigurationError, match="TRADING_BYBIT__PRIVATE_KEY_FILE"):
            rsa_seal(path)
    with pytest.raises(ConfigurationError, match="is no file"):
        rsa_seal(tmp_path.__class__("/dev/null"))


def test_the_settings_choose_the_kind_of_key(tmp_path):
    file = stored(tmp_path, pem(KEY))
    by_file = signer_of(BybitSettings(api_key="k", private_key_file=file))
    by_secret = signer_of(BybitSettings(api_key="k", api_secret="s"))
    assert by_file is not None
    assert by_secret is not None
    assert len(by_file.headers(b"", timestamp_ms=1)["X-BAPI-SIGN"]) == 344
    assert len(by_secret.headers(b"", timestamp_ms=1)["X-BAPI-SIGN"]) == 64
    assert signer_of(BybitSettings()) is None
