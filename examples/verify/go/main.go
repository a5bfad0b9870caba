// Verifies a token from standard input, with go-jose, and prints its claims.
//
//	verify JWKS_URL ISSUER AUDIENCE < token
package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"
)

// The algorithms of your keys. Never what the token itself names.
var algorithms = []jose.SignatureAlgorithm{jose.ES256, jose.EdDSA, jose.RS256}

func verify(url, issuer, audience, text string) (map[string]any, error) {
	token, err := jwt.ParseSigned(text, algorithms)
	if err != nil {
		return nil, err
	}
	client := http.Client{Timeout: 10 * time.Second}
	answer, err := client.Get(url)
	if err != nil {
		return nil, err
	}
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("the keys: %s", answer.Status)
	}
	var keys jose.JSONWebKeySet
	if err := json.NewDecoder(io.LimitReader(answer.Body, 1<<20)).Decode(&keys); err != nil {
		return nil, err
	}
	found := keys.Key(token.Headers[0].KeyID)
	if len(found) != 1 || found[0].Algorithm != token.Headers[0].Algorithm {
		return nil, errors.New("no key of that id and algorithm")
	}
	var claims jwt.Claims
	var all map[string]any
	if err := token.Claims(found[0].Key, &claims, &all); err != nil {
		return nil, err
	}
	if claims.Expiry == nil || claims.NotBefore == nil {
		return nil, errors.New("no exp or no nbf")
	}
	expected := jwt.Expected{Issuer: issuer, AnyAudience: jwt.Audience{audience}, Time: time.Now()}
	return all, claims.ValidateWithLeeway(expected, 0)
}

func main() {
	text, err := io.ReadAll(io.LimitReader(os.Stdin, 1<<16))
	var claims map[string]any
	if err == nil {
		claims, err = verify(os.Args[1], os.Args[2], os.Args[3], strings.TrimSpace(string(text)))
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "refused:", err)
		os.Exit(1)
	}
	json.NewEncoder(os.Stdout).Encode(claims)
}
