package proxy

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"time"

	"partway/proxy/storage"
	"partway/tracking"
)

const (
	completeTimeout  = 15 * time.Minute // S3: "processing of a Complete request could take several minutes"
	completePatience = 10 * time.Second // after which the client is kept waiting with white space
	completeMemory   = 24 * time.Hour   // how long the same list gets the same answer
	hiddenTime       = time.Minute      // how long one call waits for an upload that storage shows no more to turn into an object
	resendMark       = time.Minute      // who sends a Complete again says so in the record, if nobody did for so long
)

// completion is one CompleteMultipartUpload on its way.
type completion struct {
	r       *Request
	b       *storage.Backend
	storage string // storage's upload id
	call    *storage.Call
	parts   []listedPart
	hash    string
	u       *tracking.Upload
}

// completeMultipartUpload is S3's CompleteMultipartUpload. The record moves to completing before storage is asked and to completed before
// the client is told, so that a retry, here or on another gateway, gets the same answer, and so that an outcome which nobody saw
// can be found out. It goes on when its client leaves.
func (g *Gateway) completeMultipartUpload(_ context.Context, r *Request) (*Response, error) {
	ref, b, err := g.openUpload(r)
	if err != nil {
		return nil, err
	}
	parts, err := parsePartList(r.Body)
	if err != nil {
		return nil, err
	}
	call := r.call()
	r.refuseOverwrite(call)
	call.Query = []storage.Param{{Name: "uploadId", Value: ref.StorageID}}
	c := &completion{r: r, b: b, storage: ref.StorageID, call: call, parts: parts, hash: listHash(r, call)}

	done := make(chan lateAnswer, 1)
	g.running.Go(func() {
		ctx, cancel := context.WithTimeoutCause(of(g.base, r), completeTimeout, errors.New("completing took too long"))
		defer cancel()
		resp, err := g.guarded(r, func() (*Response, error) {
			end, err := g.turns.take(ctx, r.Event.UploadID+c.hash)
			if err != nil {
				return nil, errUnavailable.because(err)
			}
			defer end()
			return g.complete(ctx, c)
		})
		done <- lateAnswer{resp, err}
	})
	patience := time.NewTimer(g.patience)
	defer patience.Stop()
	select {
	case a := <-done:
		return a.resp, a.err
	case <-patience.C:
		return &Response{late: done}, nil
	}
}

// complete takes the record to an end, or leaves it where a retry can. Each turn of the loop begins with what the record and storage say now.
func (g *Gateway) complete(ctx context.Context, c *completion) (*Response, error) {
	settling := pauses{left: g.hidden}
	for again := false; ; again = true {
		var err error
		if c.u, err = g.Store.Upload(ctx, c.r.Event.UploadID); err != nil {
			return nil, asNoSuchUpload(err)
		}
		first := c.u.State == tracking.StateOpen // nobody else has asked storage to complete it
		switch c.u.State {
		case tracking.StateOpen:
		case tracking.StateCompleting, tracking.StateUnknown: // anybody's to finish who has the same list
			if c.u.Completion.ListHash != c.hash {
				if err := g.supersedeList(ctx, c); err != nil {
					return nil, err
				}
				continue
			}
		case tracking.StateCompleted, tracking.StateSuperseded:
			g.settle(ctx, chargeOf(c.u)) // whoever ended it may have ended too
			resp, err := g.sameAnswer(c)
			if err == nil && !again {
				c.r.Event.Reason = reasonRepeated
			}
			return resp, err
		default:
			return nil, errNoSuchUpload
		}
		held, err := c.b.ListParts(ctx, c.r.Bucket, c.r.Key, c.storage)
		gone := errors.Is(err, storage.ErrNoSuchUpload)
		switch {
		case gone && first:
			err = g.endedElsewhere(ctx, c)
		case gone:
			if err = g.findOut(ctx, c.b, c.u); err == nil && c.u.State == tracking.StateUnknown {
				err = errInternal.because(errors.New("the upload is gone and no object fits its Complete"))
			}
		case err != nil:
		case first:
			err = g.begin(ctx, c, held)
		case c.u.State == tracking.StateUnknown: // storage has it after all
			err = g.move(ctx, c.u, tracking.StateOpen)
		default:
			err = g.markResend(ctx, c.u)
		}
		if err == nil && !gone && c.u.State == tracking.StateCompleting {
			var resp *Response
			if resp, err = g.askToComplete(ctx, c, first); err == nil {
				return resp, nil
			}
		}
		switch {
		case errors.Is(err, errUnderWay):
			if !settling.next(ctx) {
				return nil, errUnavailable.because(err)
			}
		case err != nil && !errors.Is(err, tracking.ErrConflict):
			return nil, err
		}
	}
}

