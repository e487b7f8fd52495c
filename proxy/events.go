package proxy

import (
	"context"
	"net/http"
	"slices"
	"strconv"

	"partway/tracking"
)

// Operations of events that no row of a table names.
const (
	opUnknown         = "Unknown"         // of an S3 request that was refused before it was known what it asks
	opUnknownCall     = "partway:Unknown" // of a path below /_partway/ that is none
	opCompanion       = "partway:Companion"
	opPreflight       = "partway:Preflight"
	opRefusedUnproved = "partway:RefusedBeforeAuthentication"
	opRefusedOverRate = "partway:RefusedOverRate"
	opFoundUpload     = "partway:FoundUpload"
)

// recorded are the operations that events name, sorted. Filled in by init: the compiler sees a cycle else, for one of the routes is apiEvents,
// which reads it.
var recorded []string

func init() {
	recorded = []string{opUnknown, opUnknownCall, opCompanion, opPreflight, opRefusedUnproved, opRefusedOverRate, opFoundUpload, tracking.OperationDropEvents,
		assumeRole.Name, callerIdentity.Name}
	for _, o := range operations {
		recorded = append(recorded, o.Name)
	}
	for _, r := range apiRoutes {
		recorded = append(recorded, r.Name)
	}
	slices.Sort(recorded)
	recorded = slices.Compact(recorded)
}

// RecordedOperations are the names of operations in the audit trail: S3's, and our own for the rest.
func RecordedOperations() []string { return slices.Clone(recorded) }

func (g *Gateway) apiEvents(ctx context.Context, r *Request, _ string) (*Response, error) {
	tenant, err := tenantOf(r)
	if err != nil {
		return nil, err
	}
	limit, err := limitOf(r)
	if err != nil {
		return nil, err
	}
	q := tracking.EventQuery{UploadID: r.Query.Get("upload_id"), Tenant: tenant, Operation: r.Query.Get("operation"), Limit: limit, Cursor: r.Query.Get("cursor")}
	if _, known := slices.BinarySearch(recorded, q.Operation); !known && q.Operation != "" { // else a misspelt one would look like "there are none"
		return nil, errInvalidArgument.saying("There is no operation " + strconv.Quote(q.Operation) + ". They are named as events name them, such as UploadPart.")
	}
	if q.Since, err = timeOf(r, "since"); err != nil {
		return nil, err
	}
	if q.Until, err = timeOf(r, "until"); err != nil {
		return nil, err
	}
	items, next, err := g.Store.Events(ctx, q)
	if err != nil {
		return nil, err
	}
	for i := range items {
		items[i].Salt = nil // for checking alone, see export
	}
	return jsonReply(http.StatusOK, page{orEmpty(items), next}), nil
}
