#!/usr/bin/env python3
"""Keypebble beside other token servers: the same keys, one token a request, one run. Prints tables in markdown.

    cargo build --release --features full
    target/foreign/bin/python benches/peers/run.py [KEYPEBBLE...]

Needs wrk, Go, and for mock-oauth2-server Java and Maven. docker_auth is the program of that name in PATH: the registry of Go
modules does not give it out, and its repository builds with `go build` in auth_server. The Python is the one that
`.ci/run foreign` installs. Who cannot be had is named and left out. All load is on loopback. Other work makes rates and times
worse; the processor time of a token is the figure that suffers least.
"""

import base64
import contextlib
import datetime
import json
import os
import pathlib
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import NameOID

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parents[1]
ROUNDS, SECONDS, CONNECTIONS, SILENT = 3, 4, 16, 500
TICK = os.sysconf("SC_CLK_TCK")


class Peer:
    """A server that gives tokens: its command, what of it is on the disk, and how it is asked."""

    def __init__(self, name, files, command, path, body=None, headers=None, environment=None):
        self.name, self.files, self.command, self.path, self.body = name, files, command, path, body
        self.headers, self.environment = headers or {}, environment or {}

    def request(self, port, timeout=5):
        url = f"http://127.0.0.1:{port}{self.path}"
        request = urllib.request.Request(url, self.body and self.body.encode(), self.headers)
        with urllib.request.urlopen(request, timeout=timeout) as answer:
            token = json.loads(answer.read())
        assert (token.get("access_token") or token["token"]).count(".") == 2

    @contextlib.contextmanager
    def running(self):
        """Its port, its process and the seconds until its first token."""
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        command = [part.replace("PORT", str(port)) if isinstance(part, str) else part for part in self.command]
        environment = {**os.environ, **{name: text.replace("PORT", str(port)) for name, text in self.environment.items()}}
        with open(os.devnull, "w") as nowhere:
            started = time.monotonic()
            process = subprocess.Popen(command, stdout=nowhere, stderr=nowhere, env=environment)
            try:
                while True:
                    assert process.poll() is None and time.monotonic() - started < 60, f"{self.name} does not start"
                    with contextlib.suppress(OSError):
                        self.request(port)
                        break
                yield port, process, time.monotonic() - started
            finally:
                process.kill()
                process.wait()


def memory(process):
    """Resident, in MiB."""
    text = pathlib.Path(f"/proc/{process.pid}/status").read_text()
    return int(re.search(r"VmRSS:\s+(\d+)", text)[1]) / 1024


def processor(process):
    """Seconds of the processor that it took so far."""
    fields = pathlib.Path(f"/proc/{process.pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / TICK


def load(peer, port, folder):
    """Tokens given in a round, and tokens a second."""
    script = folder / "load.lua"
    lines = [f"wrk.headers[{json.dumps(name)}] = {json.dumps(value)}" for name, value in peer.headers.items()]
    if peer.body:
        lines += ['wrk.method = "POST"', f"wrk.body = {json.dumps(peer.body)}"]
    script.write_text("\n".join(lines) + "\n")
    command = ["wrk", "-t2", f"-c{CONNECTIONS}", f"-d{SECONDS}s", "-s", script, f"http://127.0.0.1:{port}{peer.path}"]
    said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert "Non-2xx" not in said, said
    return int(re.search(r"(\d+) requests in", said)[1]), float(re.search(r"Requests/sec:\s+([\d.]+)", said)[1])


def besieged(peer, port):
    """How a good client fares while others say half a request and then nothing: failures, and the 50th and 99th
    percentile in milliseconds."""
    silent, times, failed = [], [], 0
    try:
        for _ in range(SILENT):
            with contextlib.suppress(OSError):
                silent.append(socket.create_connection(("127.0.0.1", port), timeout=1))
                silent[-1].sendall(f"GET {peer.path} HTTP/1.1\r\nHost: loc".encode())
        for _ in range(200):
            started = time.monotonic()
            try:
                peer.request(port)
            except OSError:
                failed += 1
            times.append((time.monotonic() - started) * 1000)
    finally:
        for connection in silent:
            connection.close()
    times.sort()
    return failed, times[100], times[197]


def size(files):
    return sum(file.stat().st_size for file in files) / 2**20


def measured(peer, folder):
    best, costs, start, idle, after = 0, [], None, 0, 0
    with peer.running() as (port, process, start):
        idle = memory(process)
        load(peer, port, folder)  # until it is warm
        for _ in range(ROUNDS):
            before = processor(process)
            count, rate = load(peer, port, folder)
            costs.append((processor(process) - before) / count * 1e6)
            best = max(best, rate)
        after = memory(process)
        failed, half, most = besieged(peer, port)
    return (
        f"| {peer.name} | {start * 1000:.0f} | {size(peer.files):.1f} | {idle:.0f}; {after:.0f} | {best:,.0f} "
        f"| {min(costs):.0f} | {failed} of 200; {half:.1f}; {most:.1f} |"
    )


def jwk(key):
    """The private key for mock-oauth2-server, which takes no PEM."""

    def number(value, length):
        return base64.urlsafe_b64encode(value.to_bytes(length, "big")).rstrip(b"=").decode()

    private = key.private_numbers()
    public = private.public_numbers
    if isinstance(key, ec.EllipticCurvePrivateKey):
        kind, parts = {"kty": "EC", "crv": "P-256"}, {"d": private.private_value, "x": public.x, "y": public.y}
        lengths = dict.fromkeys(parts, 32)
    else:
        names = {"d": "d", "p": "p", "q": "q", "dp": "dmp1", "dq": "dmq1", "qi": "iqmp"}
        parts = {name: getattr(private, of) for name, of in names.items()}
        kind, parts = {"kty": "RSA"}, parts | {"n": public.n, "e": public.e}
        lengths = {name: (part.bit_length() + 7) // 8 for name, part in parts.items()}
    return {**kind, "kid": "k", "use": "sig", **{name: number(part, lengths[name]) for name, part in parts.items()}}


def certificate(key):
    """Signed by itself: docker_auth reads the public key from there."""
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "i")])
    now = datetime.datetime.now(datetime.UTC)
    made = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
    made = made.serial_number(1).not_valid_before(now).not_valid_after(now + datetime.timedelta(days=1))
    return made.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)


