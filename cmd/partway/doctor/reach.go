package doctor

import (
	"context"
	"fmt"
	"net/http"
	"time"

	"partway/proxy/storage"
)

// credentials says where the backend's credentials are from, if the configuration does not.
func (s *Storage) credentials(ctx context.Context, report func(Check)) bool {
	const name = "credentials' source"
	about := s.Backend.Name()
	found, err := s.Backend.FoundCredentials(ctx)
	switch {
	case err != nil:
		report(Check{Fail, about, name, err.Error(), "configure access_key_id and secret_access_key, or put some where AWS's SDKs look"})
		return false
	case found != nil && found.Ends.IsZero():
		report(Check{OK, about, name, found.Where, ""})
	case found != nil:
		report(Check{OK, about, name, found.Where + ", until " + found.Ends.UTC().Format(time.RFC3339) + " and then anew", ""})
	}
	return true
}

// reach asks whether storage answers at all, and what time it is there.
func (s *Storage) reach(ctx context.Context, report func(Check)) bool {
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	begun := time.Now()
	resp, err := s.Backend.Do(ctx, &storage.Call{Method: http.MethodGet, Query: []storage.Param{{Name: "max-buckets", Value: "1"}}}, nil)
	took := time.Since(begun)
	about := s.Backend.Name()
	switch {
	case err != nil:
		report(Check{Fail, about, "reachable", err.Error(), "check the endpoint, the network between, and the certificate"})
		return false
	case resp.StatusCode >= 500:
		resp.Body.Close()
		report(Check{Fail, about, "reachable", fmt.Sprintf("%s answered %d", s.Endpoint, resp.StatusCode), "see the storage's own log"})
		return false
	}
	resp.Body.Close()
	report(Check{OK, about, "reachable", fmt.Sprintf("%s answered in %d ms", s.Endpoint, took.Milliseconds()), ""})
	report(s.clock(resp.Header.Get("Date"), begun.Add(took/2)))
	return true
}

// How far the clocks may be apart: more than clockWarn is no accident; S3 refuses signatures beyond clockRefuses.
const (
	clockWarn    = 30 * time.Second
	clockRefuses = 15 * time.Minute
)

// clock compares storage's time, as an answer's Date, with ours. A signed URL begins to live by our clock and ends by storage's.
func (s *Storage) clock(date string, ours time.Time) Check {
	c := Check{OK, s.Backend.Name(), "clock", "", ""}
	theirs, err := http.ParseTime(date)
	if err != nil {
		c.Status, c.Seen = Warn, "storage does not say what time it is"
		return c
	}
	apart := theirs.Sub(ours.Truncate(time.Second)) // Date has whole seconds
	c.Seen = fmt.Sprintf("%s apart", apart.Abs().Truncate(time.Second))
	if apart.Abs() > clockWarn {
		c.Status, c.Do = Warn, "keep both on NTP"
		c.Seen += fmt.Sprintf(": signed URLs live %s, not %s", max(0, s.URLTTL-apart).Truncate(time.Second), s.URLTTL)
		if apart < 0 {
			c.Seen = fmt.Sprintf("%s apart: storage is behind, signed URLs come from its future", apart.Abs().Truncate(time.Second))
		}
	}
	if apart.Abs() >= clockRefuses || apart >= s.URLTTL {
		c.Status = Fail
	}
	return c
}
