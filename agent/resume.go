package agent

import (
	"bytes"
	"context"
	"crypto/md5"
	"encoding/base64"
	"errors"
	"fmt"
	"hash"
	"io"
	"io/fs"
	"net/http"
	"strings"
	"sync"

	"partway/proxy/awschunked"
)

// An interrupted upload is taken up again by the Create that starts it anew, where the token may (docs/resume.md). Storage's list of its parts is asked
// for there and then, before the child hears of the upload. A part that is on the list with its size is read and hashed before any of it leaves, and does
// not travel if the list has its MD5 or its SHA-256.
//
// So the evidence is what storage lists of the bytes that it has, and the bytes at hand: not what the child declares, not what was sent or reported before,
// here or elsewhere. It needs nothing of the child, neither a hash beforehand nor that it waits for 100 Continue. A part that becomes another behind
// the list makes the Complete fail, which names the ETag of the list.

// maxResumed is how many uploads that were taken up are remembered. Of one that is forgotten all parts travel.
const maxResumed = 16

// resumed are the uploads that were taken up, with those of their parts that were not asked about yet.
type resumed struct {
	mu      sync.Mutex
	uploads map[Object]resumedUpload
}

type resumedUpload struct {
	id    string
	parts map[int]storedPart
}

// add replaces what is known of an upload of the same object: it has been handed over, or is over.
func (r *resumed) add(o Object, u resumedUpload) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.uploads, o)
	if len(u.parts) == 0 {
		return
	}
	for other := range r.uploads {
		if len(r.uploads) < maxResumed {
			break
		}
		delete(r.uploads, other)
	}
	if r.uploads == nil {
		r.uploads = map[Object]resumedUpload{}
	}
	r.uploads[o] = u
}

// part is the part of the list that may be the one at hand.
func (r *resumed) part(o object, number int, size int64) (storedPart, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	u := r.uploads[Object{o.bucket, o.key}]
	if u.id != o.uploadID {
		return storedPart{}, false
	}
	p, ok := u.parts[number]
	return p, ok && p.Size == size
}

// settle takes a part off the list: it was found there, or becomes another.
func (r *resumed) settle(o object, number int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	at := Object{o.bucket, o.key}
	if u := r.uploads[at]; u.id == o.uploadID {
		if delete(u.parts, number); len(u.parts) == 0 {
			delete(r.uploads, at)
		}
	}
}

// create passes a CreateMultipartUpload on and learns what storage holds of the upload if it is one that was interrupted.
func (s *Server) create(w http.ResponseWriter, r *http.Request, o Object) error {
	resp, err := s.answered(r, r.Body, r.ContentLength, nil)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(io.LimitReader(resp.Body, 64<<10))
	if err != nil {
		return fmt.Errorf("gateway %w: %w", errAway, err)
	}
	if id := uploadIDIn(text); id != "" && resp.StatusCode == http.StatusOK {
		parts, err := s.client.takenUp(r.Context(), resp.Header, o, id)
		if err != nil {
			return err
		}
		s.resumed.add(o, resumedUpload{id, parts})
	}
	resp.Body = io.NopCloser(bytes.NewReader(text))
	return s.passBack(w, r, resp)
}

// takenUp is what storage lists of an upload if the answer of its Create says that it was interrupted. A token that may not list sends all parts again.
func (c *Client) takenUp(ctx context.Context, created http.Header, o Object, id string) (map[int]storedPart, error) {
	if n := created.Get("X-Partway-Resumed"); n == "" || n == "0" {
		return nil, nil
	}
	parts, err := c.listParts(ctx, o, id)
	if refusal := (*Refusal)(nil); errors.As(err, &refusal) && refusal.Status < http.StatusInternalServerError {
		return nil, nil
	}
	return parts, err
}

// skip answers a part that storage holds. If it must travel it may have been read all the same, and c is at its beginning. release is called in every case.
func (s *Server) skip(w http.ResponseWriter, r *http.Request, o object, number int, c *content) (skipped bool, release func(), err error) {
	listed, ok := s.resumed.part(o, number, c.length)
	if !ok || !plain(c.declare) {
		return false, func() {}, nil
	}
	sums := sumsOf(c.declare)
	if listed.ChecksumSHA256 != "" {
		sums.add("x-amz-checksum-sha256")
	}
	release, err = s.keep(r.Context(), c, sums.writers()...)
	if disk := (*fs.PathError)(nil); errors.As(err, &disk) {
		s.resumed.settle(o, number) // it goes without
		err = fmt.Errorf("%w: %w", errBroke, err)
	}
	if err != nil {
		return false, release, err
	}
	s.resumed.settle(o, number)
	if !sums.match(c.declare) || !listed.holds(c.length, sums.of("content-md5"), sums.of("x-amz-checksum-sha256")) {
		return false, release, nil // what is wrong with it storage shall say
	}
	s.client.Stats.StoredBytes.Add(c.length)
	s.client.Stats.StoredBodies.Add(1)
	for name, value := range c.declare {
		if isChecksum(name) { // as storage does, so that the Complete names it
			w.Header()[name] = []string{value}
		}
	}
	w.Header().Set("Etag", listed.ETag)
	w.Header().Set("X-Partway-Transfer", "skip;reason=already-stored")
	w.WriteHeader(http.StatusOK)
	return true, release, nil
}

// plain reports whether nothing is asked of a part but its bytes: with a key of its own (SSE-C) it always travels.
func plain(declared map[string]string) bool {
	for name := range declared {
		if strings.HasPrefix(name, "x-amz-server-side-encryption") {
			return false
		}
	}
	return true
}

// sums are a body's by header; nil for what cannot be computed.
type sums map[string]hash.Hash

// sumsOf computes the MD5, and what the child declared.
func sumsOf(declared map[string]string) sums {
	s := sums{"content-md5": md5.New()}
	for name := range declared {
		if isChecksum(name) {
			s.add(name)
		}
	}
	return s
}

func (s sums) add(name string) {
	if _, ok := s[name]; !ok {
		s[name] = awschunked.NewChecksum(name)
	}
}

func (s sums) of(name string) []byte {
	if h := s[name]; h != nil {
		return h.Sum(nil)
	}
	return nil
}

func (s sums) writers() (out []io.Writer) {
	for _, h := range s {
		if h != nil {
			out = append(out, h)
		}
	}
	return out
}

// match reports whether the body is all that was declared of it.
func (s sums) match(declared map[string]string) bool {
	for name, value := range declared {
		if _, ok := s[name]; ok && (value == "" || base64.StdEncoding.EncodeToString(s.of(name)) != value) {
			return false
		}
	}
	return true
}
