"""Owns the proof that a JWKS reader we did not write takes ours: PyJWT's PyJWKSet, and its PyJWKClient over
HTTP, for every algorithm that it knows; thumbprints by RFC 7638's own steps; certificates by cryptography."""

import base64
import hashlib
import json
import subprocess

import jwt
import pytest
from conftest import AUDIENCE, ISSUER, KEYPEBBLE, request
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from test_tokens import ML_DSA, PYJWT

ASYMMETRIC = [name for name in PYJWT if not name.startswith("HS")]

# RFC 7638 (3.2), RFC 8037 (2): the members that identify a key, in lexical order.
REQUIRED = {"RSA": ["e", "kty", "n"], "EC": ["crv", "kty", "x", "y"], "OKP": ["crv", "kty", "x"]}


def thumbprint(jwk):
    required = {name: jwk[name] for name in REQUIRED[jwk["kty"]]}
    canonical = json.dumps(required, separators=(",", ":"), sort_keys=True)
    return base64.urlsafe_b64encode(hashlib.sha256(canonical.encode()).digest()).decode().rstrip("=")


def libtrust(der):
    text = base64.b32encode(hashlib.sha256(der).digest()[:30]).decode()
    return ":".join(text[at : at + 4] for at in range(0, len(text), 4))


class Ring:
    """A key folder with an active and a next key, and a configuration for it."""

    def __init__(self, folder, algorithm):
        self.config = folder / "config.yaml"
        self.config.write_text(
            f"issuer: {ISSUER}\naudience: {AUDIENCE}\nkey_dir: keys\nservice: {{host: 127.0.0.1, port: 0}}\n"
        )
        for _ in range(2):
            self.run("keys", "generate", "--algorithm", algorithm)

    def run(self, *arguments, code=0):
        done = subprocess.run(
            [KEYPEBBLE, *arguments, "--config", self.config], capture_output=True, text=True
        )
        assert done.returncode == code, done.stderr
        return done.stdout

    def token(self):
        return self.run("issue").strip()


def verify(token, key, algorithm):
    return jwt.decode(token, key, algorithms=[algorithm], issuer=ISSUER, audience=AUDIENCE)


@pytest.mark.parametrize("algorithm", ASYMMETRIC)
def test_pyjwkset_verifies_before_and_after_a_rotation(tmp_path, algorithm):
    ring = Ring(tmp_path, algorithm)
    jwks = jwt.PyJWKSet.from_json(ring.run("keys", "export", "--format", "jwks"))
    assert len(jwks.keys) == 2
    tokens = [ring.token()]
    ring.run("keys", "rotate")
    tokens.append(ring.token())
    kids = [jwt.get_unverified_header(token)["kid"] for token in tokens]
    assert len(set(kids)) == 2
    # The set exported before the rotation verifies what is signed after it: that is what it is for.
    for token, kid in zip(tokens, kids):
        assert jwks[kid].algorithm_name == algorithm
        assert verify(token, jwks[kid], algorithm)["iss"] == ISSUER
    with pytest.raises(jwt.InvalidSignatureError):
        verify(tokens[0], jwks[kids[1]], algorithm)


@pytest.mark.parametrize("algorithm", ASYMMETRIC)
def test_key_ids_are_libtrusts_and_rfc_7638s(tmp_path, algorithm):
    ring = Ring(tmp_path, algorithm)
    jwks = json.loads(ring.run("keys", "export", "--format", "jwks"))["keys"]
    shown = ring.run("keys", "export", "--format", "id")
    for jwk in jwks:
        key = jwt.PyJWK(jwk).key
        der = key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
        assert f"rfc7638   {thumbprint(jwk)}\n" in shown
        assert f"libtrust  {libtrust(der)}\n" in shown
        assert jwk["kid"] == (thumbprint(jwk) if algorithm == "EdDSA" else libtrust(der))
        assert set(jwk) == {*REQUIRED[jwk["kty"]], "alg", "use", "kid"}, "public members, and no others"


def test_thumbprint_by_the_vector_of_rfc_7638():
    """The helper above, against section 3.1, so that the comparison means something."""
    n = (
        "0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSoc_BJECPebWKRXjBZCiFV4n3"
        "oknjhMstn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0_FDW2QvzqY368QQMicAtaSqzs8KJZgnYb9c7d0zgdA"
        "ZHzu6qMQvRL5hajrn1n91CbOpbISD08qNLyrdkt-bFTWhAI4vMQFh6WeZu0fM4lFd2NcRwr3XPksINHaQ-G_xBniIqbw0Ls1jF44-csFCur-"
        "kEgU8awapJzKnqDKgw"
    )
    assert thumbprint({"kty": "RSA", "n": n, "e": "AQAB"}) == "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs"


@pytest.mark.parametrize("algorithm", ["ES256", "RS256", "EdDSA"])
def test_pyjwkclient_finds_the_key_by_discovery(issuer, algorithm):
    issuer = issuer(algorithm)
    token = issuer.issue({"sub": "alice"})
    with issuer.served() as address:
        status, headers, body = request(f"{address}/.well-known/openid-configuration")
        discovered = json.loads(body)
        assert (status, discovered["issuer"]) == (200, ISSUER)
        assert discovered["jwks_uri"] == f"{ISSUER}/.well-known/jwks.json"
        assert discovered["id_token_signing_alg_values_supported"] == [algorithm]
        client = jwt.PyJWKClient(discovered["jwks_uri"].replace(ISSUER, address))
        key = client.get_signing_key_from_jwt(token)
        assert verify(token, key, algorithm)["sub"] == "alice"


@pytest.mark.parametrize("algorithm", [*ASYMMETRIC, *ML_DSA])
def test_cryptography_verifies_the_certificates(tmp_path, algorithm):
    ring = Ring(tmp_path, algorithm)
    done = subprocess.run(
        [KEYPEBBLE, "keys", "export", "--format", "cert", "--config", ring.config], capture_output=True
    )
    assert done.returncode == 0, done.stderr
    certificates = x509.load_pem_x509_certificates(done.stdout)
    assert len(certificates) == 2
    for certificate in certificates:
        if algorithm in ML_DSA:  # cryptography reads such certificates, but checks none by itself
            certificate.public_key().verify(certificate.signature, certificate.tbs_certificate_bytes)
        else:
            certificate.verify_directly_issued_by(certificate)
        constraints = certificate.extensions.get_extension_for_class(x509.BasicConstraints)
        assert constraints.critical and not constraints.value.ca
        assert certificate.extensions.get_extension_for_class(x509.KeyUsage).value.digital_signature
        assert 3649 <= (certificate.not_valid_after_utc - certificate.not_valid_before_utc).days <= 3651


def test_a_shared_secret_is_nowhere(tmp_path):
    ring = Ring(tmp_path, "HS256")
    assert ring.run("keys", "export", "--format", "jwks", code=1) == ""