// supersedeList makes room for another list than the one that the record was asked to complete, once nobody can be at work on that one: what became of it
// comes first.
func (g *Gateway) supersedeList(ctx context.Context, c *completion) error {
	if g.atWork(c.u) {
		return errOperationAborted
	}
	there, err := g.whatBecame(ctx, c.b, c.storage, c.u)
	switch {
	case err == nil && there:
		err = g.move(ctx, c.u, tracking.StateOpen)
	case err == nil && c.u.State == tracking.StateUnknown:
		err = errNoSuchUpload
	}
	if errors.Is(err, tracking.ErrConflict) {
		return nil
	}
	return err
}

// begin moves an open upload to completing, if the parts that the list names are within the limits of the token and of its tenant. The record then
// says all that it takes to find out how the Complete ended, and the name of the charge; see tracking.Spending.
func (g *Gateway) begin(ctx context.Context, c *completion, held []storage.Part) error {
	if err := g.checkSizes(c, held); err != nil {
		return g.notAgain(ctx, c.u, err)
	}
	if before := chargeOf(c.u); before != nil { // of a Complete that nobody saw end: storage has the upload still, so it made nothing
		c.u.Completion = nil
		if err := g.Store.SwapUpload(ctx, c.u); err != nil {
			return err
		}
		g.refund(ctx, before)
	}
	charge, err := g.charge(ctx, c.r, c.u.ID, c.sum(held))
	if err != nil {
		return err
	}
	c.u.Bytes, c.u.Parts = c.sum(held), len(c.parts)
	c.u.Completion = &tracking.Completion{
		ListHash: c.hash, Started: g.Now().UTC().Truncate(time.Millisecond), ETag: multipartETag(c.parts), Location: location(c.r), Charge: charge,
	}
	if err := g.move(ctx, c.u, tracking.StateCompleting); err != nil {
		if errors.Is(err, tracking.ErrConflict) {
			g.refund(ctx, charge)
		}
		return err
	}
	g.putState(ctx, c.u.ID, tracking.StateCompleting)
	return nil
}

// checkSizes holds what storage has of the parts in the list to the limits.
func (g *Gateway) checkSizes(c *completion, held []storage.Part) error {
	limit := tightest(c.u.MaxBytes, c.r.Scope.MaxObjectBytes)
	if limit == 0 && c.r.Scope.MaxPartBytes == 0 && g.tenantLimit(c.r) == 0 && c.u.Resumable == nil {
		return nil
	}
	if !c.holds(held) {
		return errInvalidPart // its size is not the one that was counted, or its bytes not those that were taken for stored
	}
	if limit > 0 && c.sum(held) > limit {
		return overLimit(limit)
	}
	for _, p := range held {
		err := checkPart(c.r.Scope, p.Size)
		if err != nil && slices.ContainsFunc(c.parts, func(l listedPart) bool { return l.PartNumber == p.Number }) {
			return err
		}
	}
	return nil
}

// endedElsewhere closes the record of an upload that storage ended, by a lifecycle rule or by hand, before anyone asked us to complete it.
func (g *Gateway) endedElsewhere(ctx context.Context, c *completion) error {
	charge := chargeOf(c.u)
	if err := g.endUpload(ctx, c.u, errNoSuchUpload.Code); err != nil {
		return err
	}
	g.settle(ctx, charge) // of a Complete that nobody saw end: perhaps by it
	return errNoSuchUpload
}

// askToComplete sends the Complete. An answer that never came is asked about: the upload is still there (ask once more) or it is not, and
// then its end is to be found out: errUnderWay.
func (g *Gateway) askToComplete(ctx context.Context, c *completion, first bool) (*Response, error) {
	for attempt := 1; ; attempt++ {
		status, header, body, err := g.sendComplete(ctx, c)
		if err == nil && status == http.StatusOK && !isErrorXML(body) {
			return g.completed(ctx, c, header, body)
		}
		if err == nil && status == http.StatusOK {
			status = statusOfCode(body)
		}
		certain := first && attempt == 1 // nobody can have completed it but this one request
		if err == nil && (status < http.StatusInternalServerError || status == http.StatusNotImplemented) {
			refusal := storageError(status, body)
			if refusal.Code == errNoSuchUpload.Code || !certain && g.goneAtStorage(ctx, c) {
				return nil, errUnderWay
			}
			if err := g.reopen(ctx, c, refusal.Code); err != nil {
				return nil, err
			}
			return nil, refusal
		}
		_, lookup := c.b.ListParts(ctx, c.r.Bucket, c.r.Key, c.storage)
		switch {
		case errors.Is(lookup, storage.ErrNoSuchUpload):
			return nil, errUnderWay
		case lookup != nil: // storage is away: the record stays completing, and anybody may send the same Complete again
			return nil, errUnavailable.because(errors.Join(err, lookup))
		case attempt < 2:
			continue
		case err == nil: // a 5xx is no answer: storage may yet do it
			return nil, storageError(status, body)
		}
		return nil, errUnavailable.because(err)
	}
}

