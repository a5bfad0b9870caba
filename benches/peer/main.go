// The peer that Keypebble is measured against: Go's net/http and its own cryptography, with nothing around
// them. It signs the same claims and gives the same answer, but reads no policy, checks no scope, has no
// allow-list and logs nothing.
//
//	peer ADDRESS constant|HS256|RS256|ES256|EdDSA [KEY.pem]
package main

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/hmac"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"log"
	"net/http"
	"os"
	"strings"
	"time"
)

type access struct {
	Type    string   `json:"type"`
	Name    string   `json:"name"`
	Actions []string `json:"actions"`
}

type claims struct {
	Issuer   string   `json:"iss"`
	Audience string   `json:"aud"`
	IssuedAt int64    `json:"iat"`
	NotYet   int64    `json:"nbf"`
	Expires  int64    `json:"exp"`
	ID       string   `json:"jti"`
	Subject  string   `json:"sub"`
	Access   []access `json:"access"`
}

type answer struct {
	Token       string          `json:"token"`
	AccessToken string          `json:"access_token"`
	ExpiresIn   int             `json:"expires_in"`
	IssuedAt    string          `json:"issued_at"`
	Claims      json.RawMessage `json:"claims"`
}

var base64url = base64.RawURLEncoding

func main() {
	address, algorithm := os.Args[1], os.Args[2]
	kid := ""
	if len(os.Args) > 3 {
		kid = `,"kid":"4PUK:24GU:YZB2:GCPX:UV7B:VR35:UNQL:YEP6:32U2:IUPT:Y2ZJ:7O26"`
	}
	header := base64url.EncodeToString([]byte(`{"alg":"`+algorithm+`","typ":"JWT"`+kid+`}`)) + "."
	sign := signer(algorithm)
	constant := []byte(strings.Repeat("x", 1400))
	http.HandleFunc("/healthz", func(w http.ResponseWriter, _ *http.Request) { w.Write([]byte("ok")) })
	http.HandleFunc("/v2/token", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("Cache-Control", "no-store")
		if sign == nil {
			w.Write(constant)
			return
		}
		query := r.URL.Query()
		scope := query.Get("scope")
		first, last := strings.Index(scope, ":"), strings.LastIndex(scope, ":")
		if first == last {
			http.Error(w, "scope", http.StatusBadRequest)
			return
		}
		var id [16]byte
		rand.Read(id[:])
		now := time.Now()
		payload, err := json.Marshal(claims{
			Issuer: "https://keypebble.example.com", Audience: query.Get("service"), IssuedAt: now.Unix() - 10,
			NotYet: now.Unix() - 10, Expires: now.Unix() + 3600, ID: base64url.EncodeToString(id[:]),
			Subject: r.Header.Get("X-Authenticated-User"),
			Access:  []access{{scope[:first], scope[first+1 : last], strings.Split(scope[last+1:], ",")}},
		})
		if err != nil {
			http.Error(w, "claims", http.StatusInternalServerError)
			return
		}
		input := header + base64url.EncodeToString(payload)
		token := input + "." + base64url.EncodeToString(sign([]byte(input)))
		body, err := json.Marshal(answer{token, token, 3600, now.UTC().Format(time.RFC3339), payload})
		if err != nil {
			http.Error(w, "answer", http.StatusInternalServerError)
			return
		}
		w.Write(body)
	})
	log.Fatal(http.ListenAndServe(address, nil))
}

// signer gives what makes a raw JWS signature; nil for a constant answer.
func signer(algorithm string) func([]byte) []byte {
	if algorithm == "constant" {
		return nil
	}
	if algorithm == "HS256" {
		return func(input []byte) []byte {
			mac := hmac.New(sha256.New, []byte("for-the-measurement-only-and-long-enough"))
			mac.Write(input)
			return mac.Sum(nil)
		}
	}
	text, err := os.ReadFile(os.Args[3])
	if err != nil {
		log.Fatal(err)
	}
	block, _ := pem.Decode(text)
	key, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		log.Fatal(err)
	}
	must := func(signature []byte, err error) []byte {
		if err != nil {
			log.Fatal(err)
		}
		return signature
	}
	switch key := key.(type) {
	case *rsa.PrivateKey:
		return func(input []byte) []byte {
			hash := sha256.Sum256(input)
			return must(rsa.SignPKCS1v15(nil, key, crypto.SHA256, hash[:]))
		}
	case *ecdsa.PrivateKey:
		return func(input []byte) []byte {
			hash := sha256.Sum256(input)
			r, s, err := ecdsa.Sign(rand.Reader, key, hash[:])
			if err != nil {
				log.Fatal(err)
			}
			signature := make([]byte, 64)
			r.FillBytes(signature[:32])
			s.FillBytes(signature[32:])
			return signature
		}
	case ed25519.PrivateKey:
		return func(input []byte) []byte { return ed25519.Sign(key, input) }
	}
	log.Fatal("no such key")
	return nil
}
