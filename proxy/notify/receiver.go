package notify

import (
	"encoding/base64"
	"errors"
	"fmt"
	"net/netip"
	"net/url"
	"regexp"
	"slices"
	"strings"
)

// The events, and the states that they tell of.
const (
	Completed = "upload.completed" // completed; superseded, where another object had taken its place by then
	Aborted   = "upload.aborted"   // by its client, by the sweep, or by storage itself
	Failed    = "upload.failed"    // unknown: nobody could find out what became of it
)

// Events are all of them.
var Events = []string{Completed, Aborted, Failed}

// Receiver is who wants to be told.
type Receiver struct {
	Name   string   // in records and in the log: 1 to 63 of a-z, 0-9 and -
	URL    string   // https, or http to this machine: what is told says what a tenant stores, and a signature hides nothing
	Secret string   // base64 of 24 to 64 bytes, with or without "whsec_" before it
	Events []string // empty: all
}

var receiverName = regexp.MustCompile(`^[a-z0-9][a-z0-9-]{0,62}$`)

const secretPrefix = "whsec_"

// Check says what is wrong with a Receiver, and never shows its secret or its URL, which may hold one.
func (r *Receiver) Check() error {
	if !receiverName.MatchString(r.Name) {
		return fmt.Errorf("name %q: want 1 to 63 of a-z, 0-9 and -, not - first", r.Name)
	}
	u, err := url.Parse(r.URL)
	switch {
	case err != nil || u.Host == "" || u.User != nil || u.Fragment != "":
		return errors.New("url: not https://HOST[:PORT]/PATH")
	case u.Scheme != "https" && (u.Scheme != "http" || !loopback(u.Hostname())):
		return errors.New("url: want https, or http to localhost")
	}
	if _, err := r.key(); err != nil {
		return err
	}
	for _, e := range r.Events {
		if !slices.Contains(Events, e) {
			return fmt.Errorf("events: %q is not one of %s", e, strings.Join(Events, ", "))
		}
	}
	return nil
}

func loopback(host string) bool {
	ip, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && ip.IsLoopback()
}

func (r *Receiver) key() ([]byte, error) {
	key, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(r.Secret, secretPrefix))
	if err != nil || len(key) < 24 || len(key) > 64 {
		return nil, errors.New("secret: not the base64 of 24 to 64 bytes")
	}
	return key, nil
}

func (r *Receiver) wants(event string) bool {
	return len(r.Events) == 0 || slices.Contains(r.Events, event)
}
