"""The real system is given secrets that would be recognised anywhere; then they are looked for.

One scenario for all: the system trades with the canary key on a venue of its own, a signal agent
raises with the secrets in its error, the sink refuses, the heartbeat cannot be read, people and
programs ask for everything there is, and then it is killed, started again and stopped. What may
hold a secret is only the environment of the process it was given to, and the files of settings.
"""

import base64
import contextlib
import http.client
import json
import os
import re
import secrets
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from alert_receivers import receiver

from trading_system.api.address import read_address
from trading_system.simulation.records import AccountSpec
from trading_system.simulation.state.entries import Head, to_line

pytestmark = [pytest.mark.browser, pytest.mark.timeout(180), pytest.mark.xdist_group("processes")]

ROOT = Path(__file__).parents[2]
LEAKY = '''
import os
from agents.calibration import CalibrationParameters
from agents.scored import ScoredAgent
import structlog
import logging

WORDS = {words!r}

class Leaky(ScoredAgent):
    """Tells everybody what it should keep to itself."""
    name = "leaky"
    family = "leaks"

    def __init__(self, symbol):
        super().__init__(symbol, CalibrationParameters(horizon_s=10.0))
        structlog.get_logger().warning("leak " + WORDS, detail={{"inner": [os.environ.copy()]}})
        logging.getLogger("leak").error("leak %s", WORDS)
        try:
            raise ValueError(WORDS)
        except ValueError:
            structlog.get_logger().exception("a leak")

    def score(self, features):
        secret = os.environ["TRADING_BYBIT__API_SECRET"]
        raise RuntimeError("refused: " + WORDS + " " + secret)

class Broken(Leaky):
    def __init__(self, symbol):
        secret = os.environ["TRADING_BYBIT__API_SECRET"]
        raise KeyError("no " + WORDS + " " + secret)
'''


@dataclass
class Canaries:
    """One needle per secret; the secrets around them are spelt as awkwardly as real ones may be."""

    key: str = field(default_factory=lambda: "k" + secrets.token_hex(9))
    secret: str = field(default_factory=lambda: "s" + secrets.token_hex(12))
    sink_password: str = field(default_factory=lambda: "p" + secrets.token_hex(9))
    sink_path: str = field(default_factory=lambda: "t" + secrets.token_hex(9))
    beat_path: str = field(default_factory=lambda: "b" + secrets.token_hex(9))
    beat_query: str = field(default_factory=lambda: "q" + secrets.token_hex(9))
    bad_key: str = field(default_factory=lambda: "x" + secrets.token_hex(9))
    bad_secret: str = field(default_factory=lambda: "y" + secrets.token_hex(12))
    beat_password: str = field(default_factory=lambda: "w" + secrets.token_hex(9))
    control_token: str = ""
    read_token: str = ""

    def found_in(self, text):
        return [
            name
            for name, needle in vars(self).items()
            if any(spelt in text for spelt in spellings(needle))
        ]


def spellings(needle):
    yield needle.encode()
    yield needle.encode().hex().encode()
    for shift in range(3):
        encoded = base64.b64encode(b"." * shift + needle.encode())
        yield encoded[shift + 2 : -4]


