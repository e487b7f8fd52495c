package e2e

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"partway/e2e/harness"
)

// What each server's trouble means for each step of an upload is the table of docs/operations.md, and all heals by itself once the trouble is over.
func TestDegradation(t *testing.T) {
	const create, relay, redirect, complete, abort = "Create", "UploadPart by relay", "UploadPart by redirect", "Complete", "Abort"
	steps := []string{create, relay, redirect, complete, abort}
	s := ownStack(t, harness.Setup{Mongo: harness.SecantusDB, Lines: true})
	for _, c := range degradations(t, steps) {
		t.Run(c.server+" "+c.fault, func(t *testing.T) {
			n := s.UncheckedTenant(t)
			client := n.NewClient()
			ctx := withTimeout(t, 90*time.Second)
			ids := map[string]string{}
			part := []byte("part")
			for _, step := range []string{relay, redirect, complete, abort} {
				id, err := client.Create(ctx, keyOf(n, step))
				if err != nil {
					t.Fatal(err)
				}
				ids[step] = id
			}
			if _, err := client.Part(ctx, keyOf(n, complete), ids[complete], 1, part, false); err != nil {
				t.Fatal(err)
			}

			line := s.Lines[c.server]
			if err := line.Break(c.fault); err != nil {
				t.Fatal(err)
			}
			list, want, size := harness.PartList(part)
			calls := map[string]func() harness.Asked{
				create: func() harness.Asked {
					return client.Ask(ctx, harness.Asked{Operation: "CreateMultipartUpload", Key: keyOf(n, create)}, http.MethodPost, at(n, create)+"?uploads", nil)
				},
				relay: func() harness.Asked {
					return client.Ask(ctx, harness.Asked{Operation: "UploadPart", Key: keyOf(n, relay), UploadID: ids[relay], PartNumber: 1}, http.MethodPut, at(n, relay)+"?partNumber=1&uploadId="+ids[relay], part)
				},
				redirect: func() harness.Asked {
					return client.Ask(ctx, harness.Asked{Operation: "UploadPart", Key: keyOf(n, redirect), UploadID: ids[redirect], PartNumber: 1}, http.MethodPut,
						at(n, redirect)+"?partNumber=1&uploadId="+ids[redirect], part, "x-partway-transfer", "redirect")
				},
				complete: func() harness.Asked {
					return client.Ask(ctx, harness.Asked{Operation: "CompleteMultipartUpload", Key: keyOf(n, complete), UploadID: ids[complete], Want: want, Size: size}, http.MethodPost,
						at(n, complete)+"?uploadId="+ids[complete], []byte(list))
				},
				abort: func() harness.Asked {
					return client.Ask(ctx, harness.Asked{Operation: "AbortMultipartUpload", Key: keyOf(n, abort), UploadID: ids[abort]}, http.MethodDelete, at(n, abort)+"?uploadId="+ids[abort], nil)
				},
			}
			var answered, waiting sync.WaitGroup
			var mu sync.Mutex
			mended := false
			for step, call := range calls {
				group := &answered
				if c.want[step] == 0 {
					group = &waiting
				}
				group.Go(func() {
					began := time.Now()
					a := call()
					mu.Lock()
					defer mu.Unlock()
					t.Logf("%s: %d %s after %v", step, a.Status, a.Code, time.Since(began).Round(time.Millisecond))
					switch {
					case c.want[step] == 0 && !mended:
						t.Errorf("%s: %v %s while %s is %s, want no answer yet", step, a, a.Text, c.server, c.fault)
					case c.want[step] != 0 && (a.Status != c.want[step] || a.Status == http.StatusServiceUnavailable && a.RetryAfter == ""):
						t.Errorf("%s: %v %s while %s is %s, want %d", step, a, a.Text, c.server, c.fault, c.want[step])
					}
				})
			}
			answered.Wait()
			mu.Lock()
			mended = true
			mu.Unlock()
			if err := line.Mend(); err != nil {
				t.Fatal(err)
			}
			waiting.Wait()
			err := harness.Await(ctx, "ready", n.Gateway.Process, func() bool { return ready(t, n).StatusCode == http.StatusOK })
			if err != nil {
				t.Fatalf("%v: %s", err, ready(t, n).Text)
			}

			// It heals: everything that was refused is taken when it comes again.
			for _, step := range []string{relay, redirect} {
				if _, err := client.Part(ctx, keyOf(n, step), ids[step], 1, part, step == redirect); err != nil {
					t.Errorf("%s, afterwards: %v", step, err)
				}
				if _, err := client.Complete(ctx, keyOf(n, step), ids[step], part); err != nil {
					t.Errorf("Complete after %s: %v", step, err)
				}
			}
			if _, err := client.Complete(ctx, keyOf(n, complete), ids[complete], part); err != nil {
				t.Errorf("afterwards: %v", err)
			}
			if err := client.Abort(ctx, keyOf(n, abort), ids[abort]); err != nil {
				t.Errorf("afterwards: %v", err)
			}
			if _, err := client.Create(ctx, keyOf(n, "Create again")); err != nil {
				t.Errorf("afterwards: %v", err)
			}
			clean(t, client)
		})
	}
}

func keyOf(n *harness.Tenant, step string) string {
	return n.Prefix + fmt.Sprintf("%x", step)
}

func at(n *harness.Tenant, step string) string { return "/" + harness.Bucket + "/" + keyOf(n, step) }

// degradation is a row of the table: the status that the client of each step is told while the trouble lasts. 0 is none yet; 500 an error in a 200.
type degradation struct {
	server, fault string
	want          map[string]int
}

func degradations(t *testing.T, steps []string) (rows []degradation) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(harness.Root(), "docs", "operations.md"))
	if err != nil {
		t.Fatal(err)
	}
	servers := map[string]string{"Redis": "redis", "MongoDB": "mongodb", "storage": "storage"}
	for line := range strings.Lines(string(text)) {
		cells := strings.Split(strings.Trim(strings.TrimSpace(line), "|"), "|")
		for i := range cells {
			cells[i] = strings.TrimSpace(cells[i])
		}
		if servers[cells[0]] == "" || len(cells) != 2+len(steps) {
			continue
		}
		row := degradation{servers[cells[0]], cells[1], map[string]int{}}
		for i, step := range steps {
			switch cell := cells[2+i]; cell {
			case "waits":
				row.want[step] = 0
			case "error in 200":
				row.want[step] = http.StatusInternalServerError
			default:
				if row.want[step], err = strconv.Atoi(cell); err != nil {
					t.Fatalf("%s: %v", line, err)
				}
			}
		}
		rows = append(rows, row)
	}
	if len(rows) != 3*4 {
		t.Fatalf("the table has %d rows", len(rows))
	}
	return rows
}
