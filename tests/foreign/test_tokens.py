"""Owns the proof that verifiers we did not write take the tokens: PyJWT, and cryptography for ML-DSA."""

import base64
import datetime
import json
import time

import jwt
import pytest
from conftest import ASYMMETRIC, AUDIENCE, ISSUER, SYMMETRIC, request
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from jwt.algorithms import get_default_algorithms

PYJWT = sorted(set(get_default_algorithms()) & {*SYMMETRIC, *ASYMMETRIC})
ML_DSA = [name for name in ASYMMETRIC if name.startswith("ML-DSA")]


def by_issue(issuer):
    return issuer.issue({"sub": "alice"}), None


def by_auth(issuer):
    with issuer.served() as address:
        headers = {"Content-Type": "application/json"}
        status, _, body = request(f"{address}/auth", headers, json.dumps({"sub": "alice"}).encode())
    assert status == 200, body
    answer = json.loads(body)
    return answer["token"], answer["claims"]


def by_v2_token(issuer):
    query = f"service={AUDIENCE}&scope=repository:alice-space/app:pull,push"
    with issuer.served() as address:
        status, _, body = request(f"{address}/v2/token?{query}", {"X-Authenticated-User": "alice"})
    assert status == 200, body
    answer = json.loads(body)
    assert answer["access_token"] == answer["token"]
    granted = [{"type": "repository", "name": "alice-space/app", "actions": ["pull"]}]
    assert answer["claims"]["access"] == granted
    return answer["token"], answer["claims"]


WAYS = pytest.mark.parametrize("way", [by_issue, by_auth, by_v2_token], ids=lambda way: way.__name__)


def verify(token, ours, **changes):
    """What any verifier of ours should be told: one algorithm, and every registered claim."""
    wanted = {
        "algorithms": [ours.algorithm],
        "issuer": ISSUER,
        "audience": AUDIENCE,
        "options": {"require": ["iss", "aud", "exp", "nbf", "iat", "sub"], "verify_iat": True},
    }
    return jwt.decode(token, ours.key, **{**wanted, **changes})


def check_times(claims):
    now = time.time()
    for name in ("iat", "nbf", "exp"):
        assert type(claims[name]) is int, (name, claims[name])
    assert now - 60 < claims["nbf"] <= claims["iat"] <= now < claims["exp"] <= now + 3600 + 60


def test_every_common_algorithm_is_here():
    """A newer PyJWT that learns another of Keypebble's algorithms makes this fail."""
    not_ours = {"none", "ES256K", "ES512", "ES521"}
    assert set(PYJWT) == set(get_default_algorithms()) - not_ours
    assert {*SYMMETRIC, *ASYMMETRIC} == {*PYJWT, *ML_DSA}


@WAYS
@pytest.mark.parametrize("algorithm", PYJWT)
def test_pyjwt_verifies(issuer, algorithm, way):
    issuer = issuer(algorithm)
    token, told = way(issuer)
    claims = verify(token, issuer)
    assert claims["sub"] == "alice"
    check_times(claims)
    assert told is None or told == claims, "the answer shows what the token holds"
    header = jwt.get_unverified_header(token)
    assert header["alg"] == algorithm
    # A shared secret has no public id: a hash of it would let anybody test guesses.
    assert ("kid" in header) == (algorithm in ASYMMETRIC)

    # The verifier can say no.
    with pytest.raises(jwt.InvalidAudienceError):
        verify(token, issuer, audience="another.example.com")
    with pytest.raises(jwt.InvalidIssuerError):
        verify(token, issuer, issuer="https://another.example.com")
    head, payload, signature = token.split(".")
    other = base64.urlsafe_b64encode(b"\0" * len(base64.urlsafe_b64decode(signature + "=="))).decode().rstrip("=")
    with pytest.raises(jwt.InvalidSignatureError):
        verify(f"{head}.{payload}.{other}", issuer)


@WAYS
@pytest.mark.parametrize("algorithm", ML_DSA)
def test_cryptography_verifies(issuer, algorithm, way):
    issuer = issuer(algorithm)
    token, _ = way(issuer)
    signed, signature = token.rsplit(".", 1)
    issuer.key.verify(base64.urlsafe_b64decode(signature + "=="), signed.encode())
    header, payload = (json.loads(base64.urlsafe_b64decode(part + "==")) for part in signed.split("."))
    assert header["alg"] == algorithm
    assert (payload["iss"], payload["aud"], payload["sub"]) == (ISSUER, AUDIENCE, "alice")
    check_times(payload)


def test_the_quick_starts_secret_works(issuer):
    """Nine bytes, far below what RFC 7518 wants, but what the original's README says."""
    issuer = issuer("HS256")
    issuer.key = "change-me"
    issuer.config.write_text(
        'issuer: "example.com"\naudience: "example.com"\nalgorithm: "HS256"\nhs256_secret: "change-me"\n'
    )
    token = issuer.issue({"sub": "alice"})
    assert verify(token, issuer, issuer="example.com", audience="example.com")["sub"] == "alice"


@pytest.mark.parametrize("algorithm", ["RS256", "PS256", "ES256", "ES384", "EdDSA"])
def test_the_leaf_of_x5c_verifies(issuer, algorithm, tmp_path):
    """Leaf first, each in standard base64 of its DER (RFC 7515, 4.1.6)."""
    issuer = issuer(algorithm, "x5c_chain_path: chain.pem\n")
    name = x509.Name([x509.NameAttribute(x509.oid.NameOID.COMMON_NAME, "keypebble")])
    now = datetime.datetime.now(datetime.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(issuer.key)
        .serial_number(1)
        .not_valid_before(now - datetime.timedelta(hours=1))
        .not_valid_after(now + datetime.timedelta(hours=1))
        .sign(issuer.private, None if algorithm == "EdDSA" else hashes.SHA256())
    )
    (tmp_path / "chain.pem").write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    token = issuer.issue({"sub": "alice"})
    chain = jwt.get_unverified_header(token)["x5c"]
    assert len(chain) == 1
    leaf = x509.load_der_x509_certificate(base64.b64decode(chain[0], validate=True))
    assert leaf == certificate
    issuer.key = leaf.public_key()
    assert verify(token, issuer)["sub"] == "alice"
