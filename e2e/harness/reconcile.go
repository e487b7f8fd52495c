package harness

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
)

// stored is what storage holds under a prefix, read with storage's own credentials.
type stored struct {
	objects map[string]string // key -> ETag
	sizes   map[string]int64
	open    map[string]int // key -> uploads in progress
}

// Reconcile compares the tenant's records, events and storage, and says where their stories differ.
func (n *Tenant) Reconcile(ctx context.Context) ([]string, error) {
	records, err1 := n.Gateway.Uploads(ctx, n.Name)
	events, err2 := n.Gateway.Events(ctx, n.Name)
	have, err3 := n.stored(ctx, n.Prefix)
	if err := errors.Join(err1, err2, err3); err != nil {
		return nil, err
	}
	return reconcile(records, events, have), nil
}

func reconcile(records []Upload, events []Event, have stored) []string {
	var diffs []string
	diff := func(format string, args ...any) { diffs = append(diffs, fmt.Sprintf(format, args...)) }

	byUpload := map[string][]Event{}
	lastWrite := map[string]Event{} // the last write to a key that took effect, by the audit
	for _, e := range events {
		if e.UploadID != "" {
			byUpload[e.UploadID] = append(byUpload[e.UploadID], e)
		}
		switch e.Operation {
		case "PutObject", "CopyObject", "CompleteMultipartUpload", "DeleteObject":
			if e.Outcome == "ok" || e.Outcome == "granted" {
				lastWrite[e.Key] = e
			}
		case "DeleteObjects":
			for _, key := range e.Keys {
				lastWrite[key] = e
			}
		}
	}

	// Records against events.
	known := map[string]bool{}
	openRecords := map[string]int{}
	for _, r := range records {
		known[r.ID] = true
		creates := count(byUpload[r.ID], "CreateMultipartUpload")
		if creates != 1 {
			diff("record %s of %s: %d Create events, want 1", r.ID, r.Key, creates)
		}
		completes, aborts := count(byUpload[r.ID], "CompleteMultipartUpload"), count(byUpload[r.ID], "AbortMultipartUpload")
		switch r.State {
		case "open", "paused":
			openRecords[r.Key]++
			if completes+aborts > 0 {
				diff("record %s of %s is %s, events say it ended", r.ID, r.Key, r.State)
			}
		case "completed", "superseded": // another object took its place before anyone looked
			if completes == 0 {
				diff("record %s of %s is %s, no event says so", r.ID, r.Key, r.State)
			}
			for _, e := range byUpload[r.ID] {
				if e.Operation == "CompleteMultipartUpload" && e.Outcome == "ok" && (e.ETag != r.ETag || e.Parts != r.Parts || e.Bytes != r.Bytes) {
					diff("record %s of %s: %s, %d parts, %d bytes; its event %s, %d parts, %d bytes",
						r.ID, r.Key, r.ETag, r.Parts, r.Bytes, e.ETag, e.Parts, e.Bytes)
				}
			}
		case "aborted":
			if aborts == 0 {
				diff("record %s of %s is aborted, no event says so", r.ID, r.Key)
			}
		default:
			diff("record %s of %s rests in state %s", r.ID, r.Key, r.State)
		}
	}
	for id, list := range byUpload {
		if count(list, "CreateMultipartUpload") > 0 && !known[id] {
			diff("upload %s of %s has events and no record", id, list[0].Key)
		}
	}

	// Storage against both.
	for key, n := range have.open {
		if openRecords[key] != n {
			diff("storage holds %d open uploads of %s, records say %d", n, key, openRecords[key])
		}
	}
	for key, n := range openRecords {
		if have.open[key] != n {
			diff("records say %d open uploads of %s, storage holds %d", n, key, have.open[key])
		}
	}
	for key, etag := range have.objects {
		e, ok := lastWrite[key]
		switch {
		case !ok || deletes(e):
			diff("storage holds %s, which no event wrote", key)
		case e.ETag != "" && e.ETag != etag:
			diff("storage holds %s with ETag %s, the audit says %s", key, etag, e.ETag)
		case e.Operation == "CompleteMultipartUpload" && e.Bytes != have.sizes[key]:
			diff("storage holds %d bytes of %s, the audit says %d", have.sizes[key], key, e.Bytes)
		}
	}
	for key, e := range lastWrite {
		if _, ok := have.objects[key]; !ok && !deletes(e) && e.Outcome == "ok" {
			diff("the audit says %s was written (%v), storage does not hold it", key, e)
		}
	}
	slices.Sort(diffs)
	return diffs
}

func deletes(e Event) bool { return e.Operation == "DeleteObject" || e.Operation == "DeleteObjects" }

func count(events []Event, operation string) int {
	n := 0
	for _, e := range events {
		if e.Operation == operation && e.Outcome == "ok" {
			n++
		}
	}
	return n
}

func (s *Stack) stored(ctx context.Context, prefix string) (stored, error) {
	have := stored{objects: map[string]string{}, sizes: map[string]int64{}, open: map[string]int{}}
	objects := s3.NewListObjectsV2Paginator(s.Storage, &s3.ListObjectsV2Input{Bucket: aws.String(Bucket), Prefix: &prefix})
	for objects.HasMorePages() {
		page, err := objects.NextPage(ctx)
		if err != nil {
			return have, err
		}
		for _, o := range page.Contents {
			have.objects[*o.Key] = aws.ToString(o.ETag)
			have.sizes[*o.Key] = aws.ToInt64(o.Size)
		}
	}
	uploads := s3.NewListMultipartUploadsPaginator(s.Storage, &s3.ListMultipartUploadsInput{Bucket: aws.String(Bucket), Prefix: &prefix})
	for uploads.HasMorePages() {
		page, err := uploads.NextPage(ctx)
		if err != nil {
			return have, err
		}
		for _, u := range page.Uploads {
			have.open[*u.Key]++
		}
	}
	return have, nil
}
