package e2e

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"

	"partway/e2e/harness"
)

// trail is a stack whose trail is tampered with and erased: its tenants' events are not compared with what they did.
type trail struct {
	*harness.Stack
	t      *testing.T
	bearer string
}

func newTrail(t *testing.T, setup harness.Setup) *trail {
	t.Helper()
	s := ownStack(t, setup)
	token, err := s.Gateway.Issue(t.Context(), "acme", "bearer", time.Hour, harness.Scope{Bucket: harness.Bucket, Prefix: "acme/", Actions: []string{"s3:*"}})
	if err != nil {
		t.Fatal(err)
	}
	return &trail{s, t, token.Bearer}
}

// personal is in the events of what put and send ask for, of keys that begin with "anna-b".
var personal = []string{"acme/anna-b", "annas-laptop"}

// put writes an object, as the tenant, with a name and from a client that should not be kept for ever.
func (r *trail) put(key string) { r.send(r.Gateway, http.MethodPut, key, "x") }

// send asks a gateway as put does and returns the answer's body.
func (r *trail) send(to *harness.Gateway, method, target, body string) string {
	r.t.Helper()
	req, err := http.NewRequestWithContext(r.t.Context(), method, to.Endpoint+"/"+harness.Bucket+"/acme/"+target, strings.NewReader(body))
	if err != nil {
		r.t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+r.bearer)
	req.Header.Set("User-Agent", "annas-laptop/1.0")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		r.t.Fatal(err)
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != http.StatusOK {
		r.t.Fatalf("%s %s: %s %s %v", method, target, resp.Status, answer, err)
	}
	return string(answer)
}

// left is what of the personal fields the trail shows, or its store holds.
func (r *trail) left() (found []string) {
	r.t.Helper()
	text := r.must("audit", "--json")
	if r.ToMongo == nil {
		raw, err := os.ReadFile(filepath.Join(r.Dir, "data", "partway.db"))
		if err != nil {
			r.t.Fatal(err)
		}
		text += string(raw)
	} else {
		var all []bson.M
		cursor, err := r.batches().Find(r.t.Context(), bson.D{})
		if err == nil {
			err = cursor.All(r.t.Context(), &all)
		}
		raw, jsonErr := json.Marshal(all)
		if err != nil || jsonErr != nil {
			r.t.Fatal(err, jsonErr)
		}
		text += string(raw)
	}
	for _, p := range personal {
		if strings.Contains(text, p) {
			found = append(found, p)
		}
	}
	return found
}

// partway runs a command as the operator, or, offline, as somebody who has the configuration and no gateway.
func (r *trail) partway(args ...string) (string, error) {
	env := []string{"PARTWAY_ENDPOINT=" + r.Gateway.Endpoint, "PARTWAY_TOKEN=" + r.Gateway.Operator}
	return harness.Run(r.t.Context(), env, r.Bin, args...)
}

func (r *trail) must(args ...string) string {
	r.t.Helper()
	out, err := r.partway(args...)
	if err != nil {
		r.t.Fatal(err)
	}
	return out
}

// faulty runs a verification that must fail, and name this.
func (r *trail) faulty(want string, args ...string) {
	r.t.Helper()
	out, err := r.partway(append([]string{"audit", "verify"}, args...)...)
	if err == nil || !strings.Contains(err.Error(), "exit status 1") || !strings.Contains(out, want) {
		r.t.Errorf("want %q and exit status 1: %v\n%s", want, err, out)
	}
}

// batches reaches the trail past the gateway, as somebody does who may write to the database.
func (r *trail) batches() *mongo.Collection {
	r.t.Helper()
	client, err := mongo.Connect(options.Client().ApplyURI("mongodb://" + r.ToMongo.Addr() + "/?directConnection=true"))
	if err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(func() { _ = client.Disconnect(r.t.Context()) })
	return client.Database("partway").Collection("batches")
}

// stored is as much of a batch as the tests look at.
type stored struct {
	ID     string `bson:"_id"`
	Writer string `bson:"writer"`
	Seq    int64  `bson:"seq"`
	Events []struct {
		ID        string `bson:"id"`
		Operation string `bson:"operation"`
		Outcome   string `bson:"outcome"`
	} `bson:"events"`
}

