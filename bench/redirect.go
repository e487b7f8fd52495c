package main

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"partway/auth/sigv4"
)

const keepAlive = 64 // connections

// redirect asks for 307s. The parts are declared empty, because the connection closes behind a declared body that was not read,
// and connections are not what is measured. Each request is signed as an SDK would and has its own part number.
func redirect(b io.Writer, o options, dir, sink string) error {
	g, err := startGateway(o.partway, dir, sink)
	if err != nil {
		return err
	}
	defer g.stop()
	id, err := g.create(object)
	if err != nil {
		return err
	}
	signer := &sigv4.Signer{AccessKeyID: g.keyID, Secret: g.secret, Region: "us-east-1", Service: "s3"}
	if _, err := askAll(g, signer, id, o.redirects/10, keepAlive); err != nil { // warms tokens, pools and connections
		return err
	}
	before, began := g.cpu(), time.Now()
	latencies, err := askAll(g, signer, id, o.redirects, keepAlive)
	if err != nil {
		return err
	}
	took, cpu := time.Since(began), g.cpu()-before
	alone, err := askAll(g, signer, id, o.redirects/10, 1)
	if err != nil {
		return err
	}
	n := float64(len(latencies))
	fmt.Fprintf(b, "\n## Redirect: %d UploadParts signed with SigV4, each audited before its answer\n\n", len(latencies))
	fmt.Fprintln(b, "| connections | 307/s | gateway CPU us each | first byte p50 ms | p99 ms |")
	fmt.Fprintln(b, "|---|---|---|---|---|")
	fmt.Fprintf(b, "| %d | %.0f | %.0f | %.2f | %.2f |\n", keepAlive, n/took.Seconds(), float64(cpu.Microseconds())/n, quantile(latencies, .5), quantile(latencies, .99))
	fmt.Fprintf(b, "| 1 | | | %.2f | %.2f |\n", quantile(alone, .5), quantile(alone, .99))
	return nil
}

func quantile(d []time.Duration, q float64) float64 {
	slices.Sort(d)
	return d[int(q*float64(len(d)-1))].Seconds() * 1000
}

// askAll asks for count redirects over the connections and returns the times to the first byte.
func askAll(g *gateway, signer *sigv4.Signer, id string, count, connections int) ([]time.Duration, error) {
	var (
		mu    sync.Mutex
		times []time.Duration
		first error
		all   sync.WaitGroup
	)
	for c := range connections {
		all.Go(func() {
			took, err := askOn(g, signer, id, c*count/connections, (c+1)*count/connections)
			mu.Lock()
			defer mu.Unlock()
			times = append(times, took...)
			if first == nil {
				first = err
			}
		})
	}
	all.Wait()
	return times, first
}

func askOn(g *gateway, signer *sigv4.Signer, id string, from, to int) ([]time.Duration, error) {
	conn, err := net.Dial("tcp", g.addr)
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(5 * time.Minute))
	// Storage is 127.0.0.1, and the gateway sends nobody to the host that they came by.
	_, port, err := net.SplitHostPort(g.addr)
	if err != nil {
		return nil, err
	}
	host := "localhost:" + port
	r := bufio.NewReader(conn)
	var times []time.Duration
	for n := from; n < to; n++ {
		request := signed(host, signer, id, n%10_000+1)
		began := time.Now()
		if _, err := io.WriteString(conn, request); err != nil {
			return times, err
		}
		if _, err := r.Peek(1); err != nil {
			return times, err
		}
		times = append(times, time.Since(began))
		if err := answer(r, http.StatusTemporaryRedirect); err != nil {
			return times, err
		}
	}
	return times, nil
}

func signed(host string, signer *sigv4.Signer, id string, part int) string {
	now := time.Now().UTC()
	headers := []sigv4.Header{
		{Name: "host", Value: host},
		{Name: "x-amz-content-sha256", Value: sigv4.UnsignedPayload},
		{Name: "x-amz-date", Value: now.Format(sigv4.TimeFormat)},
	}
	r := &sigv4.Request{
		Method: http.MethodPut, Path: "/uploads/" + object, Query: fmt.Sprintf("partNumber=%d&uploadId=%s", part, id),
		Headers: headers, Payload: sigv4.UnsignedPayload,
	}
	var b strings.Builder
	fmt.Fprintf(&b, "PUT %s?%s HTTP/1.1\r\nContent-Length: 0\r\nx-partway-transfer: redirect\r\n", r.Path, r.Query)
	for _, h := range headers {
		fmt.Fprintf(&b, "%s: %s\r\n", h.Name, h.Value)
	}
	fmt.Fprintf(&b, "authorization: %s\r\n\r\n", signer.SignHeader(r, now))
	return b.String()
}
