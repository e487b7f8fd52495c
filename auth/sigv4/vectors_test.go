package sigv4

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path"
	"strings"
	"testing"
	"time"
)

// sharedVectors are the SigV4 vectors of aws-c-auth. They may lie beside the repository and are not part of it; without
// them the published examples of S3 (examples_test.go) stand alone.
const sharedVectors = "../../../shared/data/sigv4-vectors.json"

type vector struct {
	Name    string
	Context struct {
		Credentials struct {
			AccessKeyID     string `json:"access_key_id"`
			SecretAccessKey string `json:"secret_access_key"`
			Token           string
		}
		Expiration       int `json:"expiration_in_seconds"`
		Normalize        bool
		OmitSessionToken bool `json:"omit_session_token"`
		Region, Service  string
		SignBody         bool `json:"sign_body"`
		Timestamp        time.Time
	}
	Request         string
	HeaderSignature string `json:"header-signature"`
	HeaderCanonical string `json:"header-canonical-request"`
	QuerySignature  string `json:"query-signature"`
	QueryCanonical  string `json:"query-canonical-request"`
}

func TestSharedVectors(t *testing.T) {
	text, err := os.ReadFile(sharedVectors)
	if errors.Is(err, fs.ErrNotExist) {
		t.Logf("%s is not here: only the repository's own examples are checked", sharedVectors)
		return
	}
	if err != nil {
		t.Fatal(err)
	}
	var vectors []vector
	if err := json.Unmarshal(text, &vectors); err != nil {
		t.Fatal(err)
	}
	checked := 0
	for _, v := range vectors {
		t.Run(v.Name+"/header", func(t *testing.T) { v.check(t, v.headerRequest(), v.HeaderCanonical, v.HeaderSignature) })
		t.Run(v.Name+"/query", func(t *testing.T) { v.check(t, v.queryRequest(), v.QueryCanonical, v.QuerySignature) })
		checked += 2
	}
	if checked != 76 {
		t.Errorf("checked %d vectors, want 76", checked)
	}
}

func (v *vector) check(t *testing.T, r *Request, canonical, signature string) {
	w := newWork()
	defer w.release()
	if err := w.addQuery(r.Query); err != nil {
		t.Fatal(err)
	}
	w.setHeaders(r.Headers)
	if _, _, err := w.appendRequest(r); err != nil {
		t.Fatal(err)
	}
	if got := string(w.buf); got != canonical {
		t.Fatalf("canonical request\n%s\nwant\n%s", got, canonical)
	}
	s := Scope{v.Context.Timestamp.Format("20060102"), v.Context.Region, v.Context.Service}
	got, err := Signature(DeriveKey(v.Context.Credentials.SecretAccessKey, s), r, v.amzDate(), s)
	if err != nil || got != signature {
		t.Errorf("signature %s, %v; want %s", got, err, signature)
	}
}

func (v *vector) amzDate() string { return v.Context.Timestamp.Format(TimeFormat) }

// parse reads the vector's request. Its targets hold raw spaces and its header values are folded, which no server would
// accept: undone here, as is the path normalisation that S3 does not know.
func (v *vector) parse() *Request {
	head, body, _ := strings.Cut(v.Request, "\n\n")
	lines := strings.Split(strings.TrimSuffix(head, "\n"), "\n")
	method, rest, _ := strings.Cut(lines[0], " ")
	target := strings.TrimSuffix(rest, " HTTP/1.1")
	r := &Request{Method: method}
	r.Path, r.Query, _ = strings.Cut(target, "?")
	if v.Context.Normalize {
		cleaned := path.Clean(r.Path)
		if strings.HasSuffix(r.Path, "/") && cleaned != "/" {
			cleaned += "/"
		}
		r.Path = cleaned
	}
	for _, line := range lines[1:] {
		if strings.HasPrefix(line, " ") {
			r.Headers[len(r.Headers)-1].Value += line
			continue
		}
		name, value, _ := strings.Cut(line, ":")
		r.Headers = append(r.Headers, Header{strings.ToLower(name), value})
	}
	hash := sha256.Sum256([]byte(body))
	r.Payload = emptySHA256
	if v.Context.SignBody {
		r.Payload = hex.EncodeToString(hash[:])
	}
	return r
}

func (v *vector) headerRequest() *Request {
	r := v.parse()
	r.Headers = append(r.Headers, Header{"x-amz-date", v.amzDate()})
	if v.Context.SignBody {
		r.Headers = append(r.Headers, Header{"x-amz-content-sha256", r.Payload})
	}
	if token := v.Context.Credentials.Token; token != "" && !v.Context.OmitSessionToken {
		r.Headers = append(r.Headers, Header{"x-amz-security-token", token})
	}
	return r
}

// queryRequest takes the parameters from Presign, whose payload is not the vectors', and leaves its signature behind.
func (v *vector) queryRequest() *Request {
	r := v.parse()
	s := &Signer{AccessKeyID: v.Context.Credentials.AccessKeyID, Secret: v.Context.Credentials.SecretAccessKey,
		Region: v.Context.Region, Service: v.Context.Service}
	if !v.Context.OmitSessionToken {
		s.SessionToken = v.Context.Credentials.Token
	}
	r.Query = s.Presign(r, time.Duration(v.Context.Expiration)*time.Second, v.Context.Timestamp)
	return r
}
