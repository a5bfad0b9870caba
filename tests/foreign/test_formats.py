"""Owns the proof that others open our encrypted tokens and we open theirs: joserfc, Node's jose and Go's go-jose for
every algorithm of JWE; Python's cryptography for Fernet; and that JWK files of others are read."""

import base64
import json
import os
import subprocess
import time

import jwt
import pytest
from conftest import AUDIENCE, ISSUER, KEYPEBBLE
from cryptography.fernet import Fernet, InvalidToken, MultiFernet
from cryptography.hazmat.primitives.asymmetric import mldsa
from joserfc import jwe
from joserfc.jwk import ECKey, OctKey, OKPKey, RSAKey

ENC = "A256GCM"
KEYS = {
    "A256KW": lambda: OctKey.generate_key(256),
    "A128KW": lambda: OctKey.generate_key(128),
    "ECDH-ES+A256KW P-256": lambda: ECKey.generate_key("P-256"),
    "ECDH-ES+A128KW P-256": lambda: ECKey.generate_key("P-256"),
    "ECDH-ES+A256KW X25519": lambda: OKPKey.generate_key("X25519"),
    "ECDH-ES+A128KW X25519": lambda: OKPKey.generate_key("X25519"),
}


class Joserfc:
    """In this process."""

    def __init__(self, folder, key, algorithm):
        self.key, self.algorithm = key, algorithm

    def open(self, token):
        return jwe.decrypt_compact(token, self.key, algorithms=[self.algorithm, ENC]).plaintext.decode()

    def seal(self, content):
        header = {"alg": self.algorithm, "enc": ENC, "typ": "JWT"}
        if content.count(".") == 2:
            header["cty"] = "JWT"
        return jwe.encrypt_compact(header, content.encode(), self.key, algorithms=[self.algorithm, ENC])


