package e2e

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"syscall"
	"testing"
	"time"

	"partway/e2e/harness"
)

const half = 8 * mib

// halfSent is a connection on which half of a relayed body was sent, to a key or a part of one, and has arrived at storage.
func halfSent(t *testing.T, n *harness.Tenant, target string) net.Conn {
	t.Helper()
	conn, err := net.Dial("tcp", n.Tap.Addr())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	conn.SetDeadline(time.Now().Add(30 * time.Second))
	before := n.ToStorage.Up()
	fmt.Fprintf(conn, "PUT /%s/%s HTTP/1.1\r\nHost: %s\r\nContent-Length: %d\r\nAuthorization: Bearer %s\r\n\r\n",
		harness.Bucket, target, n.Tap.Addr(), 2*half, n.Bearer)
	if _, err := io.WriteString(conn, strings.Repeat("x", half)); err != nil {
		t.Fatal(err)
	}
	err = harness.Await(withTimeout(t, 10*time.Second), "the first half at storage", nil, func() bool { return n.ToStorage.Up()-before >= half })
	if err != nil {
		t.Fatal(err)
	}
	return conn
}

// terminate sends SIGTERM and waits until no new connection is taken.
func terminate(t *testing.T, g *harness.Gateway) {
	t.Helper()
	if err := g.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	addr := g.Addr()
	err := harness.Await(withTimeout(t, 10*time.Second), "the closed door", nil, func() bool {
		c, err := net.Dial("tcp", addr)
		if err == nil {
			c.Close()
		}
		return err != nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// again starts the gateway anew and leads the tenant to it.
func again(t *testing.T, n *harness.Tenant) {
	t.Helper()
	if err := n.StartGateway(t.Context()); err != nil {
		t.Fatal(err)
	}
	n.Tap.Retarget(n.Gateway.Addr())
}

// SIGTERM in the middle of a relayed part: no new connection is taken, the part ends well, and its event is kept.
func TestSigtermLetsARunningTransferFinish(t *testing.T) {
	n := ownStack(t, harness.Setup{}).NewTenant(t)
	conn := halfSent(t, n, n.Prefix+"slow")
	terminate(t, n.Gateway)
	if _, err := io.WriteString(conn, strings.Repeat("x", half)); err != nil {
		t.Fatal(err)
	}
	resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		t.Fatalf("no answer after SIGTERM: %v\n%s", err, n.Gateway.Tail())
	}
	if resp.StatusCode != http.StatusOK {
		t.Errorf("answer %s", resp.Status)
	}
	if err := n.Gateway.End(30 * time.Second); err != nil {
		t.Error(err)
	}
	again(t, n)
	got := n.Do(t, n.Request(t, http.MethodGet, "/"+harness.Bucket+"/"+n.Prefix+"slow", ""))
	if got.Text != strings.Repeat("x", 2*half) {
		t.Errorf("%d bytes at storage, want %d", len(got.Text), 2*half)
	}
}

// A transfer that does not end within server.drain is cut, and has its event.
func TestDrainEnds(t *testing.T) {
	n := ownStack(t, harness.Setup{Config: []string{"server: {drain: 1s}"}}).NewTenant(t)
	key := n.Prefix + "stuck"
	conn := halfSent(t, n, key+"?partNumber=1&uploadId="+create(t, n, key))
	terminate(t, n.Gateway)
	if err := n.Gateway.End(15 * time.Second); err != nil {
		t.Error(err)
	}
	if rest, err := io.ReadAll(conn); strings.HasPrefix(string(rest), "HTTP/1.1 200") {
		t.Errorf("a cut transfer was acknowledged: %s (%v)", rest, err)
	}
	again(t, n)
	parts := events(t, n, "UploadPart")
	if len(parts) != 1 || parts[0].Outcome == "ok" {
		t.Fatalf("events of the cut transfer: %v, want one that says so", parts)
	}
	n.Unanswered(parts[0].RequestID)
}

func TestSecondSignalEndsAtOnce(t *testing.T) {
	s := ownStack(t, harness.Setup{})
	g, n := s.Gateway, s.NewTenant(t)
	key := n.Prefix + "stuck"
	halfSent(t, n, key+"?partNumber=1&uploadId="+create(t, n, key))
	terminate(t, g)
	if err := g.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if err := g.End(5 * time.Second); err == nil || !strings.Contains(err.Error(), "signal: terminated") {
		t.Errorf("after the second SIGTERM: %v, want its end by the signal", err)
	}
	again(t, n)
}
