"""A certificate for 127.0.0.1 that nobody trusts by itself, valid for a hundred years."""

from __future__ import annotations

import ssl
from pathlib import Path

CERTIFICATE = """\
-----BEGIN CERTIFICATE-----
MIIBmjCCAUGgAwIBAgIUaIueApQ5MS1WFNG1NqGaZUOfiUQwCgYIKoZIzj0EAwIw
FDESMBAGA1UEAwwJbG9jYWxob3N0MCAXDTI2MTEyMDE2MjIwNFoYDzIxMjYxMDI3
MTYyMjA0WjAUMRIwEAYDVQQDDAlsb2NhbGhvc3QwWTATBgcqhkjOPQIBBggqhkjO
PQMBBwNCAATxntVvfI8igKIqrZ4X0ArX7knmhm+iKiLDBUWdM3xm05+ToUx/mxSU
dhlPFcmC8Xoe3p4Sr19NFtRX2W85/Ofho28wbTAdBgNVHQ4EFgQUrKbk1i39Xsi2
L5Nt0WNju4QZakYwHwYDVR0jBBgwFoAUrKbk1i39Xsi2L5Nt0WNju4QZakYwDwYD
VR0TAQH/BAUwAwEB/zAaBgNVHREEEzARhwR/AAABgglsb2NhbGhvc3QwCgYIKoZI
zj0EAwIDRwAwRAIgWaAO1iEmmhJADVHxgkbPiiR02tMI/b7Dh/fIt8M0gGACIEU8
TbOwcP5PxYi9FEedZFMCEIMiWIoCxJ3ZndFdcv58
-----END CERTIFICATE-----
"""
# Of this test certificate only.
_KEY = """\
-----BEGIN PRIVATE KEY-----
MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgZUaAkj4u+B5uVNpN
wjFGU468ZEDJ5OJIw8PydPoSYuKhRANCAATxntVvfI8igKIqrZ4X0ArX7knmhm+i
KiLDBUWdM3xm05+ToUx/mxSUdhlPFcmC8Xoe3p4Sr19NFtRX2W85/Ofh
-----END PRIVATE KEY-----
"""


def server_context(folder: Path) -> ssl.SSLContext:
    """Return a server's context; ``folder`` takes the files that the ssl module wants."""
    certificate, key = folder / "certificate.pem", folder / "key.pem"
    certificate.write_text(CERTIFICATE)
    key.write_text(_KEY)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    return context


def trusting_context() -> ssl.SSLContext:
    """Return a client's context that trusts this certificate and nothing else."""
    return ssl.create_default_context(cadata=CERTIFICATE)
