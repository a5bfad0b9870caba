#!/usr/bin/env node
// Verifies a token from standard input, with jose (npm install jose), and prints its claims.
//
//     verify.mjs JWKS_URL ISSUER AUDIENCE < token

import { readFileSync } from "node:fs";
import { createRemoteJWKSet, jwtVerify } from "jose";

// The algorithms of your keys. Never what the token itself names.
const algorithms = ["ES256", "EdDSA", "RS256"];

const [url, issuer, audience] = process.argv.slice(2);
const token = readFileSync(0, "utf8").trim();
try {
  const keys = createRemoteJWKSet(new URL(url), { timeoutDuration: 10_000 });
  const requiredClaims = ["iss", "aud", "exp", "nbf"];
  const { payload } = await jwtVerify(token, keys, { algorithms, issuer, audience, requiredClaims });
  console.log(JSON.stringify(payload));
} catch (error) {
  console.error(`refused: ${error.message}`);
  process.exitCode = 1;
}