class Scene:
    """The folders and processes of the scenario, and everything that came out of them."""

    def __init__(self, folder):
        self.folder = folder
        self.canaries = Canaries()
        self.secret = f"{self.canaries.secret}\"'&<+/\\"
        self.outputs = {}
        self.codes = {}
        self.processes = []
        self.used = {}
        (folder / "data").mkdir(mode=0o700)
        self.data = folder / "data"

    def environ(self, **more):
        given = {
            **{k: v for k, v in os.environ.items() if not k.startswith("TRADING_")},
            "PYTHONPATH": os.pathsep.join((str(ROOT), str(self.folder))),
            "TRADING_DATA_DIR": str(self.data),
            "TRADING_BYBIT__API_KEY": self.canaries.key,
            "TRADING_BYBIT__API_SECRET": self.secret,
            "TRADING_BYBIT__REST_URL": self.venue["rest"],
            "TRADING_BYBIT__WS_URL": self.venue["ws"],
            "TRADING_LOG__LEVEL": "debug",
            "TRADING_STRATEGY__DECISION_INTERVAL_S": "0.2",
            "COLUMNS": "200",
        }
        return {k: v for k, v in {**given, **more}.items() if v is not None}

    def start(self, name, *arguments, environ=None):
        """Start a command of the project; its outputs go to files outside the data directory."""
        out, err = self.folder / f"{name}.out", self.folder / f"{name}.err"
        with out.open("wb") as stdout, err.open("wb") as stderr:
            process = subprocess.Popen(
                [sys.executable, "-m", "trading_system", *arguments],
                cwd=self.folder,
                env=environ or self.environ(),
                stdin=subprocess.DEVNULL,
                stdout=stdout,
                stderr=stderr,
            )
        self.processes.append(process)
        self.outputs[f"{name} stdout"], self.outputs[f"{name} stderr"] = out, err
        return process

    def run(self, name, *arguments, environ=None):
        """Run a command to its end."""
        self.codes[name] = self.start(name, *arguments, environ=environ).wait(timeout=60)

    def text(self, name):
        return self.outputs[name].read_bytes()

    def keep(self, name, content):
        path = self.folder / f"{re.sub('[^a-z0-9-]', '_', name)}.kept"
        path.write_bytes(content)
        self.outputs[name] = path

    def wait(self, condition, *, what, deadline_s=30.0):
        deadline = time.monotonic() + deadline_s
        while not (value := condition()):
            assert time.monotonic() < deadline, f"not within {deadline_s:g} s: {what}"
            time.sleep(0.05)
        return value

    def request(self, url, path, *, method="GET", headers=None, body=None):
        link = http.client.HTTPConnection(urlsplit(url).netloc, timeout=20)
        with contextlib.closing(link):
            link.request(method, path, body=body, headers=headers or {})
            answer = link.getresponse()
            head = str(answer.headers).encode()
            return answer.status, head, answer.read()

    def end(self):
        for process in self.processes:
            if process.poll() is None:
                process.kill()
                process.wait()


def write_settings(scene, port):
    c = scene.canaries
    sink = f"json://user:{c.sink_password}@127.0.0.1:{port}/{c.sink_path}"
    beat = f"http://127.0.0.1:{port}/{c.beat_path}?pass={c.beat_query}"
    (scene.folder / ".env").write_text(f"TRADING_ALERTS__URLS={sink}\n")
    content = {"alerts": {"heartbeat_url": beat, "heartbeat_s": 5}}
    (scene.folder / "config.json").write_text(json.dumps(content))
    words = f"{c.key} {scene.secret} {sink}"
    (scene.folder / "leaky.py").write_text(LEAKY.format(words=words))


def start_venue(scene):
    """Start a venue whose account has the canary as its key, as a host of its own has."""
    account = AccountSpec(
        account_id=1,
        uid=100_000_001,
        api_key=scene.canaries.key,
        api_secret=scene.secret,
        balance=Decimal(100_000),
    )
    head = Head(market="synthetic", seed=1, generation=0, accounts=[account])
    place = scene.folder.with_name(scene.folder.name + "-venue")
    place.mkdir()
    (place / "state").write_bytes(to_line(head))
    process = subprocess.Popen(
        [sys.executable, "-m", "trading_system", "venue", "--state", str(place / "state")],
        cwd=ROOT,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    )
    scene.processes.append(process)
    scene.venue = json.loads(process.stdout.readline())
    process.stdout.close()
    assert scene.venue["api_key"] == scene.canaries.key


def read_everything(scene):
    """Fetch what the API has, with either token."""
    address = read_address(scene.data)
    scene.canaries.control_token, scene.canaries.read_token = address.token, address.read_token
    bearer = {"Authorization": f"Bearer {address.token}"}
    _, _, described = scene.request(address.url, "/openapi.json", headers=bearer)
    paths = [path for path, item in json.loads(described)["paths"].items() if "get" in item]
    assert len(paths) >= 18
    paths += ["/log?limit=500", "/journal?limit=500", "/openapi.json"]
    for path in paths:
        status, head, body = scene.request(
            address.url, path.replace("{symbol}", "BTCUSDT"), headers=bearer
        )
        assert status == 200, (path, status, body)
        scene.keep(f"api {path}", head + body)
    status, _, body = scene.request(address.url, f"/nothing/{scene.canaries.key}", headers=bearer)
    assert status == 404
    scene.keep("api nothing", body)


