package harness

import (
	"io"
	"net"
	"slices"
	"testing"
)

// The tap is the outside witness of most tests: it must count every byte and find every id, however the stream is cut.
func TestTapCountsAndReads(t *testing.T) {
	const answers = "HTTP/1.1 200 OK\r\nX-Amz-Request-Id: one\r\n\r\nHTTP/1.1 204 No Content\r\nx-amz-request-id:two\r\nA: b\r\n\r\n"
	for _, c := range []struct {
		name string
		size int
	}{{"whole", len(answers)}, {"in pieces", 7}, {"byte by byte", 1}} {
		t.Run(c.name, func(t *testing.T) {
			tap := &Tap{}
			s := &idScanner{tap: tap}
			for piece := range slices.Chunk([]byte(answers), c.size) {
				s.Write(piece)
			}
			if got := tap.RequestIDs(); !slices.Equal(got, []string{"one", "two"}) {
				t.Errorf("ids %q", got)
			}
			if tap.Down() != int64(len(answers)) {
				t.Errorf("%d bytes, want %d", tap.Down(), len(answers))
			}
		})
	}
}

func TestTapForwardsCutsAndMends(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() { io.Copy(c, c); c.Close() }()
		}
	}()
	tap, err := NewTap(l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer tap.Cut()
	echo := func() string {
		c, err := net.Dial("tcp", tap.Addr())
		if err != nil {
			return err.Error()
		}
		defer c.Close()
		io.WriteString(c, "hello")
		c.(*net.TCPConn).CloseWrite()
		b, _ := io.ReadAll(c)
		return string(b)
	}
	if got := echo(); got != "hello" || tap.Up() != 5 || tap.Down() != 5 {
		t.Errorf("echo %q, %d up, %d down", got, tap.Up(), tap.Down())
	}
	tap.Cut()
	if got := echo(); got == "hello" {
		t.Error("a cut line carried bytes")
	}
	if err := tap.Mend(); err != nil {
		t.Fatal(err)
	}
	if got := echo(); got != "hello" {
		t.Errorf("mended line: %q", got)
	}
}
