package proxy

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"time"

	"partway/auth"
	"partway/tracking"
)

// The work on the whole trail is done in parts, each of a few seconds: an answer's next_cursor asks for the next.

// verifyRequest is the body of POST /_partway/audit/verify.
type verifyRequest struct {
	Cursor  string            `json:"cursor"`
	Anchors []tracking.Anchor `json:"anchors"`
	Limit   int               `json:"limit"` // batches of one part; 0: as many as a few seconds allow
}

func (g *Gateway) apiVerify(ctx context.Context, r *Request, _ string) (*Response, error) {
	var ask verifyRequest
	if err := decodeBody(r, &ask); err != nil {
		return nil, err
	}
	if ask.Limit < 0 {
		return nil, errInvalidArgument.saying("limit must not be negative.")
	}
	anchors := make(map[string]tracking.Anchor, len(ask.Anchors))
	for _, a := range ask.Anchors {
		anchors[a.Writer] = a
	}
	part, err := g.Auditor.Verify(ctx, ask.Cursor, anchors, ask.Limit)
	if err != nil {
		return nil, err
	}
	part.Faults = orEmpty(part.Faults)
	return jsonReply(http.StatusOK, part), nil
}

// exportAnswer is a part of an export. Head is set in the first.
type exportAnswer struct {
	Head    *tracking.ExportHead `json:"head,omitempty"`
	Batches []tracking.Batch     `json:"batches"`
	Part    *tracking.ExportPart `json:"part"`
}

func (g *Gateway) apiExport(ctx context.Context, r *Request, _ string) (*Response, error) {
	limit, err := limitOf(r)
	if err != nil {
		return nil, err
	}
	q := tracking.ExportQuery{Tenant: r.Query.Get("tenant")}
	if q.Since, err = timeOf(r, "since"); err != nil {
		return nil, err
	}
	if q.Until, err = timeOf(r, "until"); err != nil {
		return nil, err
	}
	q.Since, q.Until = q.Since.UTC(), q.Until.UTC()
	var out exportAnswer
	cursor := r.Query.Get("cursor")
	if cursor == "" {
		if out.Head, err = g.Auditor.Head(ctx, q); err != nil {
			return nil, err
		}
	}
	if out.Batches, out.Part, err = g.Auditor.Export(ctx, q, cursor, limit); err != nil {
		return nil, err
	}
	out.Batches = orEmpty(out.Batches)
	return jsonReply(http.StatusOK, out), nil
}

// eraseRequest is the body of POST /_partway/tenants/{id}/erase. Without until, it is now.
type eraseRequest struct {
	Until  time.Time `json:"until"`
	Cursor string    `json:"cursor"` // with the until of the answer that gave it
}

// eraseAnswer says what this part has erased.
type eraseAnswer struct {
	tracking.Erased
	Until time.Time `json:"until"`
	Next  string    `json:"next_cursor"`
}

// apiErase takes the personal fields of a tenant's events, and of its uploads that are over, for good.
func (g *Gateway) apiErase(ctx context.Context, r *Request, tenant string) (*Response, error) {
	if !auth.ValidTenant(tenant) {
		return nil, errNoTenant
	}
	var ask eraseRequest
	if err := decodeBody(r, &ask); err != nil {
		return nil, err
	}
	now := g.Now().UTC().Truncate(time.Millisecond)
	until := ask.Until.UTC()
	if until.IsZero() {
		until = now
	}
	if until.After(now) {
		return nil, errInvalidArgument.saying("until must not lie ahead: what is recorded later would not be erased.")
	}
	if ask.Cursor == "" {
		if err := g.Auditor.RecordErasure(ctx, tenant, r.Identity.TokenID, until); err != nil {
			return nil, err
		}
	} else if recorded, err := g.Auditor.Erasures(ctx); err != nil {
		return nil, err
	} else if recorded[tenant].Before(until) {
		return nil, errInvalidArgument.saying("A cursor goes on with what was begun: its tenant, and the until of the answer that gave it.")
	}
	done, next, err := g.Auditor.Erase(ctx, tenant, until, ask.Cursor)
	if err != nil {
		return nil, err
	}
	r.Event.Count = int64(done.Events)
	return jsonReply(http.StatusOK, eraseAnswer{done, until, next}), nil
}

// decodeBody reads the JSON of a request, strictly. An empty body is an empty object.
func decodeBody(r *Request, into any) error {
	d := json.NewDecoder(bytes.NewReader(r.Body))
	d.DisallowUnknownFields()
	if err := d.Decode(into); err != nil && !errors.Is(err, io.EOF) {
		return errInvalidArgument.saying("The body is not what this takes: " + err.Error())
	}
	if d.More() {
		return errInvalidArgument.saying("The body is not what this takes: more follows it.")
	}
	return nil
}
