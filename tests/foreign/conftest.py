"""Owns the keys, the configurations and the running service that the foreign verifiers look at.

The binary is target/release/keypebble, or the one that KEYPEBBLE_BIN names.
"""

import contextlib
import json
import os
import pathlib
import re
import subprocess
import time
import urllib.error
import urllib.request

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, mldsa, rsa

ROOT = pathlib.Path(__file__).resolve().parents[2]
TARGET = pathlib.Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target"))
KEYPEBBLE = os.environ.get("KEYPEBBLE_BIN", str(TARGET / "release" / "keypebble"))
ISSUER, AUDIENCE = "https://keypebble.example.com", "registry.example.com"

SECRET = "a secret of more than sixty-four bytes, which is what HS512 asks for at least"
POLICY = """\
users:
  alice: {namespace: alice-space, repos: [app], actions: [pull]}
"""


def _rsa():
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


# Every algorithm that Keypebble has and a verifier here knows, with what makes its key.
ASYMMETRIC = {
    **dict.fromkeys(["RS256", "RS384", "RS512", "PS256", "PS384", "PS512"], _rsa),
    "ES256": lambda: ec.generate_private_key(ec.SECP256R1()),
    "ES384": lambda: ec.generate_private_key(ec.SECP384R1()),
    "EdDSA": ed25519.Ed25519PrivateKey.generate,
    "ML-DSA-44": mldsa.MLDSA44PrivateKey.generate,
    "ML-DSA-65": mldsa.MLDSA65PrivateKey.generate,
    "ML-DSA-87": mldsa.MLDSA87PrivateKey.generate,
}
SYMMETRIC = ["HS256", "HS384", "HS512"]


class Issuer:
    """A configuration in a folder of its own, and the key to check its tokens with."""

    def __init__(self, folder, algorithm, settings=""):
        self.folder, self.algorithm = folder, algorithm
        lines = [f"issuer: {ISSUER}", f"audience: {AUDIENCE}", f"algorithm: {algorithm}"]
        lines.append("service: {host: 127.0.0.1, port: 0}")
        if algorithm in ASYMMETRIC:
            self.private = ASYMMETRIC[algorithm]()
            self.key = self.private.public_key()
            path = folder / "signing.key"
            path.touch(mode=0o600)
            path.write_bytes(
                self.private.private_bytes(
                    serialization.Encoding.PEM,
                    serialization.PrivateFormat.PKCS8,
                    serialization.NoEncryption(),
                )
            )
            lines.append("private_key_path: signing.key")
        else:
            self.key = SECRET
            lines.append(f"secret: {json.dumps(SECRET)}")
        self.config = folder / "config.yaml"
        self.policy = folder / "policy.yaml"
        self.config.write_text("\n".join(lines) + "\n" + settings)
        self.policy.write_text(POLICY)

    def issue(self, claims, *more):
        """The token that `keypebble issue` prints."""
        done = subprocess.run(
            [KEYPEBBLE, "issue", "--config", self.config, "--claims", json.dumps(claims), *more],
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stderr
        assert done.stdout.endswith("\n") and done.stdout.count("\n") == 1, repr(done.stdout)
        return done.stdout[:-1]

    @contextlib.contextmanager
    def served(self):
        """The address of `keypebble serve`, running."""
        log = self.folder / "log"
        with log.open("w") as file:
            process = subprocess.Popen(
                [KEYPEBBLE, "serve", "--config", self.config, "--policy", self.policy],
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=file,
            )
        try:
            deadline = time.monotonic() + 30
            while not (found := re.search(r"listening.*?(http://[^\s\",}]+).*\n", log.read_text())):
                assert process.poll() is None and time.monotonic() < deadline, log.read_text()
                time.sleep(0.01)
            yield found[1].rstrip("/")
        finally:
            process.kill()
            process.wait()


def request(url, headers=None, body=None):
    """Status and body; a refusal is an answer too."""
    try:
        with urllib.request.urlopen(urllib.request.Request(url, body, headers or {}), timeout=10) as answer:
            return answer.status, answer.headers, answer.read().decode()
    except urllib.error.HTTPError as refusal:
        with refusal:
            return refusal.code, refusal.headers, refusal.read().decode()


@pytest.fixture
def issuer(tmp_path):
    """Makes an issuer of an algorithm."""
    return lambda algorithm, settings="": Issuer(tmp_path, algorithm, settings)
