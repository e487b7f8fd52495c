package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"runtime/debug"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"partway/auth"
	"partway/proxy"
	"partway/proxy/storage"
	"partway/tracking"
	"partway/tracking/bolt"
	"partway/tracking/memory"
)

// partwayBare is the gateway with a trail that forgets: what is left is the cost of requests without that of making their events durable. The program
// has no such mode, so it is put together here.
var partwayBare = subject{"partway, no trail", startBare}

// bareReady is the line that the child prints.
type bareReady struct{ Address, Bearer, KeyID, Secret string }

func startBare(o *options, _ bool) (*running, error) {
	p, line, err := startSelf(o.path("bare.log"), nil, "bare", "http://"+o.sink.http, o.dir)
	if err != nil {
		return nil, err
	}
	var ready bareReady
	if err := json.Unmarshal([]byte(line), &ready); err != nil {
		p.stop()
		return nil, fmt.Errorf("bench bare said %q: %w", line, err)
	}
	return &running{p, target{addr: ready.Address, bearer: ready.Bearer, signer: newSigner(ready.KeyID, ready.Secret)}}, nil
}

// forgetful is a store that takes the trail and keeps none of it.
type forgetful struct{ tracking.Store }

func (forgetful) AppendBatch(context.Context, ...*tracking.Batch) error { return nil }

// serveBare is the body of the child.
func serveBare(args []string) error {
	if len(args) != 2 {
		return errors.New("bare STORAGE DIR")
	}
	debug.SetGCPercent(350) // what the program's own rule comes to with so little alive
	kept, err := bolt.Open(bolt.Config{Dir: args[1]})
	if err != nil {
		return err
	}
	defer kept.Close()
	store := forgetful{kept}
	secret := make([]byte, 32)
	writer, err := tracking.NewWriter(tracking.WriterConfig{Trail: store, ChainKey: secret, Gateway: "bench", Log: slog.New(slog.DiscardHandler), Now: time.Now})
	if err != nil {
		return err
	}
	backend, err := storage.New(storage.Config{Name: "sink", Endpoint: args[0], Region: region, PathStyle: true,
		Credentials: storage.Credentials{AccessKeyID: "bench", SecretAccessKey: "bench-secret"}})
	if err != nil {
		return err
	}
	verifier, issuer, sealer, err := bareAuthority(secret)
	if err != nil {
		return err
	}
	g, err := proxy.New(proxy.Config{
		Region: region, Verifier: verifier, Issuer: issuer, Sealer: sealer,
		Backends: []*storage.Backend{backend}, DefaultBackend: "sink",
		Store: store, Sessions: memory.New(memory.Config{}), Writer: writer, Auditor: &tracking.Auditor{Archive: store, Uploads: store, Now: time.Now},
		DefaultRoad: proxy.RoadRelay, URLTTL: 5 * time.Minute, MaxAge: time.Hour, XMLBytes: 4 << 20, HeaderBytes: 16 << 10,
		Log: slog.New(slog.DiscardHandler), Registry: prometheus.NewRegistry(), Now: time.Now,
	})
	if err != nil {
		return err
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	ready := bareReady{Address: l.Addr().String()}
	grant := auth.Grant{Tenant: "operator", Subject: "bench", Operator: true, TTL: time.Hour, Scopes: []auth.Scope{{Bucket: "*", Actions: []string{"s3:*"}}}}
	grant.Class = auth.ClassBearer
	bearer, err := issuer.Issue(grant, time.Now())
	if err != nil {
		return err
	}
	grant.Class = auth.ClassKey
	key, err := issuer.Issue(grant, time.Now())
	if err != nil {
		return err
	}
	ready.Bearer, ready.KeyID, ready.Secret = bearer.Token, key.Token, key.Secret
	line, err := json.Marshal(ready)
	if err != nil {
		return err
	}
	fmt.Println(string(line))
	return g.Serve(l)
}

func bareAuthority(secret []byte) (*auth.Verifier, *auth.Issuer, *auth.Sealer, error) {
	key, err := auth.GenerateSigningKey()
	if err != nil {
		return nil, nil, nil, err
	}
	signing, masters := []auth.SigningKey{key}, []auth.MasterKey{{Version: 1, Secret: secret, Active: true}}
	verifier, err := auth.NewVerifier(auth.VerifierConfig{Issuer: "partway", Audience: "partway", Region: region, SigningKeys: signing, MasterKeys: masters,
		MaxStaleness: time.Hour, Revocations: func(context.Context) ([]auth.Revocation, error) { return nil, nil }})
	if err != nil {
		return nil, nil, nil, err
	}
	if err := verifier.Refresh(context.Background()); err != nil {
		return nil, nil, nil, err
	}
	issuer, err := auth.NewIssuer(auth.IssuerConfig{Issuer: "partway", Audience: "partway", SigningKeys: signing, MasterKeys: masters})
	if err != nil {
		return nil, nil, nil, err
	}
	sealer, err := auth.NewSealer(masters)
	return verifier, issuer, sealer, err
}
