package harness

import (
	"context"
	"crypto/md5"
	"encoding/hex"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// ETag of an object that was put whole.
func ETag(body []byte) string {
	sum := md5.Sum(body)
	return `"` + hex.EncodeToString(sum[:]) + `"`
}

// PartList is the body of a Complete of parts 1, 2, ..., and the ETag and size of what it makes.
func PartList(parts ...[]byte) (list, etag string, size int64) {
	var b strings.Builder
	var sums []byte
	b.WriteString("<CompleteMultipartUpload>")
	for i, part := range parts {
		sum := md5.Sum(part)
		sums = append(sums, sum[:]...)
		size += int64(len(part))
		fmt.Fprintf(&b, "<Part><PartNumber>%d</PartNumber><ETag>%s</ETag></Part>", i+1, ETag(part))
	}
	b.WriteString("</CompleteMultipartUpload>")
	all := md5.Sum(sums)
	return b.String(), fmt.Sprintf(`"%s-%d"`, hex.EncodeToString(all[:]), len(parts)), size
}

// Violations compares what the client was told with the tenant's records, events and objects under the client's prefix, once everything that
// failed was asked again until it was answered. They are what a user would call lost, or a lie. It waits for a gateway that cannot say, and for the spool:
// what is in it is durable, and not to be seen yet.
func (c *Client) Violations(ctx context.Context) (found []string, err error) {
	waited := Await(ctx, "what is recorded", c.Tenant.Gateway.Process, func() bool {
		found, err = c.violations(ctx)
		return err == nil
	})
	return found, errors.Join(waited, err)
}

func (c *Client) violations(ctx context.Context) ([]string, error) {
	n := c.Tenant
	if err := n.Gateway.Drained(ctx); err != nil {
		return nil, err
	}
	asked := c.History()
	if len(asked) == 0 {
		return nil, errors.New("the client asked nothing")
	}
	began := slices.MinFunc(asked, func(a, b Asked) int { return a.Began.Compare(b.Began) }).Began
	records, err1 := n.Gateway.Uploads(ctx, n.Name)
	events, err2 := n.Gateway.EventsSince(ctx, n.Name, began)
	have, err3 := n.stored(ctx, c.Prefix)
	spent, err4 := n.Gateway.Spent(ctx, n.Name)
	if err := errors.Join(err1, err2, err3, err4); err != nil {
		return nil, err
	}
	records = slices.DeleteFunc(records, func(u Upload) bool { return !strings.HasPrefix(u.Key, c.Prefix) })
	all := violations(asked, records, events, have)
	if n.Scope.MaxTenantBytes > 0 {
		all = append(all, overspent(asked, spent)...)
	}
	return all, nil
}

// Strays are the keys of which storage holds more uploads than records are open.
func (s *Stack) Strays(ctx context.Context) ([]string, error) {
	records, err1 := s.Gateway.Uploads(ctx, "", "open")
	have, err2 := s.stored(ctx, "")
	if err := errors.Join(err1, err2); err != nil {
		return nil, err
	}
	for _, r := range records {
		have.open[r.Key]--
	}
	var strays []string
	for key, n := range have.open {
		for ; n > 0; n-- {
			strays = append(strays, key)
		}
	}
	return strays, nil
}

// overspent holds the tenant's total to what it was told that it had stored. More may have been charged than that, never less. Only of tenants
// with a limit: others are charged nothing.
func overspent(asked []Asked, spent int64) []string {
	var stored int64
	counted := map[string]bool{}
	for _, a := range asked {
		if !a.Acknowledged() || a.Operation == "CompleteMultipartUpload" && counted[a.UploadID] {
			continue
		}
		if a.Operation == "CompleteMultipartUpload" || a.Operation == "PutObject" {
			counted[a.UploadID] = true
			stored += a.Size
		}
	}
	if spent < stored {
		return []string{fmt.Sprintf("%d bytes were stored and %d counted", stored, spent)}
	}
	return nil
}

// told is what a client may rely on about one key.
type told struct {
	creates int      // that were not acknowledged: each may have left an upload that nobody knows
	uploads []Upload // records of acknowledged Creates
	strays  int      // records of others
	objects []Asked  // writes of the whole object, in the order in which they ended
}

func violations(asked []Asked, records []Upload, events []Event, have stored) []string {
	var all []string
	wrong := func(format string, args ...any) { all = append(all, fmt.Sprintf(format, args...)) }

	keys := map[string]*told{}
	of := func(key string) *told {
		if keys[key] == nil {
			keys[key] = &told{}
		}
		return keys[key]
	}
	created := map[string]bool{}
	for _, a := range asked {
		switch {
		case a.Operation == "CreateMultipartUpload" && a.Acknowledged():
			if created[a.UploadID] {
				wrong("two Creates were given the upload %s", a.UploadID)
			}
			created[a.UploadID] = true
		case a.Operation == "CreateMultipartUpload":
			of(a.Key).creates++
		case a.Operation == "CompleteMultipartUpload" || a.Operation == "PutObject":
			of(a.Key).objects = append(of(a.Key).objects, a)
		}
	}
	for _, r := range records {
		if !created[r.ID] {
			of(r.Key).strays++
			if r.State != "open" {
				wrong("record %s of %s, of which no client knows, is %s", r.ID, r.Key, r.State)
			}
			continue
		}
		delete(created, r.ID)
		of(r.Key).uploads = append(of(r.Key).uploads, r)
	}
	for id := range created {
		wrong("upload %s was acknowledged and has no record", id)
	}
	for key, k := range keys {
		if k.strays > k.creates {
			wrong("%s has %d records that no client knows, and %d Creates without an answer", key, k.strays, k.creates)
		}
		all = append(all, k.uploadsEnded(asked)...)
		all = append(all, k.open(key, have)...)
		all = append(all, k.object(key, have)...)
	}
	for key := range have.objects {
		if keys[key] == nil || len(keys[key].objects) == 0 {
			wrong("storage holds %s, which no client wrote", key)
		}
	}
	for key := range have.open {
		if keys[key] == nil {
			wrong("storage holds uploads of %s, of which no client or record knows", key)
		}
	}
	all = append(all, eventsOf(asked, events)...)
	slices.Sort(all)
	return all
}

// uploadsEnded holds each record to what its client was told.
func (k *told) uploadsEnded(asked []Asked) (all []string) {
	for _, r := range k.uploads {
		var complete, abort, ended bool
		var answer string
		for _, a := range asked {
			if a.UploadID != r.ID {
				continue
			}
			switch {
			case a.Operation == "CompleteMultipartUpload" && a.Acknowledged():
				text := sansLocation(a.Text)
				if complete && answer != text {
					all = append(all, fmt.Sprintf("the same Complete of %s was answered %q and %q", r.ID, answer, text))
				}
				if complete, answer = true, text; !strings.Contains(sansQuotes(text), strings.Trim(a.Want, `"`)) {
					all = append(all, fmt.Sprintf("%v answered %q, its parts make %s", a, text, a.Want))
				}
				if r.State == "completed" && (r.ETag != a.Want || r.Bytes != a.Size) {
					all = append(all, fmt.Sprintf("record %s says %s, %d bytes; %v", r.ID, r.ETag, r.Bytes, a))
				}
			case a.Operation == "AbortMultipartUpload" && (a.Acknowledged() || a.Code == "NoSuchUpload"):
				abort = true
			case a.Operation == "CompleteMultipartUpload" || a.Operation == "AbortMultipartUpload":
				ended = true
			case (a.Operation == "UploadPart" || a.Operation == "ListParts") && a.Refused():
				all = append(all, fmt.Sprintf("%v", a))
			}
		}
		ok := false
		switch r.State {
		case "open":
			ok = !complete && !abort
		case "completed", "superseded":
			ok = (complete || ended) && !abort
		case "aborted":
			ok = (abort || ended) && !complete
		}
		if !ok {
			all = append(all, fmt.Sprintf("record %s of %s is %s; its client was told of a Complete: %t, of an Abort: %t", r.ID, r.Key, r.State, complete, abort))
		}
	}
	return all
}

// open holds storage's open uploads to the records: one each, and one more at most for every Create that nobody was told about.
func (k *told) open(key string, have stored) []string {
	known := 0
	for _, r := range k.uploads {
		if r.State == "open" {
			known++
		}
	}
	if n := have.open[key]; n < known || n > known+k.creates {
		return []string{fmt.Sprintf("storage holds %d open uploads of %s, records know %d and %d Creates had no answer", n, key, known, k.creates)}
	}
	return nil
}

// object holds storage to the last write that was acknowledged, or one after it that nobody was told about.
func (k *told) object(key string, have stored) []string {
	last := -1
	for i, a := range k.objects {
		if a.Acknowledged() {
			last = i
		}
	}
	etag, there := have.objects[key]
	if !there {
		if last >= 0 {
			return []string{fmt.Sprintf("%v, and storage does not hold it", k.objects[last])}
		}
		return nil
	}
	for _, a := range k.objects[max(last, 0):] {
		if a.Want == etag && a.Size == have.sizes[key] {
			return nil
		}
	}
	return []string{fmt.Sprintf("storage holds %s, %d bytes, of %s; its client was told last of %v", etag, have.sizes[key], key, k.objects[max(last, 0)])}
}

// eventsOf holds the trail to the answers: every write that was acknowledged is there once, nothing is there twice.
func eventsOf(asked []Asked, events []Event) (all []string) {
	byRequest := map[string]Event{}
	byID := map[string]bool{}
	for _, e := range events {
		if byID[e.ID] {
			all = append(all, fmt.Sprintf("event %s is in the trail twice", e.ID))
		}
		byID[e.ID] = true
		if e.Count > 0 {
			continue // stands for many refusals
		}
		if _, twice := byRequest[e.RequestID]; twice {
			all = append(all, fmt.Sprintf("two events of one request: %v", e))
		}
		byRequest[e.RequestID] = e
	}
	for _, a := range asked {
		e, there := byRequest[a.RequestID]
		switch told := a.Acknowledged() || a.Granted(); {
		case a.Operation == "ListParts":
		case told && !there:
			all = append(all, fmt.Sprintf("%v was acknowledged and has no event", a))
		case told && (e.Outcome != "ok" && e.Outcome != "granted" || e.Operation != a.Operation || e.UploadID != a.UploadID || e.PartNumber != a.PartNumber || e.Key != a.Key):
			all = append(all, fmt.Sprintf("%v has the event %v", a, e))
		}
	}
	return all
}

// ChainGaps looks at the events of all tenants for what each writer numbered and the trail does not have. It waits, a minute at most, for a
// gateway that cannot say.
func (s *Stack) ChainGaps(ctx context.Context) ([]string, error) {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	var events []Event
	var err error
	waited := Await(ctx, "the trail", s.Gateway.Process, func() bool {
		events, err = s.Gateway.EventsSince(ctx, "", s.began)
		return err == nil
	})
	return chainGaps(events), errors.Join(waited, err)
}

func chainGaps(events []Event) (all []string) {
	type batch struct{ seq, events int }
	writers := map[string][]batch{}
	for _, e := range events { // in the order of (writer, seq, place) within a writer
		words := strings.Split(e.ID, "-")
		if len(words) != 3 {
			return []string{"an event is called " + e.ID}
		}
		seq, err1 := strconv.Atoi(words[1])
		place, err2 := strconv.Atoi(words[2])
		if errors.Join(err1, err2) != nil {
			return []string{"an event is called " + e.ID}
		}
		chain := writers[words[0]]
		last := batch{}
		if len(chain) > 0 {
			last = chain[len(chain)-1]
		}
		switch {
		case seq == last.seq && place == last.events:
			chain[len(chain)-1].events++
		case seq == last.seq+1 && place == 0:
			writers[words[0]] = append(chain, batch{seq, 1})
		default:
			all = append(all, fmt.Sprintf("event %s follows event %d of batch %d of its writer", e.ID, last.events, last.seq))
			writers[words[0]] = append(chain, batch{seq, place + 1})
		}
	}
	return all
}

var locationElement = regexp.MustCompile(`<Location>[^<]*</Location>`)

// sansLocation is an answer without what names the port that it came by.
func sansLocation(text string) string { return locationElement.ReplaceAllString(text, "") }

func sansQuotes(text string) string {
	return strings.NewReplacer("&#34;", "", "&quot;", "", `"`, "").Replace(text)
}
