package agent

import (
	"context"
	"errors"
	"io"
	"os"
	"testing"
	"testing/synctest"
)

// zeros is a body of so many of them.
func zeros(n int64) *content {
	return &content{Reader: io.LimitReader(zeroes{}, n), length: n, declare: map[string]string{}}
}

type zeroes struct{}

func (zeroes) Read(p []byte) (int, error) {
	clear(p)
	return len(p), nil
}

// Bodies that are kept are bounded together, in memory and on disk: one more waits until another is let go.
func TestBodiesThatAreKeptHaveRoomTogether(t *testing.T) {
	for name, test := range map[string]struct{ size, other int64 }{
		"in memory": {1 << 20, maxHeld + 1},
		"on disk":   {maxHeld + 1, 1 << 20},
	} {
		t.Run(name, func(t *testing.T) {
			t.Setenv("TMPDIR", t.TempDir())
			synctest.Test(t, func(t *testing.T) {
				s := &Server{memory: newRoom(3 << 20 / 2), disk: newRoom(3 * maxHeld / 2)}
				keep := func(n int64) func() {
					t.Helper()
					release, err := s.keep(t.Context(), zeros(n))
					if err != nil {
						t.Fatal(err)
					}
					return release
				}
				first := keep(test.size)
				var second func()
				go func() { second = keep(test.size) }()
				synctest.Wait()
				if second != nil {
					t.Fatal("more is kept than there is room for")
				}
				keep(test.other)() // it is another room's
				gone, cancel := context.WithCancel(t.Context())
				go func() {
					release, err := s.keep(gone, zeros(test.size))
					if !errors.Is(err, errBroke) || !errors.Is(err, context.Canceled) {
						t.Errorf("who went away waiting: %v", err)
					}
					release()
				}()
				synctest.Wait()
				cancel()
				synctest.Wait()
				first()
				synctest.Wait()
				if second == nil {
					t.Fatal("waits although there is room")
				}
				second()
				if left, err := os.ReadDir(os.TempDir()); err != nil || len(left) > 0 {
					t.Errorf("left behind: %v, %v", left, err)
				}
			})
		})
	}
}

func TestABodyLargerThanAllTheRoomIsKeptAlone(t *testing.T) {
	r := newRoom(10)
	release, err := r.take(t.Context(), 11)
	if err != nil {
		t.Fatal(err)
	}
	over, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := r.take(over, 1); err == nil {
		t.Error("not alone")
	}
	release()
	if release, err = r.take(t.Context(), 10); err != nil {
		t.Fatal(err)
	}
	release()
}

// What was begun and failed gives its room back.
func TestABodyThatBreaksOffLeavesItsRoom(t *testing.T) {
	t.Setenv("TMPDIR", t.TempDir())
	synctest.Test(t, func(t *testing.T) { // where waiting for ever is seen at once
		breaksOff(t, &Server{memory: newRoom(maxHeld), disk: newRoom(2 * maxHeld)})
	})
}

func breaksOff(t *testing.T, s *Server) {
	for _, n := range []int64{1 << 20, 2 * maxHeld} {
		for range 2 {
			short := zeros(n)
			short.Reader = io.LimitReader(zeroes{}, n-1)
			release, err := s.keep(t.Context(), short)
			if !errors.Is(err, io.ErrUnexpectedEOF) {
				t.Errorf("%d bytes: %v", n, err)
			}
			release()
		}
		release, err := s.keep(t.Context(), zeros(n))
		if err != nil {
			t.Fatal(err)
		}
		release()
	}
	t.Setenv("TMPDIR", "absent")
	for range 2 {
		release, err := s.keep(t.Context(), zeros(2*maxHeld))
		if !errors.Is(err, os.ErrNotExist) {
			t.Errorf("without a directory: %v", err)
		}
		release()
	}
}
