package mongo

import (
	"context"
	"errors"
	"fmt"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"
	driver "go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"

	"partway/tracking"
)

// pageBytes bounds a page of whole batches, as they are stored.
const pageBytes = 4 << 20

// chainCursor is the last batch of a page.
type chainCursor struct {
	ID string `json:"id"`
}

func (c *chainCursor) complete() bool { return c.ID != "" }

// Chain implements tracking.Archive, in the order of _id.
func (s *Store) Chain(ctx context.Context, cursor string, limit int) ([]tracking.Batch, string, error) {
	filter := bson.D{}
	if cursor != "" {
		var from chainCursor
		if err := parseCursor(cursor, &from); err != nil {
			return nil, "", err
		}
		filter = bson.D{{Key: "_id", Value: bson.D{{Key: "$gt", Value: from.ID}}}}
	}
	page, more, err := s.findBatches(ctx, filter, bson.D{{Key: "_id", Value: 1}}, limit)
	if err != nil || !more {
		return batchesOf(page), "", err
	}
	return batchesOf(page), formatCursor(chainCursor{page[len(page)-1].ID}), nil
}

// Batches implements tracking.Archive.
func (s *Store) Batches(ctx context.Context, q tracking.EventQuery) ([]tracking.Batch, string, error) {
	page, next, err := s.batchesOldestFirst(ctx, q)
	return batchesOf(page), next, err
}

func (s *Store) batchesOldestFirst(ctx context.Context, q tracking.EventQuery) ([]batchDocument, string, error) {
	var from eventCursor
	if q.Cursor != "" {
		if err := parseCursor(q.Cursor, &from); err != nil {
			return nil, "", err
		}
	}
	q.UploadID, q.Operation = "", ""
	page, more, err := s.findBatches(ctx, batchFilter(q, from), oldest, pageLimit(q.Limit))
	if err != nil || !more {
		return page, "", err
	}
	last := page[len(page)-1]
	return page, formatCursor(eventCursor{Time: last.Time, Writer: last.Writer, Seq: last.Seq + 1}), nil
}

// findBatches reads limit batches, or fewer if they are large. more: there may be others behind.
func (s *Store) findBatches(ctx context.Context, filter, order bson.D, limit int) (page []batchDocument, more bool, err error) {
	ctx, cancel := s.bounded(ctx)
	defer cancel()
	found, err := s.batches.Find(ctx, filter, options.Find().SetSort(order).SetLimit(int64(limit)+1))
	if err != nil {
		return nil, false, failed("read batches", err)
	}
	defer found.Close(ctx)
	for size := 0; found.Next(ctx); size += len(found.Current) {
		if len(page) == limit || size > pageBytes {
			return page, true, nil
		}
		var b batchDocument
		if err := found.Decode(&b); err != nil {
			return nil, false, failed("decode a batch", err)
		}
		page = append(page, b)
	}
	return page, false, failed("read batches", found.Err())
}

func batchesOf(page []batchDocument) []tracking.Batch {
	var all []tracking.Batch
	for i := range page {
		all = append(all, page[i].Batch)
	}
	return all
}

// CutChain implements tracking.Archive. The stub comes first: were the batches before it dropped first, what is left of them if this is
// broken off would look like a hole.
func (s *Store) CutChain(ctx context.Context, stub *tracking.Batch) error {
	ctx, cancel := s.bounded(ctx)
	defer cancel()
	id := batchID(stub.Writer, stub.Seq)
	if _, err := s.batches.ReplaceOne(ctx, bson.D{{Key: "_id", Value: id}}, &batchDocument{ID: id, Batch: *stub}); err != nil {
		return failed("cut at batch "+id, err)
	}
	before := bson.D{{Key: "$gte", Value: batchID(stub.Writer, 0)}, {Key: "$lt", Value: id}}
	_, err := s.batches.DeleteMany(ctx, bson.D{{Key: "_id", Value: before}})
	return failed("drop the batches before "+id, err)
}

// EraseEvents implements tracking.Archive. Each batch is one update of the events in it that are to be erased, so two erasures in one
// batch do not undo each other.
func (s *Store) EraseEvents(ctx context.Context, tenant string, until time.Time, cursor string) (erased int, next string, err error) {
	page, next, err := s.batchesOldestFirst(ctx, tracking.EventQuery{Tenant: tenant, Until: until, Cursor: cursor})
	if err != nil {
		return 0, "", err
	}
	due := map[string]time.Time{tenant: until}
	for i := range page {
		b := &page[i]
		was := make([]bool, len(b.Events))
		for n := range b.Events {
			was[n] = b.Events[n].Erased != nil
		}
		count := b.Erase(due)
		if count == 0 {
			continue
		}
		set := bson.D{}
		for n := range b.Events {
			if !was[n] && b.Events[n].Erased != nil {
				set = append(set, bson.E{Key: fmt.Sprintf("events.%d", n), Value: b.Events[n]})
			}
		}
		if err := s.replaceEvents(ctx, b.ID, set); err != nil {
			return erased, "", err
		}
		erased += count
	}
	return erased, next, nil
}

// replaceEvents changes nothing in a batch that retention has emptied meanwhile.
func (s *Store) replaceEvents(ctx context.Context, id string, set bson.D) error {
	ctx, cancel := s.bounded(ctx)
	defer cancel()
	filter := bson.D{{Key: "_id", Value: id}, {Key: "cut", Value: bson.D{{Key: "$exists", Value: false}}}}
	_, err := s.batches.UpdateOne(ctx, filter, bson.D{{Key: "$set", Value: set}})
	return failed("erase events of batch "+id, err)
}

// PutErasure implements tracking.Archive.
func (s *Store) PutErasure(ctx context.Context, e *tracking.Erasure) error {
	ctx, cancel := s.bounded(ctx)
	defer cancel()
	filter := bson.D{{Key: "_id", Value: e.Tenant}, {Key: "until", Value: bson.D{{Key: "$lte", Value: e.Until}}}}
	result, err := s.erasures.ReplaceOne(ctx, filter, e)
	if err != nil || result.MatchedCount > 0 {
		return failed("record an erasure", err)
	}
	_, err = s.erasures.InsertOne(ctx, e)
	if !driver.IsDuplicateKeyError(err) {
		return failed("record an erasure", err)
	}
	// There is one: later than this, unless another gateway entered it just now.
	result, err = s.erasures.ReplaceOne(ctx, filter, e)
	if err == nil && result.MatchedCount == 0 {
		var later tracking.Erasure
		err = s.erasures.FindOne(ctx, bson.D{{Key: "_id", Value: e.Tenant}}).Decode(&later)
		if err == nil && later.Until.Before(e.Until) {
			err = errors.New("another erasure of the tenant is being recorded")
		}
	}
	return failed("record an erasure", err)
}

// Erasures implements tracking.Archive.
func (s *Store) Erasures(ctx context.Context) ([]tracking.Erasure, error) {
	ctx, cancel := s.bounded(ctx)
	defer cancel()
	found, err := s.erasures.Find(ctx, bson.D{}, options.Find().SetSort(bson.D{{Key: "_id", Value: 1}}))
	if err != nil {
		return nil, failed("read erasures", err)
	}
	var list []tracking.Erasure
	if err := found.All(ctx, &list); err != nil {
		return nil, failed("read erasures", err)
	}
	return list, nil
}

// Scrub implements tracking.Archive. The database's files, its journal and its oplog are the database's own.
func (s *Store) Scrub(context.Context) error { return nil }
