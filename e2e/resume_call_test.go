package e2e

import (
	"bytes"
	"context"
	"crypto/md5"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"regexp"
	"strings"
	"sync/atomic"
	"time"

	"partway/e2e/harness"
)

// waiting asks as SDKs do that can be resumed: it says beforehand what a part is and waits for 100 Continue, so that what is stored does not travel.
type waiting struct {
	n    *harness.Tenant
	http *http.Transport
}

func newWaiting(n *harness.Tenant) *waiting {
	return &waiting{n, &http.Transport{DisableKeepAlives: true, ExpectContinueTimeout: time.Minute}}
}

// said is an answer to it.
type said struct {
	status int
	code   string
	header http.Header
	text   string
	sent   int64 // of the body
}

func (s said) ok() bool { return s.status/100 == 2 && s.code == "" }

func (s said) String() string {
	return fmt.Sprintf("%d %s %s", s.status, s.code, s.header.Get("X-Amz-Request-Id"))
}

var (
	errorCode  = regexp.MustCompile(`<Error>.*<Code>([^<]+)</Code>|^{"code":"([^"]+)"`)
	objectETag = regexp.MustCompile(`<ETag>([^<]+)</ETag>`)
)

// ask sends one request; an absolute target is storage's, which is shown no token.
func (w *waiting) ask(ctx context.Context, method, target string, body []byte, headers map[string]string) (a said, err error) {
	own := strings.HasPrefix(target, "/")
	if own {
		target = w.n.Endpoint + target
	}
	read := &sentBytes{Reader: bytes.NewReader(body)}
	req, err := http.NewRequestWithContext(ctx, method, target, read)
	if err != nil {
		return a, err
	}
	if req.ContentLength = int64(len(body)); len(body) == 0 {
		req.Body = http.NoBody
	} else if method == http.MethodPut {
		req.Header.Set("Expect", "100-continue")
	}
	if own {
		req.Header.Set("Authorization", "Bearer "+w.n.Bearer)
	}
	for name, value := range headers {
		req.Header.Set(name, value)
	}
	resp, err := w.http.RoundTrip(req)
	if err != nil {
		return a, err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	a = said{status: resp.StatusCode, header: resp.Header, text: string(text), sent: read.n.Load()}
	if m := errorCode.FindStringSubmatch(a.text); m != nil {
		a.code = m[1] + m[2]
	}
	return a, err
}

type sentBytes struct {
	io.Reader
	n atomic.Int64
}

func (s *sentBytes) Read(p []byte) (int, error) {
	n, err := s.Reader.Read(p)
	s.n.Add(int64(n))
	return n, err
}

// create makes an upload or takes one up.
func (w *waiting) create(ctx context.Context, key string) (id string, a said, err error) {
	if a, err = w.ask(ctx, http.MethodPost, "/"+harness.Bucket+"/"+key+"?uploads", nil, nil); err != nil {
		return "", a, err
	}
	m := uploadID.FindStringSubmatch(a.text)
	if !a.ok() || m == nil {
		return "", a, fmt.Errorf("CreateMultipartUpload: %v %s", a, a.text)
	}
	return m[1], a, nil
}

func (w *waiting) part(ctx context.Context, key, id string, number int, body []byte, headers map[string]string) (said, error) {
	return w.ask(ctx, http.MethodPut, fmt.Sprintf("/%s/%s?partNumber=%d&uploadId=%s", harness.Bucket, key, number, id), body, headers)
}

func (w *waiting) complete(ctx context.Context, key, id string, etags ...string) (said, error) {
	return w.ask(ctx, http.MethodPost, "/"+harness.Bucket+"/"+key+"?uploadId="+id, []byte(partList(etags...)), nil)
}

// signed asks for the URL of a part. url is "" where the gateway refuses.
func (w *waiting) signed(ctx context.Context, key, id string, number int, body []byte) (url string, headers map[string]string, a said, err error) {
	ask := fmt.Sprintf(`{"bucket":%q,"key":%q,"upload_id":%q,"parts":[{"part_number":%d,"content_length":%d}]}`, harness.Bucket, key, id, number, len(body))
	if a, err = w.ask(ctx, http.MethodPost, "/_partway/sign", []byte(ask), nil); err != nil || !a.ok() {
		return "", nil, a, err
	}
	var out struct {
		Requests []struct {
			URL     string
			Headers map[string]string
		}
	}
	if err := json.Unmarshal([]byte(a.text), &out); err != nil || len(out.Requests) != 1 {
		return "", nil, a, fmt.Errorf("what was signed: %w: %s", err, a.text)
	}
	return out.Requests[0].URL, out.Requests[0].Headers, a, nil
}

func hashed(body []byte) map[string]string {
	sum := sha256.Sum256(body)
	return map[string]string{"x-amz-content-sha256": hex.EncodeToString(sum[:])}
}

func summed(body []byte) map[string]string {
	sum := md5.Sum(body)
	return map[string]string{"content-md5": base64.StdEncoding.EncodeToString(sum[:])}
}

// unquoted is an ETag without its quotes, which XML may write in two ways.
func unquoted(etag string) string {
	return strings.NewReplacer("&#34;", "", "&quot;", "", `"`, "").Replace(etag)
}