class Program:
    """A program that opens and seals."""

    def __init__(self, folder, key, algorithm):
        self.folder, self.algorithm = folder, algorithm

    def open(self, token):
        return self.run("open", self.folder / "private.jwk", input=token)

    def seal(self, content):
        return self.run("seal", self.folder / "public.jwk", self.algorithm, input=content)

    def run(self, *arguments, input):
        done = subprocess.run([*self.COMMAND, *arguments], input=input, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        return done.stdout


class Jose(Program):
    COMMAND = ["node", os.environ.get("JOSE_MJS", "jose.mjs")]


class GoJose(Program):
    COMMAND = ["gojose"]


def others(key):
    """go-jose knows no X25519."""
    return [Joserfc, Jose] + ([] if key["kty"] == "OKP" else [GoJose])


def keypebble(*arguments, input=None, code=0):
    done = subprocess.run([KEYPEBBLE, *arguments], input=input, capture_output=True, text=True)
    assert done.returncode == code, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(params=KEYS)
def recipient(request, issuer, tmp_path):
    """A signing issuer that encrypts to a key of joserfc's, whose two halves are files."""
    algorithm, key = request.param.split(" ")[0], KEYS[request.param]()
    public = key.as_dict(private=key.as_dict(private=True)["kty"] == "oct", alg=algorithm, use="enc", kid="them")
    private = key.as_dict(private=True, alg=algorithm, use="enc")
    (tmp_path / "public.jwk").write_text(json.dumps(public))
    (tmp_path / "private.jwk").write_text(json.dumps(private))
    for name in ("public.jwk", "private.jwk"):
        (tmp_path / name).chmod(0o600)
    issuer = issuer("ES256", f"encryption: {{algorithm: {algorithm}, jwk_path: public.jwk}}\n")
    return issuer, algorithm, key, private


def header(token):
    return json.loads(base64.urlsafe_b64decode(token.split(".")[0] + "=="))


def test_others_open_ours(recipient, tmp_path):
    issuer, algorithm, key, private = recipient
    plain, nested = (issuer.issue({"sub": "alice"}, "--format", name) for name in ("jwe", "nested"))
    for token in (plain, nested):
        assert {name: header(token).get(name) for name in ("alg", "enc", "kid", "zip")} == {
            "alg": algorithm,
            "enc": ENC,
            "kid": "them",
            "zip": None,
        }
    assert header(nested)["cty"] == "JWT"
    for other in others(private):
        other = other(tmp_path, key, algorithm)
        assert json.loads(other.open(plain))["sub"] == "alice"
        claims = jwt.decode(other.open(nested), issuer.key, ["ES256"], issuer=ISSUER, audience=AUDIENCE)
        assert claims["sub"] == "alice"


def test_we_open_theirs(recipient, tmp_path):
    issuer, algorithm, key, private = recipient
    now = int(time.time())
    claims = {"iss": ISSUER, "aud": AUDIENCE, "sub": "alice", "iat": now, "exp": now + 60}
    signed = issuer.issue({"sub": "alice"})
    for other in others(private):
        other = other(tmp_path, key, algorithm)
        decrypt = ["--decrypt-key", tmp_path / "private.jwk"]
        plain, nested = other.seal(json.dumps(claims)), other.seal(signed)
        shown = json.loads(keypebble("inspect", "--json", *decrypt, "-", input=plain))
        assert shown["inside"]["claims"] == claims
        # Whoever has a public key can encrypt to it: only the shared secret says who that was.
        shared = private["kty"] == "oct"
        verdict = keypebble(
            "verify", *decrypt, "--issuer", ISSUER, "--audience", AUDIENCE, "-", input=plain, code=0 if shared else 1
        )
        assert ("and not signed" in verdict) != shared
        verdict = keypebble("verify", *decrypt, "--config", issuer.config, "-", input=nested)
        assert verdict == "valid: the token holds\n"
        damaged = nested[:-4] + ("AAAA" if nested[-4:] != "AAAA" else "BBBB")
        assert "does not open" in keypebble(
            "verify", *decrypt, "--config", issuer.config, "-", input=damaged, code=1
        )


@pytest.mark.filterwarnings("ignore::joserfc.errors.SecurityWarning")
def test_what_is_unsafe_is_refused_by_name(tmp_path):
    """Made by joserfc, which can do all of it."""
    rsa, shared = RSAKey.generate_key(2048), OctKey.generate_key(256)
    (tmp_path / "key.jwk").write_text(json.dumps(shared.as_dict(private=True)))
    for algorithm, enc, key, more, named in [
        ("RSA-OAEP", ENC, rsa, {}, "`alg` is `RSA-OAEP`"),
        ("RSA1_5", ENC, rsa, {}, "`alg` is `RSA1_5`"),
        ("dir", ENC, shared, {}, "`alg` is `dir`"),
        ("PBES2-HS256+A128KW", ENC, shared, {}, "`alg` is `PBES2-HS256+A128KW`"),
        ("A256KW", "A128CBC-HS256", shared, {}, "`enc` is `A128CBC-HS256`"),
        ("A256KW", ENC, shared, {"zip": "DEF"}, "`zip` is `DEF`"),
    ]:
        allowed = [algorithm, enc, "DEF"]
        token = jwe.encrypt_compact({"alg": algorithm, "enc": enc, **more}, b"{}", key, algorithms=allowed)
        verdict = keypebble("verify", "--decrypt-key", tmp_path / "key.jwk", "-", input=token, code=1)
        assert named in verdict and "refused" in verdict, verdict


@pytest.mark.parametrize("algorithm", ["RS256", "ES256", "ES384", "EdDSA"])
def test_private_jwks_of_others_sign(issuer, tmp_path, algorithm):
    make = {"RS256": lambda: RSAKey.generate_key(2048), "EdDSA": lambda: OKPKey.generate_key("Ed25519")}
    key = make.get(algorithm, lambda: ECKey.generate_key(f"P-{algorithm[2:]}"))()
    issuer = issuer(algorithm)
    (tmp_path / "signing.key").write_text(json.dumps(key.as_dict(private=True, kid="theirs")))
    token = issuer.issue({"sub": "alice"})
    assert jwt.get_unverified_header(token)["kid"] == "theirs"
    public = key.as_dict(private=False, alg=algorithm)
    assert jwt.decode(token, jwt.PyJWK(public), issuer=ISSUER, audience=AUDIENCE)["sub"] == "alice"
    (tmp_path / "public.jwk").write_text(json.dumps(public))
    jose = Jose(tmp_path, None, None).run("verify", tmp_path / "public.jwk", input=token)
    assert json.loads(jose)["sub"] == "alice"


def test_akp_jwks_are_those_of_rfc_9964(issuer, tmp_path):
    private = mldsa.MLDSA44PrivateKey.generate()

    def text(data):
        return base64.urlsafe_b64encode(data).decode().rstrip("=")

    jwk = {
        "kty": "AKP",
        "alg": "ML-DSA-44",
        "pub": text(private.public_key().public_bytes_raw()),
        "priv": text(private.private_bytes_raw()),
    }
    issuer = issuer("ML-DSA-44")
    (tmp_path / "signing.key").write_text(json.dumps(jwk))
    signed, signature = issuer.issue({"sub": "alice"}).rsplit(".", 1)
    private.public_key().verify(base64.urlsafe_b64decode(signature + "=="), signed.encode())


@pytest.fixture
def fernet(issuer, tmp_path):
    """An issuer of Fernet tokens whose folder of keys Python made."""
    folder = tmp_path / "fernet"
    folder.mkdir(mode=0o700)
    keys = {name: Fernet.generate_key() for name in ("0", "1")}
    for name, key in keys.items():
        (folder / name).touch(mode=0o600)
        (folder / name).write_bytes(key)
    return issuer("ES256", "token_format: fernet\nfernet: {key_dir: fernet}\n"), folder, keys


def test_cryptography_opens_ours_before_and_after_a_rotation(fernet):
    issuer, folder, keys = fernet
    before = issuer.issue({"sub": "alice"})
    assert json.loads(Fernet(keys["1"]).decrypt(before, ttl=60))["sub"] == "alice"
    with pytest.raises(InvalidToken):
        Fernet(keys["0"]).decrypt(before)
    keypebble("keys", "rotate", "--config", issuer.config, "--fernet")
    after = issuer.issue({"sub": "alice"})
    assert json.loads(Fernet(keys["0"]).decrypt(after, ttl=60))["sub"] == "alice", "what was staged encrypts"
    names = sorted((path.name for path in folder.iterdir() if path.name.isdigit()), key=int, reverse=True)
    assert names == ["2", "1", "0"]
    all_of_them = MultiFernet([Fernet((folder / name).read_bytes()) for name in names])
    for token in (before, after):
        assert json.loads(all_of_them.decrypt(token))["sub"] == "alice"


def test_we_open_cryptographys(fernet):
    issuer, folder, keys = fernet
    now = int(time.time())
    claims = json.dumps({"iss": ISSUER, "aud": AUDIENCE, "sub": "alice", "iat": now, "exp": now + 60}).encode()
    for key in keys.values():
        token = Fernet(key).encrypt(claims).decode()
        for given in (token, token.rstrip("=")):
            assert keypebble("verify", "--config", issuer.config, "-", input=given) == "valid: the token holds\n"
    early = Fernet(keys["1"]).encrypt_at_time(claims, now + 120).decode()
    assert "does not open" in keypebble("verify", "--config", issuer.config, "-", input=early, code=1)
    other = Fernet(Fernet.generate_key()).encrypt(claims).decode()
    assert "does not open" in keypebble("verify", "--config", issuer.config, "-", input=other, code=1)
