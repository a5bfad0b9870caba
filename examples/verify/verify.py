#!/usr/bin/env python3
"""Verifies a token from standard input, with PyJWT (pip install 'PyJWT[crypto]'), and prints its claims.

    verify.py JWKS_URL ISSUER AUDIENCE < token
"""

import json
import sys

import jwt

# The algorithms of your keys. Never what the token itself names.
ALGORITHMS = ["ES256", "EdDSA", "RS256"]

url, issuer, audience = sys.argv[1:]
token = sys.stdin.read().strip()
try:
    key = jwt.PyJWKClient(url, timeout=10).get_signing_key_from_jwt(token)
    claims = jwt.decode(
        token,
        key,
        algorithms=ALGORITHMS,
        issuer=issuer,
        audience=audience,
        options={"require": ["iss", "aud", "exp", "nbf"]},
    )
except jwt.PyJWTError as error:
    sys.exit(f"refused: {error}")
print(json.dumps(claims))
