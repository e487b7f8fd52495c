package bolt_test

import (
	"fmt"
	"sync/atomic"
	"testing"

	"partway/tracking"
	"partway/tracking/bolt"
)

func newWriter(tb testing.TB, trail tracking.Trail) *tracking.Writer {
	tb.Helper()
	w, err := tracking.NewWriter(tracking.WriterConfig{Trail: trail, ChainKey: []byte("key"), Gateway: "gw1"})
	if err != nil {
		tb.Fatal(err)
	}
	return w
}

func TestWriterIntoStoreSurvivesReopening(t *testing.T) {
	dir := t.TempDir()
	s, err := bolt.Open(bolt.Config{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	w := newWriter(t, s)
	var want []string
	for n := range 10 {
		want = append(want, fmt.Sprint(n))
		if err := w.Record(t.Context(), tracking.Event{Operation: want[n], Tenant: "acme"}); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}

	s, err = bolt.Open(bolt.Config{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	page, _, err := s.Events(t.Context(), tracking.EventQuery{Tenant: "acme"})
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, e := range page {
		got = append(got, e.Operation)
	}
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Fatalf("events %v, want %v", got, want)
	}
}

// BenchmarkWriter is durable events per second of 64 callers that each wait for theirs.
func BenchmarkWriter(b *testing.B) {
	const callers = 64
	s, err := bolt.Open(bolt.Config{Dir: b.TempDir()})
	if err != nil {
		b.Fatal(err)
	}
	defer s.Close()
	w := newWriter(b, s)
	event := tracking.Event{
		Tenant: "acme", Subject: "alice", TokenID: "0123456789abcdef", RequestID: "0123456789ABCDEF", Operation: "UploadPart",
		Bucket: "uploads", Key: "acme/2026/11/22/big.bin", UploadID: "AbCdEfGhIjKlMnOpQrStUvWxYz0123456789AbCdEfGhIjKlMnOpQrStUvWxYz",
		BytesDeclared: 64 << 20, Checksum: "crc32:AAAAAA==", Road: "redirect", Reason: "client-asked", Outcome: "granted", Status: 307,
		ClientAddress: "192.0.2.1", UserAgent: "aws-cli/1.45 md/Botocore#1.43 ua/2.1 os/linux#6.1 lang/python#3.11",
	}
	var left atomic.Int64
	left.Store(int64(b.N))
	done := make(chan error, callers)
	b.ResetTimer()
	for range callers {
		go func() {
			for left.Add(-1) >= 0 {
				if err := w.Record(b.Context(), event); err != nil {
					done <- err
					return
				}
			}
			done <- nil
		}()
	}
	for range callers {
		if err := <-done; err != nil {
			b.Error(err)
		}
	}
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "events/s")
	b.StopTimer()
	if err := w.Close(b.Context()); err != nil {
		b.Fatal(err)
	}
}