// goneAtStorage tells a refusal from what only looks like one, because our own earlier Complete has taken effect: a condition that fails, a
// part that is no more.
func (g *Gateway) goneAtStorage(ctx context.Context, c *completion) bool {
	_, err := c.b.ListParts(ctx, c.r.Bucket, c.r.Key, c.storage)
	return errors.Is(err, storage.ErrNoSuchUpload)
}

func (g *Gateway) sendComplete(ctx context.Context, c *completion) (int, http.Header, []byte, error) {
	answer, err := c.b.Do(ctx, c.call, c.r.Body)
	if err != nil {
		return 0, nil, nil, err
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(io.LimitReader(answer.Body, answerBytes))
	return answer.StatusCode, answer.Header, body, err
}

// completed records what storage said, and answers it. The record comes first: an answer that is not remembered would not be repeated.
func (g *Gateway) completed(ctx context.Context, c *completion, header http.Header, body []byte) (*Response, error) {
	if err := remember(c.u, header, replaceText(body, "Location", c.u.Completion.Location)); err != nil {
		return nil, errUnavailable.because(fmt.Errorf("storage's answer to CompleteMultipartUpload: %w", err))
	}
	var err error
	if c.u, err = g.insist(ctx, c.u); err != nil {
		return nil, errUnavailable.because(err)
	}
	return g.sameAnswer(c)
}

// reopen takes a record back that storage refused to complete.
func (g *Gateway) reopen(ctx context.Context, c *completion, code string) error {
	charge := chargeOf(c.u)
	c.u.ResultCode, c.u.Completion, c.u.Bytes, c.u.Parts = code, nil, 0, 0
	err := g.move(ctx, c.u, tracking.StateOpen)
	if err == nil {
		g.refund(ctx, charge)
		g.putState(ctx, c.u.ID, tracking.StateOpen)
	}
	return err // a conflict: the same Complete, elsewhere, got its answer first, and the record has it
}

// sameAnswer repeats what the same list was answered before, while the record has it: an erasure takes it away.
func (g *Gateway) sameAnswer(c *completion) (*Response, error) {
	done := c.u.State == tracking.StateCompleted || c.u.State == tracking.StateSuperseded
	if !done || c.u.Completion == nil || c.u.Completion.ListHash != c.hash || g.Now().Sub(c.u.UpdatedAt) > completeMemory {
		return nil, errNoSuchUpload
	}
	ev := &c.r.Event
	ev.Parts, ev.Bytes, ev.ETag = c.u.Parts, c.u.Bytes, c.u.ETag
	resp := reply(http.StatusOK, c.u.Completion.Answer, c.u.Completion.Headers...)
	resp.Headers = append(resp.Headers, xmlType)
	return resp, nil
}

// sum is the size of the parts that the list names, by what storage holds.
func (c *completion) sum(held []storage.Part) int64 {
	size := make(map[int]int64, len(held))
	for _, p := range held {
		size[p.Number] = p.Size
	}
	var sum int64
	for _, p := range c.parts {
		sum += size[p.PartNumber]
	}
	return sum
}

// holds reports whether storage holds every part of the list with the ETag that the list says.
func (c *completion) holds(held []storage.Part) bool {
	etag := make(map[int]string, len(held))
	for _, p := range held {
		etag[p.Number] = strings.Trim(p.ETag, `"`)
	}
	return !slices.ContainsFunc(c.parts, func(p listedPart) bool { return etag[p.PartNumber] != strings.Trim(p.ETag, `"`) })
}

// listHash names what a Complete asks for: its list, and the headers that shape the object.
func listHash(r *Request, call *storage.Call) string {
	h := sha256.New()
	h.Write(bytes.TrimSpace(r.Body))
	for _, header := range call.Headers {
		fmt.Fprintf(h, "\n%s:%s", header.Name, header.Value)
	}
	return hex.EncodeToString(h.Sum(nil))
}

func tightest(a, b int64) int64 {
	if a == 0 || b != 0 && b < a {
		return b
	}
	return a
}
