package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"partway/e2e/harness"
)

// newFifo is a pipe with a name, so that a test decides when a tool gets its input. fill writes to it once somebody reads; its error is the test's.
func newFifo(t *testing.T, fill func(w *os.File) error) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "fifo")
	if err := syscall.Mkfifo(path, 0o600); err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() {
		done <- func() error {
			w, err := os.OpenFile(path, os.O_WRONLY, 0)
			if err != nil {
				return err
			}
			defer w.Close()
			return fill(w)
		}()
	}()
	t.Cleanup(func() {
		// Nobody may have read, or nobody does any more.
		if r, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0); err == nil {
			defer r.Close()
		}
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return path
}

func listOf(prefix string) *s3.ListObjectsV2Input {
	return &s3.ListObjectsV2Input{Bucket: aws.String(harness.Bucket), Prefix: aws.String(prefix)}
}

func eventsText(t *testing.T, n *harness.Tenant) string {
	events, err := n.Gateway.Events(t.Context(), n.Name)
	if err != nil {
		t.Fatal(err)
	}
	return fmt.Sprint(events)
}

// killChild is kill -9 for the process whose id a file holds.
func killChild(t *testing.T, file string) {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(text)))
	if err == nil {
		err = syscall.Kill(pid, syscall.SIGKILL)
	}
	if err != nil {
		t.Fatal(err)
	}
}
