// What go-jose makes of Keypebble's encrypted tokens, and what it makes for Keypebble.
//
//	gojose open KEY.jwk < token       the content
//	gojose seal KEY.jwk ALG < content a token, its content A256GCM
package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/go-jose/go-jose/v4"
)

func run(args []string) (string, error) {
	text, err := os.ReadFile(args[1])
	if err != nil {
		return "", err
	}
	var key jose.JSONWebKey
	if err := json.Unmarshal(text, &key); err != nil {
		return "", err
	}
	input, err := io.ReadAll(os.Stdin)
	if err != nil {
		return "", err
	}
	if args[0] == "seal" {
		options := (&jose.EncrypterOptions{}).WithType("JWT")
		if strings.Count(string(input), ".") == 2 {
			options = options.WithContentType("JWT")
		}
		recipient := jose.Recipient{Algorithm: jose.KeyAlgorithm(args[2]), Key: key}
		encrypter, err := jose.NewEncrypter(jose.A256GCM, recipient, options)
		if err != nil {
			return "", err
		}
		object, err := encrypter.Encrypt(input)
		if err != nil {
			return "", err
		}
		return object.CompactSerialize()
	}
	algorithms := []jose.KeyAlgorithm{jose.A256KW, jose.A128KW, jose.ECDH_ES_A256KW, jose.ECDH_ES_A128KW}
	object, err := jose.ParseEncrypted(string(input), algorithms, []jose.ContentEncryption{jose.A256GCM})
	if err != nil {
		return "", err
	}
	content, err := object.Decrypt(key)
	return string(content), err
}

func main() {
	output, err := run(os.Args[1:])
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	fmt.Print(output)
}
