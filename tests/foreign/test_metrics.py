"""Owns the proof that parsers we did not write read /metrics: prometheus_client's, and promtool's."""

import json
import shutil
import subprocess

import pytest
from conftest import AUDIENCE, request
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.openmetrics.parser import text_string_to_metric_families


@pytest.fixture
def exposition(issuer):
    """What /metrics says after one request of each kind, refusals too."""
    with issuer("ES256").served() as address:
        user = {"X-Authenticated-User": "alice"}
        answers = [
            request(f"{address}/healthz"),
            request(f"{address}/auth", {"Content-Type": "application/json"}, json.dumps({"sub": "a"}).encode()),
            request(f"{address}/v2/token?service={AUDIENCE}", user),
            request(f"{address}/v2/token?service={AUDIENCE}"),
            request(f"{address}/v2/token?service=another.example.com", user),
            request(f'{address}/no"such\\path'.replace('"', "%22").replace("\\", "%5C")),
        ]
        assert [status for status, _, _ in answers] == [200, 200, 200, 401, 400, 404]
        status, headers, body = request(f"{address}/metrics")
    assert status == 200
    assert headers["Content-Type"] == "application/openmetrics-text; version=1.0.0; charset=utf-8"
    return body


def test_prometheus_client_reads_them(exposition):
    families = {family.name: family for family in text_string_to_metric_families(exposition)}
    assert all(name.startswith("keypebble_") or name.startswith("process_") for name in families), families
    by_type = {}
    for family in families.values():
        by_type.setdefault(family.type, []).append(family)
    assert len(by_type["counter"]) >= 3, "requests, tokens, refusals"
    assert len(by_type["histogram"]) == 1

    (requests,) = (family for family in by_type["counter"] if "requests" in family.name)
    answered = sorted(sample.labels["status"] for sample in requests.samples for _ in range(int(sample.value)))
    assert answered == ["200", "200", "200", "400", "401", "404"]
    (tokens,) = (family for family in by_type["counter"] if family.name == "keypebble_tokens_issued")
    assert sum(sample.value for sample in tokens.samples) == 2
    assert all(sample.labels["algorithm"] == "ES256" for sample in tokens.samples if sample.value)

    (durations,) = by_type["histogram"]
    assert durations.name.endswith("_seconds")
    counts = [sample.value for sample in durations.samples if sample.name.endswith("_count")]
    assert sum(counts) == 6
    bounds = {sample.labels["le"] for sample in durations.samples if "le" in sample.labels}
    finite = sorted(float(bound) for bound in bounds - {"+Inf"})
    assert (finite[0], finite[-1]) == (0.00005, 5.0)


def test_promtool_finds_nothing_to_say(exposition):
    """promtool reads only the older text format, where a counter's family has `_total` in its name and
    there is no type `info`: prometheus_client writes what it has read as that, and promtool judges names,
    units and help texts."""
    promtool = shutil.which("promtool")
    assert promtool, "promtool is missing: apt-get install --no-install-recommends prometheus"

    class Read:
        def collect(self):
            return text_string_to_metric_families(exposition)

    registry = CollectorRegistry()
    registry.register(Read())
    text = generate_latest(registry)
    assert b"keypebble_build_info" in text
    done = subprocess.run([promtool, "check", "metrics"], input=text, capture_output=True)
    assert (done.returncode, done.stdout + done.stderr) == (0, b"")
