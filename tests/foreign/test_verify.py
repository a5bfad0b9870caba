"""Owns the proof that the verifiers in examples/verify take what holds and refuse what does not."""

import base64
import json
import shutil
import subprocess
import sys

import pytest
from conftest import AUDIENCE, ISSUER, KEYPEBBLE, ROOT

EXAMPLES = ROOT / "examples" / "verify"
VERIFIERS = pytest.mark.parametrize("verifier", ["python", "go", "node", "shell"])
ALGORITHMS = ["ES256", "EdDSA", "RS256"]


@pytest.fixture(scope="session")
def commands(tmp_path_factory):
    """Each verifier's command, installed as its users would."""
    folder = tmp_path_factory.mktemp("verify")
    program = folder / "verify"
    subprocess.run(["go", "build", "-o", program, "."], cwd=EXAMPLES / "go", check=True)
    for name in ("verify.mjs", "package.json", "package-lock.json"):
        shutil.copy(EXAMPLES / name, folder)
    subprocess.run(["npm", "ci", "--silent", "--no-audit", "--no-fund"], cwd=folder, check=True)
    return {
        "python": [sys.executable, EXAMPLES / "verify.py"],
        "go": [program],
        "node": ["node", folder / "verify.mjs"],
        "shell": ["sh", EXAMPLES / "verify.sh"],
    }


def issue(made, *flags):
    command = [KEYPEBBLE, "issue", "--config", made.config, "--sub", "alice", *flags]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def verified(command, address, token, issuer=ISSUER, audience=AUDIENCE):
    """The claims, or None where it refuses and prints none of them."""
    arguments = [f"{address}/.well-known/jwks.json", issuer, audience]
    done = subprocess.run([*command, *arguments], input=token, capture_output=True, text=True)
    if done.returncode == 0:
        return json.loads(done.stdout)
    assert done.returncode == 1 and done.stdout == "" and done.stderr.startswith("refused: "), done
    return None


def part(value):
    return base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()


def forged(token, **header):
    """A token with that in its header; its signature is the old one."""
    first, rest = token.strip().split(".", 1)
    known = json.loads(base64.urlsafe_b64decode(first + "=" * (-len(first) % 4)))
    return f"{part({**known, **header})}.{rest}"


@VERIFIERS
@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_a_verifier_takes_what_holds_and_nothing_else(commands, issuer, verifier, algorithm):
    command, made = commands[verifier], issuer(algorithm)
    with made.served() as address:
        token = issue(made)
        assert verified(command, address, token)["sub"] == "alice"
        assert verified(command, address, issue(made, "--audience", AUDIENCE, "--ttl", "60"))["aud"] == AUDIENCE
        for flag in ("--expired", "--not-yet", "--wrong-signature", "--wrong-audience"):
            assert verified(command, address, issue(made, flag)) is None, flag
        assert verified(command, address, token, issuer="https://other.example.com") is None
        assert verified(command, address, token, audience="other.example.com") is None
        head, payload, signature = token.strip().split(".")
        bob = part({**json.loads(base64.urlsafe_b64decode(payload + "==")), "sub": "bob"})
        for wrong in (
            f"{head}.{bob}.{signature}",
            f"{head}.{payload}.",
            f"{part({'alg': 'none'})}.{payload}.",
            f"{head}.{payload}",
            forged(token, alg="HS256"),
            forged(token, kid="another"),
            "",
            "x",
        ):
            assert verified(command, address, wrong) is None, wrong


@VERIFIERS
def test_an_algorithm_that_is_not_listed_is_refused(commands, issuer, verifier):
    made = issuer("ES384")
    with made.served() as address:
        assert verified(commands[verifier], address, issue(made)) is None
