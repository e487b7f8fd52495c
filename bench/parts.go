package main

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"slices"
	"strings"
	"sync"
	"time"
)

const (
	partSize = 64 << 20
	atOnce   = 4
	object   = "big" // key of every upload
)

// run of one kind: how long it took and what the process between cost.
type figures struct {
	seconds, cpu float64
	peak         float64
}

// relay compares the gateway with nginx and with no proxy.
func relay(b io.Writer, o options, dir, sink, zeros string) error {
	parts := o.gib << 30 / partSize
	all := map[string][]figures{}
	kinds := []string{"direct", "nginx", "partway"}
	for range o.rounds {
		for _, kind := range kinds {
			f, err := relayOnce(kind, o, dir, sink, zeros, parts)
			if err != nil {
				return fmt.Errorf("%s: %w", kind, err)
			}
			all[kind] = append(all[kind], f)
		}
	}
	median := func(kind string, of func(figures) float64) float64 {
		var v []float64
		for _, f := range all[kind] {
			v = append(v, of(f))
		}
		slices.Sort(v)
		return v[len(v)/2]
	}
	gib := float64(parts) * partSize / (1 << 30)
	speed := func(kind string) float64 { return gib / median(kind, func(f figures) float64 { return f.seconds }) }
	cpu := func(kind string) float64 { return median(kind, func(f figures) float64 { return f.cpu }) / gib }
	fmt.Fprintf(b, "\n## Relay over http: %.1f GiB in parts of 64 MiB, %d at a time, medians of %d\n\n", gib, atOnce, o.rounds)
	fmt.Fprintln(b, "| between client and storage | GiB/s | x direct | CPU s/GiB | x nginx | peak RSS MiB |")
	fmt.Fprintln(b, "|---|---|---|---|---|---|")
	fmt.Fprintf(b, "| nothing | %.2f | 1.00 | | | |\n", speed("direct"))
	for _, kind := range kinds[1:] {
		fmt.Fprintf(b, "| %s | %.2f | %.2f | %.2f | %.2f | %.0f |\n", map[string]string{
			"nginx": "nginx, proxy_request_buffering off", "partway": "partway",
		}[kind], speed(kind), speed(kind)/speed("direct"), cpu(kind), cpu(kind)/cpu("nginx"), median(kind, func(f figures) float64 { return f.peak }))
	}
	return nil
}

func relayOnce(kind string, o options, dir, sink, zeros string, parts int) (figures, error) {
	var p *process
	addr, headers, id := sink, "", "none"
	switch kind {
	case "nginx":
		n, err := startNginx(dir, sink)
		if err != nil {
			return figures{}, err
		}
		defer n.stop()
		p, addr = n, n.addr
	case "partway":
		g, err := startGateway(o.partway, dir, sink)
		if err != nil {
			return figures{}, err
		}
		defer g.stop()
		p, addr, headers = g.process, g.addr, "Authorization: Bearer "+g.bearer+"\r\n"
		if id, err = g.create(object); err != nil {
			return figures{}, err
		}
	}
	// One part each, so that connections and pools are warm.
	if _, err := sendParts(addr, headers, id, zeros, atOnce, atOnce, partSize); err != nil {
		return figures{}, err
	}
	var before time.Duration
	if p != nil {
		before = p.cpu()
	}
	took, err := sendParts(addr, headers, id, zeros, parts, atOnce, partSize)
	f := figures{seconds: took.Seconds()}
	if p != nil {
		f.cpu, f.peak = (p.cpu() - before).Seconds(), p.peak()
	}
	return f, err
}

// memory sends parts of 1 GiB, all at once.
func memory(b io.Writer, o options, dir, sink, zeros string) error {
	g, err := startGateway(o.partway, dir, sink)
	if err != nil {
		return err
	}
	defer g.stop()
	idle := g.peak()
	id, err := g.create(object)
	if err != nil {
		return err
	}
	if _, err := sendParts(g.addr, "Authorization: Bearer "+g.bearer+"\r\n", id, zeros, o.memoryGiB, o.memoryGiB, 1<<30); err != nil {
		return err
	}
	fmt.Fprintf(b, "\n## Memory\n\nPeak resident set of the gateway: %.0f MiB after its start, %.0f MiB with %d parts of 1 GiB at once.\n"+
		"%.0f MiB of it at the end is memory of its own; the rest is the program's file.\n", idle, g.peak(), o.memoryGiB, g.anonymous())
	return nil
}

// create starts an upload through the gateway.
func (g *gateway) create(key string) (string, error) {
	req, err := http.NewRequest(http.MethodPost, "http://"+g.addr+"/uploads/"+key+"?uploads", nil)
	if err != nil {
		return "", err
	}
	req.Header.Set("Authorization", "Bearer "+g.bearer)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		return "", err
	}
	_, after, ok := strings.Cut(string(body), "<UploadId>")
	id, _, _ := strings.Cut(after, "</UploadId>")
	if !ok {
		return "", fmt.Errorf("CreateMultipartUpload: %s: %s", resp.Status, body)
	}
	return id, nil
}

// sendParts sends parts over as many keep-alive connections as go at once. The first error ends its connection and is returned.
func sendParts(addr, headers, id, zeros string, parts, atOnce int, size int64) (time.Duration, error) {
	numbers := make(chan int, parts)
	for n := range parts {
		numbers <- n + 1
	}
	close(numbers)
	errs := make(chan error, atOnce)
	start := time.Now()
	var all sync.WaitGroup
	for range atOnce {
		all.Go(func() { errs <- sendOn(addr, headers, id, zeros, numbers, size) })
	}
	all.Wait()
	took := time.Since(start)
	for range atOnce {
		if err := <-errs; err != nil {
			return took, err
		}
	}
	return took, nil
}

func sendOn(addr, headers, id, zeros string, numbers <-chan int, size int64) error {
	f, err := os.Open(zeros)
	if err != nil {
		return err
	}
	defer f.Close()
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		return err
	}
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(10 * time.Minute))
	r := bufio.NewReader(conn)
	for n := range numbers {
		if _, err := fmt.Fprintf(conn, "PUT /uploads/"+object+"?partNumber=%d&uploadId=%s HTTP/1.1\r\nHost: %s\r\nContent-Length: %d\r\nExpect: 100-continue\r\n%s\r\n",
			n, id, addr, size, headers); err != nil {
			return err
		}
		if err := answer(r, http.StatusContinue); err != nil {
			return err
		}
		if _, err := f.Seek(0, io.SeekStart); err != nil {
			return err
		}
		if _, err := io.CopyN(conn, f, size); err != nil { // sendfile
			return err
		}
		if err := answer(r, http.StatusOK); err != nil {
			return err
		}
	}
	return nil
}

func answer(r *bufio.Reader, want int) error {
	resp, err := http.ReadResponse(r, nil)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		return err
	}
	if resp.StatusCode != want {
		return fmt.Errorf("answer %s, want %d: %s", resp.Status, want, body)
	}
	return nil
}
