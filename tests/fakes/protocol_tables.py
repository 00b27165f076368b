"""The tables of docs/bybit_protocol.md, made from the code.

``python tests/fakes/protocol_tables.py`` writes them into the document, between its markers.
"""

import ast
import re
import sys
from pathlib import Path

from trading_system.domain.errors import VenueAuthError, VenueRateLimited, VenueRejected
from trading_system.domain.instruments import Category
from trading_system.simulation.bybit_server import limits
from trading_system.simulation.bybit_server.account_queries import AccountQueries
from trading_system.simulation.bybit_server.market_queries import INTERVALS, MarketQueries
from trading_system.simulation.bybit_server.order_desk import MAX_BATCHES, STREAM_OPERATIONS
from trading_system.simulation.bybit_server.private_feeds import _SILENT, _TOPIC_TEXTS, TOPICS
from trading_system.simulation.bybit_server.public_feeds import PublicFeeds
from trading_system.simulation.bybit_server.routes import (
    NOT_IN_DEMO,
    PublicRoute,
    routes,
)
from trading_system.simulation.records import AccountSpec
from trading_system.simulation.venue import build_synthetic_venue, default_accounts
from trading_system.venues.bybit.hosts import endpoints
from trading_system.venues.bybit.refusals import is_no_change, refusal

ROOT = Path(__file__).parents[2]
DOCUMENT = ROOT / "docs" / "bybit_protocol.md"
CLIENT = ROOT / "trading_system" / "venues" / "bybit"
VENUE = ROOT / "trading_system" / "simulation"
PUBLIC_HEADS = (
    *("orderbook.1", "orderbook.50", "orderbook.200", "orderbook.1000"),
    *("orderbook.full", "orderbook.rpi", "publicTrade", "tickers", "kline.1"),
    *("allLiquidation", "priceLimit", "insurance", "adlAlert"),
)
NEUTRAL = AccountSpec(account_id=1, uid=1, api_key="key", api_secret="secret")
RAISING = {"VenueReject", "DetailedReject", "Outcome", "_plain"}


def table(header, rows):
    """Return a Markdown table."""
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join(f"| {' | '.join(row)} |" for row in lines)


def code(text):
    return f"`{text}`"


def hosts():
    rows = []
    for name in ("testnet", "demo", "mainnet"):
        found = endpoints(name, rest_url=None, ws_url=None)
        streams = (found.public_linear, found.private, found.trade)
        rows.append([name, *(code(each) if each else "none" for each in (found.rest, *streams))])
    return table(["environment", "REST", "public", "private", "trade"], rows)


def _venue():
    accounts = default_accounts(seed=1)
    return build_synthetic_venue(
        symbols=["BTCUSDT"], accounts=accounts, seed=1, edge_bps=0.0, activity=1.0, has_spot=True
    )


def _table():
    venue = _venue()
    queries = AccountQueries(venue.exchange, history_lag_ms=0)
    return routes(MarketQueries(venue, books=PublicFeeds(venue)), queries)


def _asked_by_client():
    text = "".join(path.read_text() for path in sorted(CLIENT.glob("*.py")))
    asked = set(re.findall(r'"(/v5/[a-z/-]+[a-z])"', text))
    gateway = (CLIENT / "gateway.py").read_text()
    orders = re.findall(r'"((?:create|amend|cancel)(?:-batch)?)"', gateway)
    return asked | {f"/v5/order/{name}" for name in orders}


def rest():
    asked = _asked_by_client()
    rows = []
    for path, route in sorted(_table().items()):
        per_second = ["-", "-"]
        if not isinstance(route, PublicRoute):
            per_second = [
                str(limits._quota(NEUTRAL, route.operation, category))
                for category in (Category.LINEAR, Category.SPOT)
            ]
        in_demo = "no" if path in NOT_IN_DEMO else "yes"
        used = "yes" if path in asked else "no"
        name = code(f"{route.method} {path.removeprefix('/v5/')}")
        rows.append([name, in_demo, used, *per_second])
    return table(["request", "on demo", "asked by the system", "linear /s", "spot /s"], rows)


def unknown_requests():
    """Return what the client asks and the embedded venue does not answer."""
    return _asked_by_client() - set(_table())


