"""Owns the proof that Kubernetes' own client gets service accounts' tokens, and that PyJWT takes a profile's."""

import datetime
import json

import jwt
import pytest
from conftest import ASYMMETRIC, ISSUER, request
from kubernetes import client

SETTINGS = "profiles: [command, kubernetes]\n"


@pytest.fixture
def served(issuer):
    ours = issuer("ES256", SETTINGS)
    with ours.served() as address:
        yield ours, address


def service_accounts(address):
    return client.CoreV1Api(client.ApiClient(client.Configuration(host=address)))


def wanted(**spec):
    return client.AuthenticationV1TokenRequest(spec=client.V1TokenRequestSpec(**spec))


def test_the_client_gets_a_token(served):
    ours, address = served
    made = service_accounts(address).create_namespaced_service_account_token(
        "deployer", "build", wanted(audiences=["vault", "https://b"], expiration_seconds=1200)
    )
    assert (made.kind, made.api_version) == ("TokenRequest", "authentication.k8s.io/v1")
    assert (made.metadata.namespace, made.metadata.name) == ("build", "deployer")
    assert made.spec.expiration_seconds == 1200
    claims = jwt.decode(made.status.token, ours.key, algorithms=["ES256"], issuer=ISSUER, audience="vault")
    assert claims["aud"] == ["vault", "https://b"]
    assert claims["sub"] == "system:serviceaccount:build:deployer"
    assert claims["kubernetes.io"] == {"namespace": "build", "serviceaccount": {"name": "deployer"}}
    expires = datetime.datetime.fromtimestamp(claims["exp"], datetime.timezone.utc)
    assert made.status.expiration_timestamp == expires


def test_the_client_reads_what_is_wrong(served):
    accounts = service_accounts(served[1])
    for namespace, spec, code, reason in [
        ("build", {"audiences": []}, 422, "Invalid"),
        ("build", {"audiences": ["vault"], "expiration_seconds": 599}, 422, "Invalid"),
        ("Build", {"audiences": ["vault"]}, 400, "BadRequest"),
    ]:
        with pytest.raises(client.ApiException) as refused:
            accounts.create_namespaced_service_account_token("deployer", namespace, wanted(**spec))
        said = json.loads(refused.value.body)
        assert (refused.value.status, said["kind"], said["reason"]) == (code, "Status", reason)


@pytest.mark.parametrize("algorithm", ["RS256", "ES256", "EdDSA"])
def test_a_command_token_is_taken_by_its_target(issuer, algorithm):
    assert algorithm in ASYMMETRIC
    ours = issuer(algorithm, SETTINGS)
    body = {"target": "edge-7", "command": "restart web", "user": "alice"}
    with ours.served() as address:
        headers = {"Content-Type": "application/json"}
        status, _, text = request(f"{address}/command/token", headers, json.dumps(body).encode())
    assert status == 200, text
    token = json.loads(text)["token"]
    claims = jwt.decode(token, ours.key, algorithms=[algorithm], issuer=ISSUER, audience="edge-7")
    assert (claims["sub"], claims["command"]) == ("alice", "restart web")
    with pytest.raises(jwt.InvalidAudienceError):
        jwt.decode(token, ours.key, algorithms=[algorithm], issuer=ISSUER, audience="registry.example.com")
