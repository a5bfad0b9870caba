// What zot does with a token, asked of the packages that zot itself is built on: golang-jwt for the token and
// its claims, go-jose for a JWKS, Go's own readers for PEM text and certificates. The whole of zot is too
// large to build for a test, and it is on no module proxy; what is its own, how it calls these, is written
// anew here from the behaviour of zot 2.1.20 (auth.http.bearer with `cert`).
//
// Standard input: a line for each token, "FILE TOKEN". Standard output: a line for each: "taken",
// "refused REASON", or "no-start REASON" where zot would not start with that file.
package main

import (
	"bufio"
	"crypto"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/go-jose/go-jose/v4"
	"github.com/golang-jwt/jwt/v5"
)

type entry struct {
	Type      string           `json:"type"`
	Name      string           `json:"name"`
	Actions   []string         `json:"actions"`
	ExpiresAt *jwt.NumericDate `json:"exp,omitempty"`
}

type claims struct {
	jwt.RegisteredClaims
	Access []entry `json:"access"`
}

var algorithms = []string{
	"EdDSA", "RS256", "RS384", "RS512", "ES256", "ES384", "ES512", "PS256", "PS384", "PS512",
}

// A JWKS of one key, or the first PEM block, whatever its label says.
func key(file string) (crypto.PublicKey, error) {
	raw, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	var set jose.JSONWebKeySet
	if json.Unmarshal(raw, &set) == nil {
		if len(set.Keys) != 1 {
			return nil, fmt.Errorf("%d keys in the JWKS", len(set.Keys))
		}
		return set.Keys[0].Key, nil
	}
	block, _ := pem.Decode(raw)
	if block == nil {
		return nil, errors.New("no PEM block")
	}
	if certificate, err := x509.ParseCertificate(block.Bytes); err == nil {
		return certificate.PublicKey, nil
	}
	if public, err := x509.ParsePKIXPublicKey(block.Bytes); err == nil {
		return public, nil
	}
	if public, err := x509.ParsePKCS1PublicKey(block.Bytes); err == nil {
		return public, nil
	}
	return nil, errors.New("neither a certificate nor a public key")
}

// A panic in a handler is an answer without access as well.
func verdict(file, token string) (said string) {
	defer func() {
		if problem := recover(); problem != nil {
			said = fmt.Sprint("refused ", problem)
		}
	}()
	public, err := key(file)
	if err != nil {
		return "no-start " + err.Error()
	}
	find := func(*jwt.Token) (any, error) { return public, nil }
	_, err = jwt.ParseWithClaims(token, &claims{}, find, jwt.WithValidMethods(algorithms), jwt.WithIssuedAt())
	if err != nil {
		return "refused " + err.Error()
	}
	return "taken"
}

func main() {
	lines := bufio.NewScanner(os.Stdin)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		file, token, _ := strings.Cut(lines.Text(), " ")
		fmt.Println(strings.ReplaceAll(verdict(file, token), "\n", " "))
	}
}
