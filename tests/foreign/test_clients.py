"""Owns the proof that OAuth clients we did not write ask about tokens and end them: Authlib, and a resource server
on zitadel's Go library."""

import contextlib
import json
import secrets
import socket
import subprocess
import urllib.parse

import pytest
from authlib.integrations.requests_client import OAuth2Session
from authlib.oauth2.rfc8414 import AuthorizationServerMetadata
from conftest import AUDIENCE, KEYPEBBLE, request

METHODS = pytest.mark.parametrize("method", ["client_secret_basic", "client_secret_post"])
PASSWORD = "correct horse battery staple"


@pytest.fixture
def served(issuer):
    """An issuer with a store, a user and two clients, running under its own address."""
    issuer = issuer("ES256")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    issuer.address = f"http://127.0.0.1:{port}"
    issuer.secret = secrets.token_hex(32)
    (issuer.folder / "client.secret").touch(mode=0o600)
    (issuer.folder / "client.secret").write_text(issuer.secret + "\n")
    hashed = subprocess.run(
        [KEYPEBBLE, "hash-password", "--user", "alice"], input=PASSWORD, capture_output=True, text=True, check=True
    )
    (issuer.folder / "users").touch(mode=0o600)
    (issuer.folder / "users").write_text(hashed.stdout)
    settings = issuer.config.read_text().replace("port: 0", f"port: {port}")
    first, rest = settings.split("\n", 1)
    assert first.startswith("issuer: ")
    issuer.config.write_text(
        f"issuer: {issuer.address}\n{rest}users_file: users\nstore: sqlite:store.db\nclients:\n"
        "- {name: gateway, secret_path: client.secret, may: [introspect]}\n"
        "- {name: admin, secret_path: client.secret, may: [introspect, revoke]}\n"
    )
    subprocess.run([KEYPEBBLE, "store", "init", "--config", issuer.config], check=True, capture_output=True)
    with issuer.served() as address:
        assert address == issuer.address
        yield issuer


def log_in(served):
    """A registry token and a refresh token of alice's."""
    form = {"grant_type": "password", "username": "alice", "password": PASSWORD, "access_type": "offline"}
    status, answer = token(served, {**form, "scope": "repository:alice-space/app:pull"})
    assert status == 200, answer
    return answer["access_token"], answer["refresh_token"]


def token(served, form):
    body = urllib.parse.urlencode({"client_id": "docker", "service": AUDIENCE, **form}).encode()
    status, _, answer = request(f"{served.address}/v2/token", body=body)
    return status, json.loads(answer)


def metadata(served):
    status, _, body = request(f"{served.address}/.well-known/openid-configuration")
    assert status == 200
    return AuthorizationServerMetadata(json.loads(body))


@METHODS
def test_authlib_introspects_and_revokes(served, method):
    found = metadata(served)
    assert method in found["introspection_endpoint_auth_methods_supported"]
    assert method in found["revocation_endpoint_auth_methods_supported"]
    introspect, revoke = found["introspection_endpoint"], found["revocation_endpoint"]
    access, refresh = log_in(served)
    _, newer = token(served, {"grant_type": "refresh_token", "refresh_token": refresh})
    with OAuth2Session("admin", served.secret, token_endpoint_auth_method=method) as client:
        said = client.introspect_token(introspect, token=access, token_type_hint="access_token").json()
        assert (said["active"], said["sub"], said["aud"], said["token_type"]) == (True, "alice", AUDIENCE, "Bearer")
        assert type(said["exp"]) is int and said["access"][0]["name"] == "alice-space/app"
        assert client.introspect_token(introspect, token="unknown").json() == {"active": False}

        assert client.revoke_token(revoke, token="unknown").status_code == 200
        ended = client.revoke_token(revoke, token=refresh, token_type_hint="access_token")
        assert ended.status_code == 200
        for dead in (refresh, newer["access_token"], access):
            assert client.introspect_token(introspect, token=dead).json() == {"active": False}
    status, refused = token(served, {"grant_type": "refresh_token", "refresh_token": refresh})
    assert (status, refused["error"]) == (401, "invalid_grant")


@METHODS
def test_a_wrong_secret_is_invalid_client(served, method):
    with OAuth2Session("admin", "wrong", token_endpoint_auth_method=method) as client:
        for path in ("introspect", "revoke"):
            answer = client.introspect_token(f"{served.address}/{path}", token="x")
            assert (answer.status_code, answer.json()["error"]) == (401, "invalid_client")
            assert answer.headers["WWW-Authenticate"].startswith("Basic ")


@contextlib.contextmanager
def resource_server(served, secret):
    command = ["resource-server", served.address, "gateway", secret, AUDIENCE]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        line = process.stdout.readline()
        assert line.startswith("listening on "), line
        yield line.removeprefix("listening on ").strip()
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


def test_a_resource_server_takes_what_counts_and_nothing_else(served):
    access, refresh = log_in(served)
    with resource_server(served, served.secret) as address:
        ask = lambda token: request(address, {"Authorization": f"Bearer {token}"})[::2]
        assert ask(access) == (200, "alice ")
        for wrong in ("x", access + "x", refresh):
            assert ask(wrong)[0] == 401, "also a refresh token, which counts but is for nobody but its issuer"
        with OAuth2Session("admin", served.secret) as client:
            assert client.revoke_token(f"{served.address}/revoke", token=access).status_code == 200
        assert ask(access)[0] == 401
    with resource_server(served, "wrong") as address:
        assert request(address, {"Authorization": f"Bearer {access}"})[0] == 502