def docker_auth(folder):
    """Without a password, as the others are asked."""
    program = shutil.which("docker_auth")
    if not program:
        print("docker_auth: left out: there is no program of that name in PATH", file=sys.stderr)
        return
    config = {
        "server": {"addr": "127.0.0.1:HERE"},
        "token": {"issuer": "i", "expiration": 300, "certificate": f"{folder}/cert.pem", "key": f"{folder}/key.pem"},
        "users": {"": {}},
        "acl": [{"match": {"account": ""}, "actions": ["pull"]}],
    }
    (folder / "docker_auth.yml").write_text(json.dumps(config))
    start = 'sed "s/HERE/$1/" docker_auth.yml >docker_auth-here.yml && exec "$0" docker_auth-here.yml'
    command = ["sh", "-c", f"cd {folder} && {start}", program, "PORT"]
    yield Peer("docker_auth", [pathlib.Path(program)], command, "/auth?service=registry.example.com&scope=repository:alice/app:pull")


def mock_oauth2_server(folder, algorithm, key):
    jars = folder / "jars"
    fetch = ["mvn", "-q", "-B", "-f", HERE / "pom.xml", "dependency:copy-dependencies", f"-DoutputDirectory={jars}"]
    if not shutil.which("mvn") or subprocess.run(fetch, stdout=subprocess.DEVNULL).returncode:
        print("mock-oauth2-server: left out: Maven cannot fetch it", file=sys.stderr)
        return
    provider = {"keyProvider": {"initialKeys": json.dumps(jwk(key)), "algorithm": algorithm}}
    environment = {"JSON_CONFIG": json.dumps({"tokenProvider": provider}), "SERVER_PORT": "PORT", "SERVER_HOSTNAME": "127.0.0.1"}
    yield Peer(
        "mock-oauth2-server 2.1.10 (without its Java)",
        list(jars.iterdir()),
        ["java", "-cp", f"{jars}/*", "no.nav.security.mock.oauth2.StandaloneMockOAuth2ServerKt"],
        "/default/token",
        "grant_type=client_credentials&client_id=alice&client_secret=x&scope=registry.example.com",
        {"Content-Type": "application/x-www-form-urlencoded"},
        environment,
    )


def peers(folder, binaries, algorithm):
    """Each that can be had."""
    key = ec.generate_private_key(ec.SECP256R1()) if algorithm == "ES256" else rsa.generate_private_key(65537, 2048)
    pem = folder / "key.pem"
    pem.touch(mode=0o600)
    pem.write_bytes(key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()))
    (folder / "cert.pem").write_bytes(certificate(key))
    config = "issuer: i\naudience: registry.example.com\nprivate_key_path: key.pem\n"
    (folder / "config.yaml").write_text(config)
    (folder / "policy.yaml").write_text("users:\n  alice: {namespace: alice, repos: [app], actions: [pull]}\n")
    path = "/v2/token?service=registry.example.com&scope=repository:alice/app:pull"
    for binary in binaries:
        command = [binary, "serve", "--config", folder / "config.yaml", "--policy", folder / "policy.yaml"]
        headers = {"X-Authenticated-User": "alice"}
        yield Peer(f"Keypebble ({binary})", [pathlib.Path(binary)], [*command, "--listen", "127.0.0.1:PORT"], path, headers=headers)

    program = folder / "peer"
    subprocess.run(["go", "build", "-ldflags=-s -w", "-o", program, ROOT / "benches/peer/main.go"], check=True)
    yield Peer("net/http and Go's cryptography", [program], [program, "127.0.0.1:PORT", algorithm, pem], path)

    yield from docker_auth(folder)
    yield from mock_oauth2_server(folder, algorithm, key)


def main():
    binaries = sys.argv[1:] or [str(ROOT / "target/release/keypebble")]
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        for algorithm in ("ES256", "RS256"):
            print(f"{algorithm}, {CONNECTIONS} connections, best of {ROUNDS} rounds of {SECONDS} s; {os.cpu_count()} cores\n")
            print("| server | start to first token, ms | on the disk, MiB | resident idle; after load, MiB | tokens a second "
                  f"| processor time of a token, us | with {SILENT} silent connections: failed; p50; p99, ms |")
            print("|---|---|---|---|---|---|---|")
            for peer in peers(folder, binaries, algorithm):
                print(measured(peer, folder), flush=True)
            print()


main()