func TestTamperingInMongoDBIsNamed(t *testing.T) {
	dir := t.TempDir()
	anchors := filepath.Join(dir, "anchors")
	r := newTrail(t, harness.Setup{Mongo: harness.SecantusDB, Config: []string{"audit: {anchor_file: " + anchors + ", anchor_interval: 1s}"}})
	for _, key := range []string{"a", "b", "c"} {
		r.put(key)
	}
	if out := r.must("audit", "verify"); !strings.Contains(out, "no fault found") {
		t.Errorf("an untouched trail:\n%s", out)
	}
	batches := r.batches()
	find := func(filter bson.D) (b stored, whole bson.D) {
		t.Helper()
		raw, err := batches.FindOne(t.Context(), filter).Raw()
		if err == nil {
			err = bson.Unmarshal(raw, &b)
		}
		if err == nil {
			err = bson.Unmarshal(raw, &whole)
		}
		if err != nil {
			t.Fatal(err)
		}
		return b, whole
	}
	b, whole := find(bson.D{{Key: "events.key", Value: "acme/b"}})
	id := bson.D{{Key: "_id", Value: b.ID}}

	if _, err := batches.UpdateOne(t.Context(), id, bson.D{{Key: "$set", Value: bson.D{{Key: "events.0.outcome", Value: "AccessDenied"}}}}); err != nil {
		t.Fatal(err)
	}
	r.faulty("FAULT: event " + b.Events[0].ID + " was edited")
	if _, err := batches.DeleteOne(t.Context(), id); err != nil {
		t.Fatal(err)
	}
	r.faulty("(event " + b.Events[0].ID + " and those beside it) is missing")
	if _, err := batches.InsertOne(t.Context(), whole); err != nil {
		t.Fatal(err)
	}
	r.must("audit", "verify")

	// The end of a chain: the anchors show what the chain cannot.
	if err := r.Gateway.Stop(30 * time.Second); err != nil {
		t.Fatal(err)
	}
	kept, err := os.ReadFile(anchors)
	if err != nil || !strings.Contains(string(kept), b.Writer) {
		t.Fatalf("anchors %q, %v", kept, err)
	}
	copied := filepath.Join(dir, "copied")
	if err := os.WriteFile(copied, kept, 0o600); err != nil {
		t.Fatal(err)
	}
	cut := bson.D{{Key: "writer", Value: b.Writer}, {Key: "seq", Value: bson.D{{Key: "$gte", Value: b.Seq}}}}
	if _, err := batches.DeleteMany(t.Context(), cut); err != nil {
		t.Fatal(err)
	}
	if err := r.StartGateway(t.Context()); err != nil {
		t.Fatal(err)
	}
	r.must("audit", "verify")
	r.faulty("(event "+b.Events[0].ID+" and those beside it) is missing", "--anchors", copied)
}

