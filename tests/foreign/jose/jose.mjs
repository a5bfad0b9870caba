// What Node's jose makes of Keypebble's tokens, and what it makes for Keypebble.
//
//   node jose.mjs open KEY.jwk < token         the content of an encrypted token
//   node jose.mjs seal KEY.jwk ALG < content   an encrypted token, its content A256GCM
//   node jose.mjs verify KEY.jwk < token       the claims of a signed token
import { readFileSync } from "node:fs";
import { CompactEncrypt, compactDecrypt, importJWK, jwtVerify } from "jose";

const [verb, file, alg] = process.argv.slice(2);
const jwk = JSON.parse(readFileSync(file, "utf8"));
const input = readFileSync(0);

if (verb === "seal") {
  const header = { alg, enc: "A256GCM", typ: "JWT" };
  if (input.toString().split(".").length === 3) header.cty = "JWT";
  const key = await importJWK(jwk, alg);
  process.stdout.write(await new CompactEncrypt(input).setProtectedHeader(header).encrypt(key));
} else if (verb === "open") {
  const token = input.toString();
  const header = JSON.parse(Buffer.from(token.split(".")[0], "base64url"));
  const key = await importJWK(jwk, header.alg);
  process.stdout.write((await compactDecrypt(token, key)).plaintext);
} else {
  const { payload } = await jwtVerify(input.toString(), await importJWK(jwk, jwk.alg), { clockTolerance: 60 });
  process.stdout.write(JSON.stringify(payload));
}
