import importlib.util
import json
import sys
from pathlib import Path

import pytest

PEERS = Path(__file__).parents[3] / "benchmarks" / "peers"


def load(name):
    spec = importlib.util.spec_from_file_location(f"bench_{name}", PEERS / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


frames = load("frames")
book_flow = load("book_flow")


def masked(payload, key):
    plain = frames.encode(payload, is_masked=True)
    head = plain[: len(plain) - len(payload) - 4]
    return head + key + bytes(b ^ key[i % 4] for i, b in enumerate(payload))


def test_the_handshake_answers_the_key_of_the_standard():
    request = (
        b"GET /v5/trade?client=x HTTP/1.1\r\nHost: h\r\nUpgrade: websocket\r\n"
        b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=="
    )
    path, answer = frames.accept(request)
    assert path == "/v5/trade?client=x"
    assert b"Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n" in answer


@pytest.mark.parametrize("size", [0, 1, 125, 126, 1_000, 65_535])
def test_a_frame_comes_out_as_it_went_in(size):
    payload = bytes(i % 251 for i in range(size))
    assert frames.Parser().feed(frames.encode(payload)) == [(frames.TEXT, payload)]
    key = b"\x01\x82\x03\xff"
    assert frames.Parser().feed(masked(payload, key)) == [(frames.TEXT, payload)]


def test_frames_are_cut_wherever_the_stream_was():
    stream = frames.encode(b"first") + frames.encode(b"", frames.PING) + frames.encode(b"x" * 300)
    parser = frames.Parser()
    found = [frame for byte in stream for frame in parser.feed(bytes([byte]))]
    assert [kind for kind, _ in found] == [frames.TEXT, frames.PING, frames.TEXT]
    assert found[2][1] == b"x" * 300


def test_the_flow_of_messages_keeps_its_depth_and_never_crosses():
    sides = {"b": {}, "a": {}}
    for line in book_flow.messages(50, 500):
        for side, levels in sides.items():
            for price, size in json.loads(line)["data"][side]:
                levels[float(price)] = float(size)
                if float(size) == 0:
                    del levels[float(price)]
        assert len(sides["b"]) == len(sides["a"]) == 50
        assert max(sides["b"]) < min(sides["a"])