func TestAnExportIsCheckedWithoutAGateway(t *testing.T) {
	dir := t.TempDir()
	r := newTrail(t, harness.Setup{})
	r.put("a")
	r.put("b")
	all, acmes, keys := filepath.Join(dir, "all"), filepath.Join(dir, "acmes"), filepath.Join(dir, "keys")
	r.must("audit", "export", "--out", all)
	r.must("audit", "export", "--tenant", "acme", "--out", acmes)
	if err := os.WriteFile(keys, []byte(r.must("keys", "chain", "--config", r.Config)), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := r.Gateway.Stop(30 * time.Second); err != nil {
		t.Fatal(err)
	}
	for _, check := range [][]string{{"--config", r.Config}, {"--keys", keys}} {
		for _, file := range []string{all, acmes} {
			if out := r.must(append([]string{"audit", "verify", "--file", file}, check...)...); !strings.Contains(out, "no fault found") {
				t.Errorf("%s:\n%s", file, out)
			}
		}
	}
	text, err := os.ReadFile(all)
	if err != nil {
		t.Fatal(err)
	}
	event := regexp.MustCompile(`"id":"([A-Z0-9]+-\d+-0)"[^}]*"operation":"PutObject"[^}]*"key":"acme/b"`).FindSubmatch(text)
	if event == nil {
		t.Fatalf("no such event in\n%s", text)
	}
	edited := filepath.Join(dir, "edited")
	if err := os.WriteFile(edited, bytes.ReplaceAll(text, []byte(`"key":"acme/b"`), []byte(`"key":"acme/c"`)), 0o600); err != nil {
		t.Fatal(err)
	}
	r.faulty("FAULT: event "+string(event[1])+" was edited", "--file", edited, "--keys", keys)
	if text, err = os.ReadFile(acmes); err != nil || bytes.Contains(text, []byte(`"operation":"partway:IssueToken"`)) || !bytes.Contains(text, []byte("acme/b")) {
		t.Errorf("the export of a tenant, %v:\n%s", err, text)
	}
}

func TestNothingPersonalIsLeftAfterErasing(t *testing.T) {
	for _, setup := range []harness.Setup{{}, {Mongo: harness.SecantusDB}} {
		name := setup.Mongo
		if name == "" {
			name = "embedded"
		}
		t.Run(name, func(t *testing.T) {
			r := newTrail(t, setup)
			r.put("anna-b1")
			r.put("anna-b2")
			if got := r.left(); len(got) != len(personal) {
				t.Fatalf("before: %q", got)
			}
			if out := r.must("audit", "erase", "--tenant", "acme"); !strings.Contains(out, "of 2 events") {
				t.Errorf("erase: %s", out)
			}
			if got := r.left(); len(got) != 0 {
				t.Errorf("left: %q", got)
			}
			if out := r.must("audit", "verify"); !strings.Contains(out, "no fault found") || !strings.Contains(out, "personal fields of 2 events") {
				t.Errorf("verify:\n%s", out)
			}
		})
	}
}

// A gateway was stopped while MongoDB was away, with events in its spool; the tenant is erased meanwhile, by another.
func TestWhatASpoolKeepsIsErasedBeforeItIsStored(t *testing.T) {
	r := newTrail(t, harness.Setup{Mongo: harness.SecantusDB})
	other, err := r.Another(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { other.Gateway.Kill() })
	created := r.send(other.Gateway, http.MethodPost, "anna-b1?uploads", "")
	id := regexp.MustCompile("<UploadId>([^<]+)</UploadId>").FindStringSubmatch(created)
	if id == nil {
		t.Fatal(created)
	}
	r.ToMongo.Cut()
	r.send(other.Gateway, http.MethodPut, "anna-b1?partNumber=1&uploadId="+id[1], "x")
	other.Gateway.Kill()
	if err := r.ToMongo.Mend(); err != nil {
		t.Fatal(err)
	}
	err = harness.Await(withTimeout(t, 30*time.Second), "erasing", r.Gateway.Process, func() bool {
		_, err := r.partway("audit", "erase", "--tenant", "acme")
		return err == nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if got := r.left(); len(got) != 0 {
		t.Errorf("left: %q", got)
	}
	before := r.must("audit", "--operation", "UploadPart", "--json")
	if err := other.Restart(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := other.Gateway.Drained(withTimeout(t, 30*time.Second)); err != nil {
		t.Fatal(err)
	}
	if after := r.must("audit", "--operation", "UploadPart", "--json"); before != "" || after == "" {
		t.Errorf("parts in the trail before the spool was drained: %q, and after: %q", before, after)
	}
	if got := r.left(); len(got) != 0 {
		t.Errorf("left by the spool: %q", got)
	}
	if out := r.must("audit", "verify"); !strings.Contains(out, "no fault found") {
		t.Errorf("verify:\n%s", out)
	}
}

// What is older than the retention goes when a gateway starts, from both stores, and what is left still verifies.
func TestOldEventsGoAndTheRestVerifies(t *testing.T) {
	bin, err := failpoints() // with a clock that can be ahead
	if err != nil {
		t.Fatal(err)
	}
	for _, mongo := range []string{"", harness.SecantusDB} {
		name := mongo
		if name == "" {
			name = "embedded"
		}
		t.Run(name, func(t *testing.T) {
			s, err := harness.NewServe(t.Context(), bin, t.TempDir(), harness.Setup{Mongo: mongo, Failpoints: true, Config: []string{"audit: {retention: 24h}"}})
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() {
				if err := s.Stop(); err != nil {
					t.Error(err)
				}
			})
			// tokens of the time by the gateway's clock
			r := &trail{Stack: s, t: t}
			tokens := func(ahead time.Duration) {
				env := []string{"PARTWAY_FAILPOINT_CLOCK=" + ahead.String()}
				offline := []string{"token", "issue", "--offline", "--operator", "--config", s.Config, "--class", "bearer", "--format", "bearer"}
				operator, err := harness.Run(t.Context(), env, bin, offline...)
				if err != nil {
					t.Fatal(err)
				}
				s.Gateway.Operator = strings.TrimSpace(operator)
				token, err := s.Gateway.Issue(t.Context(), "acme", "bearer", time.Hour, harness.Scope{Bucket: harness.Bucket, Prefix: "acme/", Actions: []string{"s3:*"}})
				if err != nil {
					t.Fatal(err)
				}
				r.bearer = token.Bearer
			}
			tokens(0)
			r.put("anna-b1")
			if got := r.left(); len(got) != len(personal) {
				t.Fatalf("before: %q", got)
			}
			if err := s.Gateway.Stop(30 * time.Second); err != nil {
				t.Fatal(err)
			}
			const ahead = 72 * time.Hour
			if err := s.RestartAhead(t.Context(), ahead); err != nil {
				t.Fatal(err)
			}
			tokens(ahead)
			err = harness.Await(withTimeout(t, 30*time.Second), "the old events' end", s.Gateway.Process, func() bool {
				return strings.Contains(r.must("audit", "--operation", "partway:DropEvents"), "DropEvents")
			})
			if err != nil {
				t.Fatal(err)
			}
			if got := r.left(); len(got) != 0 {
				t.Errorf("left: %q", got)
			}
			out := r.must("audit", "verify")
			for _, want := range []string{"no fault found", "the older events of 1 writer"} {
				if !strings.Contains(out, want) {
					t.Errorf("verify says nothing of %q:\n%s", want, out)
				}
			}
			if text := r.must("audit", "--operation", "partway:IssueToken", "--json"); strings.Count(text, "\n") != 1 {
				t.Errorf("of the tokens' events one is old and gone, and one is new:\n%s", text)
			}
		})
	}
}