def public_topics():
    feeds = PublicFeeds(_venue())
    rows = []
    for head in PUBLIC_HEADS:
        linear, spot = (
            _push(feeds, f"{head}.BTCUSDT", category)
            for category in (Category.LINEAR, Category.SPOT)
        )
        rows.append([code(head.replace("kline.1", "kline.{interval}")), linear, spot])
    rows.append([code("system.status"), "silent", "silent"])
    spelled = ", ".join(INTERVALS)
    found = table(["topic", "linear", "spot"], rows)
    return f"{found}\n\nIntervals of candles: {spelled}."


def _push(feeds, text, category):
    topic = feeds._topic(category.key(text))
    return "silent" if topic is None else f"{topic.interval_ms} ms"


def private_topics():
    pushed = {text for kinds in _TOPIC_TEXTS.values() for texts in kinds.values() for text in texts}
    assert pushed | _SILENT == TOPICS
    rows = [
        ["pushed", ", ".join(map(code, sorted(pushed)))],
        ["accepted and silent", ", ".join(map(code, sorted(_SILENT)))],
    ]
    return table(["", "topics"], rows)


def operations():
    rows = []
    for name in sorted(STREAM_OPERATIONS):
        most = "1"
        if name.endswith("-batch"):
            most = ", ".join(f"{count} {category}" for category, count in MAX_BATCHES.items())
        rows.append([code(name), most])
    return table(["operation", "orders in a request"], rows)


def bounds():
    rows = [
        ["HTTP requests of an address", limits.ADDRESS_LIMIT, limits.ADDRESS_WINDOW_MS],
        ["new WebSockets of an address", limits.CONNECTION_LIMIT, limits.CONNECTION_WINDOW_MS],
        ["trade frames of an address", limits.FRAME_LIMIT, limits.FRAME_WINDOW_MS],
    ]
    return table(
        ["what", "most", "window, s"],
        [[what, str(most), str(window // 1000)] for what, most, window in rows],
    )


def codes():
    """Return the codes the embedded venue refuses with, by what the client makes of them."""
    groups = {}
    for each in sorted(_refused_with()):
        groups.setdefault(_meaning(each), []).append(str(each))
    rows = [[meaning, ", ".join(found)] for meaning, found in sorted(groups.items())]
    return table(["the client takes it for", "codes of the embedded venue"], rows)


def _meaning(each):
    if is_no_change(each, "", operation="order.amend"):
        return "success: it is so already"
    error = refusal(each, "", operation="order.create")
    if isinstance(error, VenueAuthError):
        return "key, signature or clock is wrong"
    if isinstance(error, VenueRateLimited):
        return "too many requests: refused, later again"
    if isinstance(error, VenueRejected):
        return "a definite refusal"
    return "an unknown outcome: looked up, never sent again"


def _refused_with():
    trees = [ast.parse(path.read_text()) for path in sorted(VENUE.rglob("*.py"))]
    named = {}
    for tree in trees:
        for node in tree.body:
            if isinstance(node, ast.Assign) and isinstance(node.value, ast.Constant):
                named |= {t.id: node.value.value for t in node.targets if isinstance(t, ast.Name)}
    calls = [node for tree in trees for node in ast.walk(tree) if isinstance(node, ast.Call)]
    found = set()
    for call in calls:
        given = [word.value for word in call.keywords if word.arg == "code"]
        if getattr(call.func, "id", "") in RAISING:
            given += call.args[:1]
        for inner in (node for each in given for node in ast.walk(each)):
            found.add(getattr(inner, "value", None))
            found.add(named.get(getattr(inner, "id", "")))
    return {each for each in found if type(each) is int and each}


TABLES = {
    "hosts": hosts,
    "rest": rest,
    "public topics": public_topics,
    "private topics": private_topics,
    "trade operations": operations,
    "bounds": bounds,
    "codes": codes,
}


def block(text, name):
    """Return what stands between the markers of ``name``."""
    return text.partition(f"<!-- made from the code: {name} -->\n")[2].partition("\n<!-- end -->")[
        0
    ]


def main():
    """Write every table into the document."""
    text = DOCUMENT.read_text()
    for name, make in TABLES.items():
        begin = f"<!-- made from the code: {name} -->\n"
        head, found, rest_of_it = text.partition(begin)
        assert found, f"no marker for {name}"
        tail = rest_of_it.partition("<!-- end -->")[2]
        text = f"{head}{begin}{make()}\n<!-- end -->{tail}"
    DOCUMENT.write_text(text)


if __name__ == "__main__":
    sys.exit(main())