def read_pages(scene):
    """Log in as people do and fetch every page."""
    file = scene.data / "dashboard.json"
    scene.wait(file.exists, what="dashboard")
    content = json.loads(file.read_text())
    url, bearer = content["url"], {"Authorization": f"Bearer {content['link_token']}"}
    _, _, body = scene.request(url, "/login-links", method="POST", headers=bearer)
    code = urlsplit(json.loads(body)["login"]).query
    form = {"Content-Type": "application/x-www-form-urlencoded", "Origin": url}
    status, head, _ = scene.request(url, "/login", method="POST", headers=form, body=code)
    assert status == 303
    cookie = re.search(rb"set-cookie: ([^;\s]+)", head, re.IGNORECASE)[1].decode()
    for path in ("/", "/market", "/risk", "/alerts", "/cost", "/market-maker", "/dashboard.css"):
        status, head, body = scene.request(url, path, headers={"Cookie": cookie})
        assert status == 200, (path, status)
        scene.keep(f"page {path}", head + body)
    return content["pid"]


def family(pid):
    """Return ``pid`` and all its descendants."""
    found = [pid]
    for one in found:
        for task in Path(f"/proc/{one}/task").glob("*/children"):
            with contextlib.suppress(OSError):
                found += map(int, task.read_text().split())
    return found


def look_at_processes(scene, pid):
    for one in family(pid):
        scene.keep(f"cmdline {one}", Path(f"/proc/{one}/cmdline").read_bytes())
    scene.children = family(pid)[1:]


def fail_with_bad_keys(scene, port):
    """Commands with a key that the venue does not know, and a heartbeat with a password."""
    c = scene.canaries
    bad = {
        "TRADING_BYBIT__API_KEY": c.bad_key,
        "TRADING_BYBIT__API_SECRET": f'{c.bad_secret}"&',
        "TRADING_ALERTS__HEARTBEAT_URL": f"http://user:{c.beat_password}@127.0.0.1:{port}/x",
    }

    def folder(name):
        (scene.folder / name).mkdir()
        return {"TRADING_DATA_DIR": str(scene.folder / name)}

    words = c.sink_password
    return (
        ("bad doctor", ("doctor", "--json"), scene.environ(**bad, **folder("bad1"))),
        ("bad start", ("start", "--no-dashboard"), scene.environ(**bad, **folder("bad2"))),
        (
            "bad execute",
            ("execute", "--symbol", "BTCUSDT", "--side", "Buy", "--quantity", "0.01", "--json"),
            scene.environ(**bad, **folder("bad3")),
        ),
        (
            "broken agent",
            ("start", "--no-dashboard", "--signal", "leaky:Broken"),
            scene.environ(**folder("bad4")),
        ),
        (
            "bad address",
            ("start", "--no-dashboard"),
            scene.environ(TRADING_ALERTS__URLS=f"nosuch://{words}@{words}/{words}?a={words}"),
        ),
        (
            "bad heartbeat",
            ("status",),
            scene.environ(TRADING_ALERTS__HEARTBEAT_URL=f"ftp://{words}@x/{words}"),
        ),
        (
            "bad rest address",
            ("status",),
            scene.environ(TRADING_BYBIT__REST_URL=f"https://user:{words}@127.0.0.1"),
        ),
        ("half a key", ("status",), scene.environ(TRADING_BYBIT__API_KEY=None)),
        ("unknown setting", ("status",), scene.environ(TRADING_BYBIT__API_SECRETS=words)),
        ("key as an option", ("start", f"--api-key={words}"), scene.environ()),
    )


ASKED = (
    ("status", ("status", "--json")),
    ("status table", ("status",)),
    ("compliance", ("compliance", "--json")),
    ("doctor", ("doctor", "--json")),
    ("top", ("top", "--json")),
    ("alerts", ("alerts", "--json")),
    (
        "execute",
        ("execute", "--symbol", "BTCUSDT", "--side", "Buy", "--quantity", "0.01", "--json"),
    ),
)


