"""Owns the proof that strangers' tools agree with /openapi.json: a validator, schemathesis against the running server,
and a client that is generated from it."""

import importlib
import json
import pathlib
import re
import subprocess
import sys

import pytest
from conftest import AUDIENCE, KEYPEBBLE, request
from openapi_spec_validator import OpenAPIV31SpecValidator, validate

TOOLS = pathlib.Path(sys.executable).parent
# For `sesame`.
USERS = pathlib.Path(__file__).parents[1] / "docs" / "users.htpasswd"
SETTINGS = """\
max_ttl_seconds: 315360000
profiles: [command, kubernetes]
command_targets: [door]
users_file: users
store: sqlite:store.db
clients:
- {name: c, secret_path: client.secret, may: [introspect, revoke]}
"""


@pytest.fixture
def served(issuer):
    """A server that has everything; the argument says whom it trusts."""

    def serve(trusted):
        made = issuer("ES256", SETTINGS)
        text = made.config.read_text().replace("port: 0", f"port: 0, trusted_proxies: [{trusted}]")
        made.config.write_text(text)
        for name, content in [("users", USERS.read_text()), ("client.secret", "0123456789abcdef0123456789abcdef")]:
            (made.folder / name).touch(mode=0o600)
            (made.folder / name).write_text(content)
        subprocess.run([KEYPEBBLE, "store", "init", "--config", made.config], check=True, capture_output=True)
        return made.served()

    return serve


def document():
    return json.loads(subprocess.run([KEYPEBBLE, "openapi"], capture_output=True, check=True).stdout)


def test_it_is_openapi_3_1():
    validate(document(), cls=OpenAPIV31SpecValidator)


def of_this_deployment(trusted):
    """The document with what it leaves to the configuration: names of services, targets and accounts, and whether the
    header fields of trusted peers are looked at. Without the users that such a peer may name, since what its request
    says besides is not looked at."""
    found = document()
    schemas, paths = found["components"]["schemas"], found["paths"]
    for form in ("PasswordForm", "RefreshForm"):
        schemas[form]["properties"]["service"] = {"enum": [AUDIENCE, ""]}
    for path, name, values in [("/v2/token", "service", [AUDIENCE, ""]), ("/auth", "audience", [AUDIENCE])]:
        operation = paths[path].get("get") or paths[path]["post"]
        next(found for found in operation["parameters"] if found.get("name") == name)["schema"] = {"enum": values}
    value = {"$ref": "#/components/schemas/ClaimValue"}
    for kind in schemas["ClaimValue"]["anyOf"]:  # "at any depth", which the client's generator cannot read
        kind.update({"array": {"items": value}, "object": {"additionalProperties": value}}.get(kind["type"], {}))
    schemas["CommandRequest"]["properties"]["target"] = {"const": "door"}
    account = schemas["TokenRequest"]["properties"]["metadata"]["properties"]
    account["name"] = account["namespace"] = {"enum": ["", None]}
    for item in paths.values():
        for operation in item.values():
            if isinstance(operation, dict) and "parameters" in operation:
                user = {"$ref": "#/components/parameters/User"}
                operation["parameters"] = [one for one in operation["parameters"] if one != user]
    if not trusted:
        query = paths["/v2/token"]["get"]["parameters"]
        paths["/v2/token"]["get"]["parameters"] = [one for one in query if one["in"] == "query"]
    del found["components"]["parameters"]["User"]
    return found


# Unicode's composed form cannot be said in a schema, and ASCII is composed.
CONFIG = """\
[generation]
codec = "ascii"
[warnings]
enabled = false
"""


def explore(folder, address, found, *arguments):
    """Runs schemathesis with all of its checks; gives what it says."""
    (folder / "openapi.json").write_text(json.dumps(found))
    (folder / "schemathesis.toml").write_text(CONFIG)
    command = [TOOLS / "schemathesis", "--config-file", "schemathesis.toml", "run", "openapi.json", "--url", address]
    command += ["--max-examples", "20", "--generation-deterministic", "--checks", "all", "--no-color", "--continue-on-failure", *arguments]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    print(done.stdout, done.stderr)
    assert done.returncode == 0
    return done.stdout


# Forms have credentials of their own, and both at once are refused. Without forms no link leads anywhere.
USER = ["--auth", "alice:sesame", "--exclude-operation-id-regex", "registryTokenByForm|introspect|revoke"]
USER += ["--phases", "examples,coverage,fuzzing"]


@pytest.mark.parametrize(
    ("trusted", "arguments"),
    [
        ("127.0.0.1", []),
        ("", []),
        ("", USER),
    ],
    ids=["peer", "stranger", "user"],
)
def test_schemathesis_finds_nothing(served, tmp_path, trusted, arguments):
    with served(trusted) as address:
        said = explore(tmp_path, address, of_this_deployment(trusted), *arguments)
    assert not trusted or re.search(r"API Links: +[1-9]\d* covered", said)


def test_a_generated_client_gets_a_token_and_asks_about_it(served, tmp_path, monkeypatch):
    with served("") as address:
        (tmp_path / "openapi.json").write_text(request(f"{address}/openapi.json")[2])
        command = [TOOLS / "openapi-python-client", "generate", "--path", "openapi.json", "--meta", "none"]
        command += ["--output-path", "keypebble_client", "--fail-on-warning"]
        (tmp_path / "generator.yaml").write_text("post_hooks: []\n")  # which would need a formatter
        subprocess.run([*command, "--config", "generator.yaml"], cwd=tmp_path, check=True)
        monkeypatch.syspath_prepend(tmp_path)
        package, api = importlib.import_module("keypebble_client"), "keypebble_client.api.default."
        models = importlib.import_module("keypebble_client.models")
        client = package.Client(base_url=address)
        log_in = models.PasswordForm(
            grant_type="password",
            username="alice",
            password="sesame",
            access_type="offline",
            scope=["repository:alice-space/app:pull,push"],
        )
        by_form = importlib.import_module(api + "registry_token_by_form")
        answer = by_form.sync(client=client, body=log_in)
        assert [entry.to_dict() for entry in answer.claims.access] == [
            {"type": "repository", "name": "alice-space/app", "actions": ["pull"]}
        ]
        refresh = models.RefreshForm(grant_type="refresh_token", refresh_token=answer.refresh_token)
        assert by_form.sync(client=client, body=refresh).claims.sub == "alice"

        about = models.AboutTokenOfClient(
            token=answer.access_token, client_id="c", client_secret="0123456789abcdef0123456789abcdef"
        )
        introspect = importlib.import_module(api + "introspect")
        said = introspect.sync(client=client, body=about)
        assert (said.active, said.username) == (True, "alice")
        importlib.import_module(api + "revoke").sync(client=client, body=about)
        assert not introspect.sync(client=client, body=about).active

        refused = by_form.sync_detailed(client=client, body=models.PasswordForm("password", "alice", "wrong"))
        assert (refused.status_code, refused.parsed.error) == (401, "invalid_grant")
