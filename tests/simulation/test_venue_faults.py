"""The venue's command with faults: a schedule from a file, a port to change it, an RSA account."""

import json
import subprocess
import sys
from contextlib import contextmanager

import aiohttp
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat


@contextmanager
def venue(*options):
    command = [sys.executable, "-m", "trading_system", "venue", "--symbols", "BTCUSDT", *options]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        try:
            yield json.loads(process.stdout.readline())
        finally:
            process.terminate()
            process.communicate(timeout=20)


async def test_command_takes_a_schedule_a_control_port_and_an_rsa_key(tmp_path):
    schedule, key = tmp_path / "faults.jsonl", tmp_path / "key.pem"
    schedule.write_text('{"fault": "http-5xx", "path": "/v5/market/time"}')
    public = rsa.generate_private_key(public_exponent=65537, key_size=2048).public_key()
    key.write_bytes(public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))
    options = ("--faults", str(schedule), "--faults-control", "--rsa-public-key", str(key))
    with venue(*options) as ready:
        async with aiohttp.ClientSession() as http:
            seen = []
            for _ in range(2):
                async with http.get(ready["rest"] + "/v5/market/time") as reply:
                    seen.append(reply.status)
            async with http.get(ready["control"] + "/counts") as reply:
                counts = await reply.json()
    assert (seen, counts) == ([503, 200], {"counts": {"http-5xx": 1}})
    assert [each["api_key"] for each in ready["accounts"]][2:] == ["sim-key-rsa"]
