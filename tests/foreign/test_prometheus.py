"""Owns the proof that a real Prometheus scrapes Keypebble, that examples/prometheus works in it, and that every query of
the dashboard in examples/grafana returns data. With KEYPEBBLE_PICTURE=FILE it goes on for two minutes and draws them."""

import base64
import contextlib
import json
import os
import re
import shutil
import socket
import subprocess
import time
import urllib.parse

import panels
import pytest
from conftest import AUDIENCE, KEYPEBBLE, ROOT, request

RULES = ROOT / "examples" / "prometheus"
DASHBOARD = json.loads((ROOT / "examples" / "grafana" / "keypebble.json").read_text())
PICTURE = os.environ.get("KEYPEBBLE_PICTURE")


def test_every_alert_has_a_test_in_which_it_fires():
    subprocess.run(["promtool", "test", "rules", "rules_test.yaml"], cwd=RULES, check=True)
    subprocess.run(["promtool", "check", "config", "prometheus.yaml"], cwd=RULES, check=True)
    alerts = re.findall(r"- alert: (\w+)", (RULES / "rules.yaml").read_text())
    tests = (RULES / "rules_test.yaml").read_text()
    assert len(alerts) >= 10
    for alert in alerts:
        assert f"name: {alert} fires" in tests and f"name: {alert} is quiet" in tests


@pytest.fixture
def served(issuer):
    made = issuer("ES256", "users_file: users\nstore: sqlite:store.db\n")
    made.config.write_text(made.config.read_text().replace("port: 0", "port: 0, trusted_proxies: [127.0.0.1]"))
    (made.folder / "users").touch(mode=0o600)
    (made.folder / "users").write_text((ROOT / "tests" / "docs" / "users.htpasswd").read_text())
    subprocess.run([KEYPEBBLE, "store", "init", "--config", made.config], check=True, capture_output=True)
    with made.served() as address:
        yield address


@contextlib.contextmanager
def prometheus(folder, target):
    """The example's Prometheus, but quick and for this target."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    config = (RULES / "prometheus.yaml").read_text()
    quick = config.replace("15s", "1s").replace("localhost:8080", target)
    assert quick.count("1s") == 2 and target in quick
    (folder / "prometheus.yaml").write_text(quick)
    shutil.copy(RULES / "rules.yaml", folder)
    with (folder / "prometheus.log").open("w") as log:
        process = subprocess.Popen(
            # Debian's own default for the data is a folder of the whole machine.
            ["prometheus", "--config.file=prometheus.yaml", "--storage.tsdb.path=data", f"--web.listen-address=127.0.0.1:{port}"],
            cwd=folder,
            stdout=log,
            stderr=log,
        )
    try:
        yield f"http://127.0.0.1:{port}/api/v1"
    finally:
        process.kill()
        process.wait()


def asked(api, path, **parameters):
    status, _, body = request(f"{api}/{path}?{urllib.parse.urlencode(parameters)}")
    assert status == 200, body
    return json.loads(body)["data"]


def use(address):
    """One request of each kind."""
    basic = lambda proof: {"Authorization": "Basic " + base64.b64encode(proof).decode()}
    peer, service = {"X-Authenticated-User": "alice"}, f"?service={AUDIENCE}&scope=repository:alice-space/app:pull"
    request(f"{address}/v2/token{service}", peer)
    request(f"{address}/v2/token{service}&offline_token=true", basic(b"alice:sesame"))
    request(f"{address}/v2/token{service}", basic(b"alice:wrong"))
    request(f"{address}/v2/token?service=another", peer)
    request(f"{address}/auth", {"Content-Type": "application/json"}, b"{}")


def until(what, done):
    deadline = time.monotonic() + 60
    while not (found := done()):
        assert time.monotonic() < deadline, what
        time.sleep(0.1)
    return found


def ready(api):
    """Whether it has started, and has scraped."""
    with contextlib.suppress(OSError):
        status, _, body = request(f"{api}/targets")
        targets = json.loads(body)["data"]["activeTargets"] if status == 200 else []
        return [target["health"] for target in targets] == ["up"]


def test_prometheus_scrapes_it_and_every_panel_has_data(served, tmp_path):
    with prometheus(tmp_path, served.removeprefix("http://")) as api:
        until("the target is up", lambda: ready(api))
        groups = until("the rules were evaluated", lambda: [
            group for group in asked(api, "rules")["groups"] if all(rule["health"] == "ok" for rule in group["rules"])
        ])
        assert len(groups[0]["rules"]) >= 10
        for panel in DASHBOARD["panels"]:
            for target in panel["targets"]:
                expression = panels.filled(target["expr"])

                def has_data():
                    use(served)
                    found = asked(api, "query", query=expression)["result"]
                    return [one for one in found if one["value"][1] != "NaN"]

                until(f"{panel['title']}: {expression}", has_data)
        assert [one for one in asked(api, "alerts")["alerts"] if one["state"] == "firing"] == []
        if PICTURE:
            ends = time.time() + 120
            while time.time() < ends:
                use(served)
                time.sleep(0.2)
            panels.draw(DASHBOARD, lambda expression: asked(
                api, "query_range", query=expression, start=ends - 120, end=ends, step=2
            )["result"], PICTURE)
