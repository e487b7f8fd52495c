package mongo

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"
	driver "go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"

	"partway/tracking"
)

// batchDocument is a batch under the id that makes a second copy of it impossible.
type batchDocument struct {
	ID             string `bson:"_id"`
	tracking.Batch `bson:",inline"`
}

// batchID sorts as (writer, seq) does.
func batchID(writer string, seq int64) string { return fmt.Sprintf("%s-%020d", writer, seq) }

// AppendBatch implements tracking.Trail. A batch is one document, so MongoDB's limit of 16 MiB holds for it.
func (s *Store) AppendBatch(ctx context.Context, batches ...*tracking.Batch) error {
	ctx, cancel := s.bounded(ctx)
	defer cancel()
	documents := make([]*batchDocument, len(batches))
	for i, b := range batches {
		documents[i] = &batchDocument{ID: batchID(b.Writer, b.Seq), Batch: *b}
	}
	for len(documents) > 0 {
		_, err := s.batches.InsertMany(ctx, documents) // in order, up to the first that fails
		if err == nil {
			return nil
		}
		at, said := failedAt(err)
		if err = failed("append batch "+documents[at].ID, err); !errors.Is(err, tracking.ErrExists) || !said && len(documents) > 1 {
			return err // of several none may be passed over for another; whoever drains a spool tries them one by one then
		}
		documents = documents[at+1:] // this one is of an earlier attempt, whose answer was lost
	}
	return nil
}

// eventCursor is the next event to look at.
type eventCursor struct {
	Time   time.Time `json:"t"`
	Writer string    `json:"w"`
	Seq    int64     `json:"s"`
	Index  int       `json:"i"` // in the batch
}

func (c *eventCursor) complete() bool { return c.Writer != "" }

// behind says whether c lies behind b.
func (c *eventCursor) behind(b *tracking.Batch) bool {
	return cmp.Or(b.Time.Compare(c.Time), strings.Compare(b.Writer, c.Writer), cmp.Compare(b.Seq, c.Seq)) < 0
}

// examined bounds how many batches one page by operation may cost; the page is then short.
const examined = 500

// oldest is the order of the lists of events.
var oldest = bson.D{{Key: "time", Value: 1}, {Key: "writer", Value: 1}, {Key: "seq", Value: 1}}

// Events implements tracking.Trail, ordered by (Time, Writer, Seq) and the place in the batch.
func (s *Store) Events(ctx context.Context, q tracking.EventQuery) ([]tracking.Event, string, error) {
	ctx, cancel := s.bounded(ctx)
	defer cancel()
	var from eventCursor
	if q.Cursor != "" {
		if err := parseCursor(q.Cursor, &from); err != nil {
			return nil, "", err
		}
	}
	horizon, err := s.horizon(ctx, q, from)
	if err != nil {
		return nil, "", err
	}
	if horizon.complete() {
		q.Until = horizon.Time.Add(time.Millisecond)
	}
	limit := pageLimit(q.Limit)
	// As many batches as fill the page, by the server's own rule it would be 16 MiB of them.
	found, err := s.batches.Find(ctx, batchFilter(q, from), options.Find().SetSort(oldest).SetBatchSize(int32(limit)+1))
	if err != nil {
		return nil, "", failed("read events", err)
	}
	defer found.Close(ctx) // it may be left before its end

	var page []tracking.Event
	for found.Next(ctx) {
		var b tracking.Batch
		if err := found.Decode(&b); err != nil {
			return nil, "", failed("decode a batch", err)
		}
		if horizon.complete() && !horizon.behind(&b) {
			break
		}
		for i, e := range b.Events {
			behind := b.Writer == from.Writer && b.Seq == from.Seq && i < from.Index
			if behind || q.UploadID != "" && e.UploadID != q.UploadID || q.Tenant != "" && e.Tenant != q.Tenant ||
				q.Operation != "" && e.Operation != q.Operation {
				continue
			}
			if len(page) == limit {
				return page, formatCursor(eventCursor{b.Time, b.Writer, b.Seq, i}), nil
			}
			page = append(page, e)
		}
	}
	if err := found.Err(); err != nil || !horizon.complete() {
		return page, "", failed("read events", err)
	}
	return page, formatCursor(horizon), nil
}

// horizon is the batch where a page by operation ends at the latest; none, if it may go to the end. No index has operations, so the server
// reads every batch that the rest of q selects: of a long trail that would take it longer than an answer may.
func (s *Store) horizon(ctx context.Context, q tracking.EventQuery, from eventCursor) (at eventCursor, err error) {
	if q.Operation == "" {
		return at, nil
	}
	q.Operation = ""
	var b tracking.Batch
	err = s.batches.FindOne(ctx, batchFilter(q, from), options.FindOne().SetSort(oldest).SetSkip(examined).
		SetProjection(bson.D{{Key: "_id", Value: 0}, {Key: "time", Value: 1}, {Key: "writer", Value: 1}, {Key: "seq", Value: 1}})).Decode(&b)
	if errors.Is(err, driver.ErrNoDocuments) {
		return at, nil
	}
	return eventCursor{Time: b.Time, Writer: b.Writer, Seq: b.Seq}, failed("read events", err)
}

// batchFilter selects the batches, from the cursor's own on, that hold an event of q.
func batchFilter(q tracking.EventQuery, from eventCursor) bson.D {
	filter := bson.D{}
	event := bson.D{}
	if q.UploadID != "" {
		event = append(event, bson.E{Key: "upload_id", Value: q.UploadID})
	}
	if q.Tenant != "" {
		event = append(event, bson.E{Key: "tenant", Value: q.Tenant})
	}
	if q.Operation != "" {
		event = append(event, bson.E{Key: "operation", Value: q.Operation})
	}
	if len(event) > 0 {
		filter = append(filter, bson.E{Key: "events", Value: bson.D{{Key: "$elemMatch", Value: event}}})
	}
	var span bson.D
	since := ceil(q.Since)
	if from.Time.After(since) {
		since = from.Time // where the server can start in the index, as in ListUploads
	}
	if !since.IsZero() {
		span = append(span, bson.E{Key: "$gte", Value: since})
	}
	if !q.Until.IsZero() {
		span = append(span, bson.E{Key: "$lt", Value: ceil(q.Until)})
	}
	if len(span) > 0 {
		filter = append(filter, bson.E{Key: "time", Value: span})
	}
	if from.Writer != "" {
		filter = append(filter, bson.E{Key: "$or", Value: bson.A{
			bson.D{{Key: "time", Value: bson.D{{Key: "$gt", Value: from.Time}}}},
			bson.D{{Key: "time", Value: from.Time}, {Key: "writer", Value: bson.D{{Key: "$gt", Value: from.Writer}}}},
			bson.D{{Key: "time", Value: from.Time}, {Key: "writer", Value: from.Writer}, {Key: "seq", Value: bson.D{{Key: "$gte", Value: from.Seq}}}},
		}})
	}
	return filter
}

// ceil is the first whole millisecond not before t. BSON has no smaller parts and would cut them off, which moves a bound back
// past events that it lets in or out.
func ceil(t time.Time) time.Time { return t.Add(time.Millisecond - 1).Truncate(time.Millisecond) }
