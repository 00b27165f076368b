"""kill -9 of a venue with a state file, its restart on the same port, and bad files."""

import json

import pytest

ORDER = {"category": "linear", "symbol": "BTCUSDT", "side": "Buy", "qty": "0.01"}


def assert_refused(outcome, *fragments):
    code, out, err = outcome
    assert (code, out) == (2, ""), err
    assert len(err.strip().splitlines()) == 1, err
    for fragment in fragments:
        assert fragment in err


def post(venue, path, **fields):
    status, answer = venue.signed("POST", path, json.dumps({**ORDER, **fields}).encode())
    assert status == 200
    return answer


def rows(venue, path, query):
    _, answer = venue.signed("GET", path, f"category=linear&{query}".encode())
    return answer["result"]["list"]


def test_killed_venue_returns_on_its_port_with_all_it_acknowledged(start_venue, tmp_path):
    state = ("--state", str(tmp_path / "venue.state"))
    first = start_venue(*state)
    sent = {
        f"link-{number}": post(
            first,
            "/v5/order/create",
            orderType="Market" if number % 2 else "Limit",
            price="60000.0",
            orderLinkId=f"link-{number}",
        )["result"]["orderId"]
        for number in range(8)
    }
    assert post(first, "/v5/position/trading-stop", stopLoss="60000")["retCode"] == 0
    first.process.kill()
    first.process.wait(timeout=5)
    second = start_venue(*state, "--port", str(first.address[1]))
    assert second.ready == {**first.ready, "market": second.ready["market"]}
    for link, order_id in sent.items():
        (row,) = rows(second, "/v5/order/realtime", f"orderLinkId={link}")
        assert row["orderId"] == order_id
    assert len(rows(second, "/v5/order/realtime", "symbol=BTCUSDT&orderFilter=Order")) == 4
    (position,) = rows(second, "/v5/position/list", "symbol=BTCUSDT")
    assert (position["size"], position["stopLoss"]) == ("0.040", "60000.0")
    again = post(second, "/v5/order/create", orderType="Market", orderLinkId="link-1")
    assert again["retCode"] == 110072
    assert second.stop() == 0


@pytest.mark.parametrize("content", [b"not a state", b"{}\n", b"\x00" * 64])
def test_foreign_state_file_is_refused_with_one_line(run_venue, tmp_path, content):
    path = tmp_path / "venue.state"
    path.write_bytes(content)
    assert_refused(run_venue("--state", str(path)), str(path), "move it away")
    assert path.read_bytes() == content


def test_state_file_in_use_or_without_folder_is_refused_with_one_line(
    run_venue, start_venue, tmp_path
):
    path = str(tmp_path / "venue.state")
    start_venue("--state", path)
    assert_refused(run_venue("--state", path), path, "in use")
    assert_refused(run_venue("--state", str(tmp_path / "none" / "x")), "writable folder")


def test_state_of_other_symbols_is_refused_with_their_names(run_venue, start_venue, tmp_path):
    path = str(tmp_path / "venue.state")
    venue = start_venue("--state", path)
    post(venue, "/v5/order/create", orderType="Market")
    assert venue.stop() == 0
    assert_refused(run_venue("--state", path, "--symbols", "ETHUSDT"), "BTCUSDT", path)


@pytest.mark.parametrize("options", [("--latency", "moon"), ("--profile", "moon")])
def test_unknown_latency_or_profile_is_refused_with_one_line(run_venue, options):
    assert_refused(run_venue(*options), options[0].removeprefix("--"))
