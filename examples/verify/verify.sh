#!/bin/sh
# Verifies a token from standard input, with openssl 3, curl and jq, and prints its claims.
#
#     verify.sh JWKS_URL ISSUER AUDIENCE < token
set -eu
url=$1 issuer=$2 audience=$3

refuse() {
  echo "refused: $1" >&2
  exit 1
}
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT

# base64url on standard input to bytes
decode() {
  text=$(tr -- '-_' '+/')
  while [ $((${#text} % 4)) != 0 ]; do text=$text=; done
  printf %s "$text" | openssl base64 -d -A
}
hex() { decode | od -An -v -tx1 | tr -d ' \n'; }
member() { jq -r ".$1 // empty" "$dir/key"; }

token=$(head -c 65536)
[ "$(printf %s "$token" | tr -d 'A-Za-z0-9_-')" = .. ] || refuse 'no token of three parts'
rest=${token#*.}
header=${token%%.*} payload=${rest%.*} signature=${rest#*.}
printf %s "$header" | decode >"$dir/header"
printf %s.%s "$header" "$payload" >"$dir/signed"

jq -e 'type == "object" and (has("crit") | not)' "$dir/header" >/dev/null 2>&1 || refuse 'the header'
curl -fsS --max-time 10 "$url" >"$dir/jwks" || refuse 'no keys'
jq -e --slurpfile header "$dir/header" \
  '[.keys[] | select(.kid == $header[0].kid and .alg == $header[0].alg)] | select(length == 1)[0]' \
  "$dir/jwks" >"$dir/key" || refuse 'no key of that id and algorithm'

# The key as openssl reads it, and the signature. Only these algorithms, whatever the token names.
case $(member 'alg')-$(member 'kty')-$(member 'crv') in
ES256-EC-P-256)
  x=$(member x | hex) y=$(member y | hex) s=$(printf %s "$signature" | hex)
  [ ${#x}-${#y}-${#s} = 64-64-128 ] || refuse 'the key or the signature has another length'
  printf 'asn1=SEQUENCE:k\n[k]\na=SEQUENCE:a\nb=FORMAT:HEX,BITSTRING:04%s%s\n[a]\na=OID:id-ecPublicKey\nb=OID:prime256v1\n' \
    "$x" "$y" >"$dir/conf"
  r=${s%"${s#????????????????????????????????????????????????????????????????}"}
  printf 'asn1=SEQUENCE:s\n[s]\nr=INTEGER:0x%s\ns=INTEGER:0x%s\n' "$r" "${s#"$r"}" >"$dir/signature.conf"
  openssl asn1parse -genconf "$dir/signature.conf" -noout -out "$dir/signature" 2>/dev/null
  set -- -sha256
  ;;
RS256-RSA-)
  printf 'asn1=SEQUENCE:k\n[k]\na=SEQUENCE:a\nb=BITWRAP,SEQUENCE:n\n[a]\na=OID:rsaEncryption\nb=NULL\n[n]\nn=INTEGER:0x%s\ne=INTEGER:0x%s\n' \
    "$(member n | hex)" "$(member e | hex)" >"$dir/conf"
  printf %s "$signature" | decode >"$dir/signature"
  set -- -sha256
  ;;
EdDSA-OKP-Ed25519)
  printf 'asn1=SEQUENCE:k\n[k]\na=SEQUENCE:a\nb=FORMAT:HEX,BITSTRING:%s\n[a]\na=OID:ED25519\n' "$(member x | hex)" >"$dir/conf"
  printf %s "$signature" | decode >"$dir/signature"
  set --
  ;;
*) refuse 'the algorithm' ;;
esac
openssl asn1parse -genconf "$dir/conf" -noout -out "$dir/key.der" 2>/dev/null || refuse 'the key'
openssl pkey -pubin -inform DER -in "$dir/key.der" -out "$dir/key.pem" 2>/dev/null || refuse 'the key'
if [ $# = 0 ]; then
  openssl pkeyutl -verify -pubin -inkey "$dir/key.pem" -rawin -in "$dir/signed" -sigfile "$dir/signature"
else
  openssl dgst "$@" -verify "$dir/key.pem" -signature "$dir/signature" "$dir/signed"
fi >/dev/null 2>&1 || refuse 'the signature'

# Only now is it worth reading.
printf %s "$payload" | decode >"$dir/claims"
jq -e --arg issuer "$issuer" --arg audience "$audience" '
  .iss == $issuer
  and (.aud | if type == "array" then index([$audience]) != null else . == $audience end)
  and (.exp | type == "number" and . > now)
  and (.nbf | type == "number" and . <= now)' "$dir/claims" >/dev/null || refuse 'iss, aud, exp or nbf'
jq -c . "$dir/claims"
