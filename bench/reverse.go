package main

import (
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"sync"
)

// startReverse is net/http's ReverseProxy, in a child of its own.
func startReverse(o *options, secure bool) (*running, error) {
	storage := "http://" + o.sink.http
	if secure {
		storage = "https://" + o.sink.https
	}
	p, address, err := startSelf(o.path("reverse.log"), []string{"SSL_CERT_FILE=" + o.files.cert}, "reverse", storage, o.files.cert, o.files.key)
	if err != nil {
		return nil, err
	}
	return &running{p, target{addr: address, tls: o.clientTLS(secure)}}, nil
}

// serveReverse is the body of the child: it speaks TLS if storage does.
func serveReverse(args []string) error {
	if len(args) != 3 {
		return errors.New("reverse URL CERT KEY")
	}
	storage, err := url.Parse(args[0])
	if err != nil {
		return err
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.MaxIdleConnsPerHost, transport.ForceAttemptHTTP2 = 64, false
	transport.TLSClientConfig = &tls.Config{MinVersion: tls.VersionTLS13}
	server := &http.Server{
		Handler:   &httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) { r.SetURL(storage) }, Transport: transport, BufferPool: new(slicePool)},
		TLSConfig: &tls.Config{MinVersion: tls.VersionTLS13, NextProtos: []string{"http/1.1"}},
	}
	fmt.Println(l.Addr())
	if storage.Scheme == "https" {
		return server.ServeTLS(l, args[1], args[2])
	}
	return server.Serve(l)
}

// slicePool is a httputil.BufferPool.
type slicePool struct{ pool sync.Pool }

func (p *slicePool) Get() []byte {
	if b, ok := p.pool.Get().(*[]byte); ok {
		return *b
	}
	return make([]byte, 64<<10)
}

func (p *slicePool) Put(b []byte) { p.pool.Put(&b) }
