// A resource server that lets Keypebble judge the tokens it is shown, by zitadel's OpenID Connect library: it finds
// the endpoint by discovery and asks it as a client.
//
//	resource ISSUER CLIENT_ID CLIENT_SECRET AUDIENCE
package main

import (
	"context"
	"fmt"
	"log"
	"net"
	"net/http"
	"os"
	"slices"
	"strings"

	"github.com/zitadel/oidc/v3/pkg/client/rs"
	"github.com/zitadel/oidc/v3/pkg/oidc"
)

func main() {
	issuer, client, secret, audience := os.Args[1], os.Args[2], os.Args[3], os.Args[4]
	// The library wants an endpoint for tokens of its own, too, and never asks it.
	unused := rs.WithStaticEndpoints("http://unused.invalid", "")
	server, err := rs.NewResourceServerClientCredentials(context.Background(), issuer, client, secret, unused)
	if err != nil {
		log.Fatal(err)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		log.Fatal(err)
	}
	fmt.Printf("listening on http://%s\n", listener.Addr())
	log.Fatal(http.Serve(listener, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		token, found := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
		if !found {
			http.Error(w, "no token", http.StatusUnauthorized)
			return
		}
		said, err := rs.Introspect[*oidc.IntrospectionResponse](r.Context(), server, token)
		switch {
		case err != nil:
			http.Error(w, err.Error(), http.StatusBadGateway)
		case !said.Active || !slices.Contains(said.Audience, audience):
			http.Error(w, "not a token for this server", http.StatusUnauthorized)
		default:
			fmt.Fprintf(w, "%s %s", said.Subject, strings.Join(said.Scope, " "))
		}
	})))
}