def play(scene, heard):
    """Let it all happen."""
    write_settings(scene, heard.port)
    start_venue(scene)
    heard.status = 500
    arguments = ("start", "--json", "--signal", "leaky:Leaky")
    system = scene.start("first run", *arguments)
    with ThreadPoolExecutor(3) as pool:
        wrong = [
            pool.submit(scene.run, name, *words, environ=environ)
            for name, words, environ in fail_with_bad_keys(scene, heard.port)
        ]
        scene.wait(lambda: read_address(scene.data), what="api")
        scene.wait(lambda: b"control API" in scene.text("first run stderr"), what="ready")
        asked = [pool.submit(scene.run, name, *words) for name, words in ASKED]
        for one in (*wrong, *asked):
            one.result()
    scene.run("kill", "kill", "--reason", f"why {scene.canaries.key}", "--json")
    scene.wait(
        lambda: any(c in p for p in heard.paths for c in [scene.canaries.sink_path]),
        what="an alert that the sink refuses",
    )
    heard.status = 200
    read_everything(scene)
    dashboard_pid = read_pages(scene)
    look_at_processes(scene, system.pid)
    scene.dashboard_environ = Path(f"/proc/{dashboard_pid}/environ").read_bytes()
    scene.run("resume", "resume", "--json")
    system.send_signal(signal.SIGKILL)
    system.wait()
    scene.wait(
        lambda: not any(Path(f"/proc/{p}").exists() for p in scene.children),
        what="end of the children of a killed system",
    )
    scene.run("second run", "start", "--no-dashboard", "--duration", "2", "--signal", "leaky:Leaky")
    scene.heard = " ".join(heard.paths)


@pytest.fixture(scope="module")
def scene(tmp_path_factory):
    scene = Scene(tmp_path_factory.mktemp("canary"))
    try:
        with receiver() as heard:
            play(scene, heard)
        yield scene
    finally:
        scene.end()


def test_the_canaries_were_really_used(scene):
    assert scene.codes["execute"] == 0, scene.text("execute stderr")
    assert json.loads(scene.text("execute stdout"))
    assert scene.canaries.sink_path in scene.heard
    assert f"/{scene.canaries.beat_path}?pass={scene.canaries.beat_query}" in scene.heard
    said = scene.text("first run stderr")
    assert b"leak ***" in said
    assert b"Traceback" in said
    assert scene.codes["bad start"] != 0
    assert scene.codes["bad execute"] != 0
    assert b"10003" in scene.text("bad start stderr") or b"key" in scene.text("bad start stderr")


def test_no_output_no_answer_and_no_page_shows_a_canary(scene):
    told = {
        name: found
        for name, path in scene.outputs.items()
        if (found := scene.canaries.found_in(path.read_bytes()))
    }
    assert told == {}
    assert len(scene.outputs) >= 60


def test_no_file_of_the_system_holds_a_canary(scene):
    given = {".env", "config.json", "leaky.py"}
    looked = 0
    for path in scene.folder.rglob("*"):
        if path.is_file() and path.name not in given and "__pycache__" not in path.parts:
            looked += 1
            assert scene.canaries.found_in(path.read_bytes()) == [], path
        assert not path.name.startswith("core"), path
    assert looked > 60
    assert any(
        path.suffix in {".db", ".sqlite", ".journal"} or "journal" in path.name
        for path in scene.data.rglob("*")
    )


def test_the_dashboard_is_given_no_secret(scene):
    assert scene.canaries.found_in(scene.dashboard_environ) == []
    for name in ("BYBIT__API_KEY", "BYBIT__API_SECRET", "ALERTS__URLS", "ALERTS__HEARTBEAT_URL"):
        assert f"TRADING_{name}=\0".encode() in scene.dashboard_environ


def test_misuse_names_the_setting_and_never_its_value(scene):
    for name in (
        "bad address",
        "bad heartbeat",
        "bad rest address",
        "half a key",
        "unknown setting",
        "key as an option",
    ):
        said = scene.text(f"{name} stderr").decode()
        assert scene.codes[name] == 2, (name, said)
        assert len(said.strip().splitlines()) == 1, said
        assert "Traceback" not in said
