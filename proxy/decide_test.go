package proxy

import (
	"errors"
	"testing"
	"time"
)

func TestDecide(t *testing.T) {
	tests := []struct {
		name   string
		facts  facts
		road   Road
		reason string
	}{
		{"a stock client is relayed", facts{fallback: RoadRelay}, RoadRelay, "default"},
		{"a client that asks is redirected", facts{wish: "redirect", fallback: RoadRelay}, RoadRedirect, "client-asked"},
		{"a client that asks to be relayed is, whatever the default", facts{wish: "relay", fallback: RoadRedirect}, RoadRelay, "client-asked"},
		{"the configured default", facts{fallback: RoadRedirect}, RoadRedirect, "default"},
		{"a token without relay", facts{fallback: RoadRelay, policy: []string{"redirect"}}, RoadRedirect, "token"},
		{"a token without redirect", facts{wish: "redirect", fallback: RoadRelay, policy: []string{"relay"}}, RoadRelay, "policy"},
		{"aws-chunked", facts{wish: "redirect", awsChunked: true}, RoadRelay, "aws-chunked"},
		{"a header that cannot be signed", facts{wish: "redirect", unsignable: true}, RoadRelay, "unsignable-header"},
		{"storage on the client's host", facts{wish: "redirect", sameHost: true}, RoadRelay, "same-host"},
		{"a decision that took long", facts{wish: "redirect", took: 501 * time.Millisecond}, RoadRelay, "slow"},
		{"no identity to sign with", facts{wish: "redirect", noIdentity: true}, RoadRelay, "identity"},
		{"no identity within half a second", facts{wish: "redirect", noIdentity: true, took: 501 * time.Millisecond}, RoadRelay, "slow"},
		{"a decision that took half a second", facts{wish: "redirect", took: 500 * time.Millisecond}, RoadRedirect, "client-asked"},
		{"a signed request", facts{wish: "sign", fallback: RoadRelay}, RoadSign, "client-asked"},
		{"a signed request, wherever storage is and however long it took", facts{wish: "sign", sameHost: true, took: time.Second}, RoadSign, "client-asked"},
		{"a token that allows signed requests alone", facts{wish: "sign", policy: []string{"sign"}}, RoadSign, "client-asked"},
		{"a token without signed requests", facts{wish: "sign", policy: []string{"relay", "redirect"}}, RoadRelay, "policy"},
		{"a signed request with a header that cannot be signed", facts{wish: "sign", unsignable: true}, RoadRelay, "unsignable-header"},
		{"a signed request with no identity to sign with", facts{wish: "sign", noIdentity: true}, RoadRelay, "identity"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			road, reason, err := decide(tt.facts)
			if road != tt.road || reason != tt.reason || err != nil {
				t.Errorf("got %s, %s, %v; want %s, %s", road, reason, err, tt.road, tt.reason)
			}
		})
	}
}

func TestDecideRefusesWhereNoRoadIsLeft(t *testing.T) {
	for _, f := range []facts{
		{policy: []string{"redirect"}, awsChunked: true},
		{policy: []string{"redirect"}, noIdentity: true},
		{policy: []string{"redirect"}, wish: "relay"},
		{policy: []string{"sign"}, fallback: RoadRelay},
		{policy: []string{"redirect"}, wish: "sign"},
		{policy: []string{"sign"}, wish: "sign", unsignable: true},
	} {
		if road, _, err := decide(f); !errors.Is(err, errAccessDenied) {
			t.Errorf("%+v: got %s, %v; want AccessDenied", f, road, err)
		}
	}
}

func TestSameSite(t *testing.T) {
	tests := []struct {
		host, storage string
		want          bool
	}{
		{"localhost:8080", "127.0.0.1:9000", false},
		{"127.0.0.1:8080", "127.0.0.1:9000", true},
		{"gw.example.com", "s3.gw.example.com:443", true},
		{"GW.example.com.", "s3.gw.example.com", true},
		{"gw.example.com", "s3.example.com", false},
		{"gw.example.com", "xgw.example.com", false},
		{"[::1]:80", "[::1]:9000", true},
	}
	for _, tt := range tests {
		if got := SameSite(tt.host, tt.storage); got != tt.want {
			t.Errorf("SameSite(%q, %q) = %t", tt.host, tt.storage, got)
		}
	}
}
