package sigv4

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"slices"
	"strings"
	"sync"
)

// signatureParam is the one query parameter that a signature does not cover.
const signatureParam = "X-Amz-Signature"

// work is the memory of one signature, used again by the next.
type work struct {
	buf     []byte // the canonical request, then the string to sign
	params  []byte // canonical names and values of the query, which query points into
	query   []param
	headers []Header
}

// param is a canonical query parameter: name is work.params[start:name], value work.params[name:value].
type param struct{ start, name, value int }

var works = sync.Pool{New: func() any {
	return &work{buf: make([]byte, 0, 4096), params: make([]byte, 0, 2048)}
}}

func newWork() *work {
	w := works.Get().(*work)
	w.buf, w.params, w.query, w.headers = w.buf[:0], w.params[:0], w.query[:0], w.headers[:0]
	return w
}

// release gives the memory back without the header strings, which may belong to a request that has ended.
func (w *work) release() {
	clear(w.headers)
	works.Put(w)
}

// addQuery parses a query as it stood on the wire, X-Amz-Signature left out.
func (w *work) addQuery(raw string) error {
	for raw != "" {
		var pair string
		pair, raw, _ = strings.Cut(raw, "&")
		if pair == "" {
			continue
		}
		name, value, _ := strings.Cut(pair, "=")
		if err := w.addParam(name, value); err != nil {
			return err
		}
	}
	return nil
}

func (w *work) addParam(name, value string) (err error) {
	p := param{start: len(w.params)}
	if w.params, err = appendCanonicalQuery(w.params, name); err != nil {
		return err
	}
	p.name = len(w.params)
	// Compared in canonical form, so that an escaped spelling of the name is the same parameter.
	if string(w.params[p.start:p.name]) == signatureParam {
		w.params = w.params[:p.start]
		_, err = appendCanonicalQuery(w.params, value)
		return err
	}
	if w.params, err = appendCanonicalQuery(w.params, value); err != nil {
		return err
	}
	p.value = len(w.params)
	w.query = append(w.query, p)
	return nil
}

// open starts a parameter whose name needs no encoding; what is appended to w.params until close is its value.
func (w *work) open(name string) param {
	p := param{start: len(w.params)}
	w.params = append(w.params, name...)
	p.name = len(w.params)
	return p
}

func (w *work) close(p param) {
	p.value = len(w.params)
	w.query = append(w.query, p)
}

// appendQuery appends the canonical query: AWS sorts by name, then value, after encoding.
func (w *work) appendQuery() {
	slices.SortFunc(w.query, func(a, b param) int {
		return cmp.Or(
			slices.Compare(w.params[a.start:a.name], w.params[b.start:b.name]),
			slices.Compare(w.params[a.name:a.value], w.params[b.name:b.value]))
	})
	for i, p := range w.query {
		if i > 0 {
			w.buf = append(w.buf, '&')
		}
		w.buf = append(w.buf, w.params[p.start:p.name]...)
		w.buf = append(w.buf, '=')
		w.buf = append(w.buf, w.params[p.name:p.value]...)
	}
}

// setHeaders takes the headers to be signed, sorted by name; those of one name stay in their order.
func (w *work) setHeaders(headers []Header) {
	w.headers = append(w.headers[:0], headers...)
	slices.SortStableFunc(w.headers, func(a, b Header) int { return strings.Compare(a.Name, b.Name) })
}

func (w *work) appendHeaders() {
	for i, h := range w.headers {
		if i > 0 && h.Name == w.headers[i-1].Name {
			w.buf[len(w.buf)-1] = ','
		} else {
			w.buf = append(append(w.buf, h.Name...), ':')
		}
		w.buf = append(appendTrimmed(w.buf, h.Value), '\n')
	}
}

// appendNames appends the names of the headers, each once.
func (w *work) appendNames(dst []byte, separator string) []byte {
	for i, h := range w.headers {
		if i > 0 && h.Name == w.headers[i-1].Name {
			continue
		}
		if i > 0 {
			dst = append(dst, separator...)
		}
		dst = append(dst, h.Name...)
	}
	return dst
}

// appendTrimmed appends a header value without outer whitespace, inner runs of it made one space. Tabs count as
// whitespace, as in botocore; the Go SDK knows spaces only, and the two differ on a value with an inner tab.
func appendTrimmed(dst []byte, value string) []byte {
	start := len(dst)
	for i := range len(value) {
		c := value[i]
		if c == '\t' {
			c = ' '
		}
		if c == ' ' && (len(dst) == start || dst[len(dst)-1] == ' ') {
			continue
		}
		dst = append(dst, c)
	}
	if len(dst) > start && dst[len(dst)-1] == ' ' {
		dst = dst[:len(dst)-1]
	}
	return dst
}

// appendRequest appends the canonical request of r, whose query and headers w holds. It returns where in w.buf the
// query lies.
func (w *work) appendRequest(r *Request) (start, end int, err error) {
	w.buf = append(append(w.buf, r.Method...), '\n')
	if w.buf, err = appendCanonicalPath(w.buf, r.Path); err != nil {
		return 0, 0, err
	}
	w.buf = append(w.buf, '\n')
	start = len(w.buf)
	w.appendQuery()
	end = len(w.buf)
	w.buf = append(w.buf, '\n')
	w.appendHeaders()
	w.buf = append(w.buf, '\n')
	w.buf = append(w.appendNames(w.buf, ";"), '\n')
	w.buf = append(w.buf, r.Payload...)
	return start, end, nil
}

// sign appends to dst the hex signature of the canonical request in w.buf, which it overwrites.
func (w *work) sign(dst []byte, key Key, amzDate string, s Scope) []byte {
	hash := sha256.Sum256(w.buf)
	w.buf = append(w.buf[:0], Algorithm+"\n"...)
	w.buf = append(append(w.buf, amzDate...), '\n')
	w.buf = append(s.append(w.buf), '\n')
	w.buf = hex.AppendEncode(w.buf, hash[:])
	sum := mac(key[:], w.buf)
	return hex.AppendEncode(dst, sum[:])
}
