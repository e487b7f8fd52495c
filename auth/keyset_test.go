package auth

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

func (p *provider) rsaToken(t testing.TB, name, kid string) string {
	return p.token(t, jwt.SigningMethodRS256, kid, testKeys()[name], claim("exp", noon.Add(1000*time.Hour).Unix()))
}

func TestUnknownKidIsFetchedOnceForAll(t *testing.T) {
	p := newProvider(t, published("rsa", "r", "RS256"))
	p.gate = make(chan struct{})
	f := p.foreign(t, newForeignClock())
	text := p.rsaToken(t, "rsa", "r")
	errs := make(chan error)
	const callers = 50
	var started sync.WaitGroup
	for range callers {
		started.Add(1)
		go func() {
			started.Done()
			_, err := f.verify(text, noon)
			errs <- err
		}()
	}
	started.Wait()
	p.gate <- struct{}{}
	close(p.gate)
	for range callers {
		if err := <-errs; err != nil {
			t.Error(err)
		}
	}
	if n := p.fetched.Load(); n != 1 {
		t.Errorf("fetched %d times", n)
	}
}

func TestKeysRotate(t *testing.T) {
	p := newProvider(t, published("rsa", "old", "RS256"))
	clock := newForeignClock()
	f := p.foreign(t, clock)
	refused := func(when, text string, want error, fetches int64) {
		t.Helper()
		if _, err := f.verify(text, noon); !errors.Is(err, want) {
			t.Errorf("%s: %v, want %v", when, err, want)
		}
		if n := p.fetched.Load(); n != fetches {
			t.Errorf("%s: fetched %d times so far, want %d", when, n, fetches)
		}
	}
	older, newer := p.rsaToken(t, "rsa", "old"), p.rsaToken(t, "rsa2", "new")
	refused("first token", older, nil, 1)
	p.publish(published("rsa2", "new", "RS256"))
	refused("new key within 30 s", newer, ErrToken, 1)
	clock.advance(fetchEvery - time.Second)
	refused("new key after 29 s", newer, ErrToken, 1)
	refused("old key, not yet read again", older, nil, 1)
	clock.advance(time.Second)
	refused("new key after 30 s", newer, nil, 2)
	refused("withdrawn key", older, ErrToken, 2)
	clock.advance(fetchEvery)
	refused("withdrawn key, asked for again", older, ErrToken, 3)
	for range 100 {
		refused("a flood of unknown kids", p.rsaToken(t, "rsa", "none"), ErrToken, 3)
	}
}

func TestKeysHoldWhileTheirIssuerIsAway(t *testing.T) {
	p := newProvider(t, published("rsa", "r", "RS256"))
	clock := newForeignClock()
	f := p.foreign(t, clock)
	text := p.rsaToken(t, "rsa", "r")
	if _, err := f.verify(text, noon); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name   string
		answer http.HandlerFunc
	}{
		{"500", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(500) }},
		{"no JSON", func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "<html>") }},
		{"no keys", func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, `{"keys":[]}`) }},
		{"huge", func(w http.ResponseWriter, _ *http.Request) {
			io.WriteString(w, `{"keys":[],"x":"`+strings.Repeat("a", maxKeySet)+`"}`)
		}},
		{"redirect", func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/elsewhere", http.StatusFound) }},
		{"cut off", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "9")
			io.WriteString(w, "{")
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			p.answerWith(c.answer)
			clock.advance(fetchEvery)
			if err := f.keySets[p.URL].refresh(fetchEvery); !errors.Is(err, ErrIssuerUnreachable) {
				t.Errorf("refresh: %v", err)
			}
			if _, err := f.verify(text, noon); err != nil {
				t.Errorf("a key that was read before: %v", err)
			}
		})
	}
	clock.set(noon.Add(maxKeySetAge))
	if _, err := f.verify(text, noon); err != nil {
		t.Errorf("at the last moment: %v", err)
	}
	clock.advance(time.Second)
	if _, err := f.verify(text, noon); !errors.Is(err, ErrIssuerUnreachable) {
		t.Errorf("keys that are too old: %v", err)
	}
	p.answerWith(nil)
	if _, err := f.verify(text, noon); !errors.Is(err, ErrIssuerUnreachable) {
		t.Errorf("within 30 s of the last try: %v", err)
	}
	clock.advance(fetchEvery)
	if _, err := f.verify(text, noon); err != nil {
		t.Errorf("the issuer is back: %v", err)
	}
}

func TestLargestKeySet(t *testing.T) {
	p := newProvider(t, published("rsa", "r", "RS256"))
	for _, c := range []struct {
		size int
		want bool
	}{{maxKeySet, true}, {maxKeySet + 1, false}} {
		p.answerWith(func(w http.ResponseWriter, _ *http.Request) {
			key, _ := published("rsa", "r", "RS256").MarshalJSON()
			head := fmt.Sprintf(`{"keys":[%s],"x":"`, key)
			io.WriteString(w, head+strings.Repeat("a", c.size-len(head)-2)+`"}`)
		})
		_, err := p.foreign(t, newForeignClock()).verify(p.rsaToken(t, "rsa", "r"), noon)
		if (err == nil) != c.want {
			t.Errorf("%d bytes: %v", c.size, err)
		}
	}
}

// Of an answer without end no more is read than what may be used.
func TestEndlessKeySet(t *testing.T) {
	p := newProvider(t)
	written := make(chan int, 1)
	p.answerWith(func(w http.ResponseWriter, _ *http.Request) {
		total := 0
		for {
			n, err := io.WriteString(w, strings.Repeat(" ", 64<<10))
			if total += n; err != nil {
				written <- total
				return
			}
		}
	})
	if _, err := p.foreign(t, newForeignClock()).verify(p.rsaToken(t, "rsa", "r"), noon); !errors.Is(err, ErrIssuerUnreachable) {
		t.Error(err)
	}
	// What sockets hold on their way comes on top.
	if n := <-written; n > 32<<20 {
		t.Errorf("the provider could write %d bytes", n)
	}
}

// A provider that accepts and never answers costs its first caller three seconds, and the next ones nothing.
func TestIssuerThatHangs(t *testing.T) {
	p := newProvider(t)
	p.gate = make(chan struct{})
	defer close(p.gate)
	f := p.foreign(t, newForeignClock())
	began := time.Now()
	_, err := f.verify(p.rsaToken(t, "rsa", "r"), noon)
	if took := time.Since(began); !errors.Is(err, ErrIssuerUnreachable) || took < 3*time.Second || took > 8*time.Second {
		t.Errorf("%v after %v", err, took)
	}
	began = time.Now()
	if _, err := f.verify(p.rsaToken(t, "rsa", "r"), noon); !errors.Is(err, ErrIssuerUnreachable) || time.Since(began) > time.Second {
		t.Errorf("again: %v after %v", err, time.Since(began))
	}
}

func TestDiscovery(t *testing.T) {
	for _, c := range []struct {
		name, document string // URL stands for the provider's
		want           error
	}{
		{"as it should be", `{"issuer":"URL","jwks_uri":"URL/keys"}`, nil},
		{"of another issuer", `{"issuer":"https://other.example","jwks_uri":"URL/keys"}`, ErrIssuerUnreachable},
		{"of the issuer with a slash", `{"issuer":"URL/","jwks_uri":"URL/keys"}`, ErrIssuerUnreachable},
		{"no issuer", `{"jwks_uri":"URL/keys"}`, ErrIssuerUnreachable},
		{"no keys", `{"issuer":"URL"}`, ErrIssuerUnreachable},
		{"keys over http", `{"issuer":"URL","jwks_uri":"http://keys.example/keys"}`, ErrIssuerUnreachable},
		{"keys in a file", `{"issuer":"URL","jwks_uri":"file:///etc/keys"}`, ErrIssuerUnreachable},
		{"no JSON", `<html>`, ErrIssuerUnreachable},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := newProvider(t, published("rsa", "r", "RS256"))
			p.config = func(url string) string { return strings.ReplaceAll(c.document, "URL", url) }
			if _, err := p.foreign(t, newForeignClock()).verify(p.rsaToken(t, "rsa", "r"), noon); !errors.Is(err, c.want) {
				t.Errorf("%v, want %v", err, c.want)
			}
		})
	}
}

func TestConfiguredKeysNeedNoDiscovery(t *testing.T) {
	p := newProvider(t, published("rsa", "r", "RS256"))
	p.config = func(string) string { return "<html>" }
	i := p.issuer()
	i.JWKSURL = p.URL + "/keys"
	f, err := NewForeign(ForeignConfig{Issuers: []ForeignIssuer{i}, Transport: p.Client().Transport, Now: newForeignClock().now})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.verify(p.rsaToken(t, "rsa", "r"), noon); err != nil {
		t.Error(err)
	}
}

// Watch reads the keys before anyone asks, and ends with its context: goleak looks at that.
func TestWatchReadsTheKeysFirst(t *testing.T) {
	p := newProvider(t, published("rsa", "r", "RS256"))
	p.gate = make(chan struct{})
	f := p.foreign(t, newForeignClock())
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		f.Watch(ctx)
	}()
	p.gate <- struct{}{}
	cancel()
	<-ended
	if _, known := f.keySets[p.URL].lookup("r"); !known {
		t.Error("the keys were not read")
	}
}

func TestWatchAsksSoonerAfterAFailure(t *testing.T) {
	p := newProvider(t, published("rsa", "r", "RS256"))
	clock := newForeignClock()
	s := p.foreign(t, clock).keySets[p.URL]
	want := func(when string, d time.Duration) {
		t.Helper()
		if got := s.interval(); got != d {
			t.Errorf("%s: %v, want %v", when, got, d)
		}
	}
	want("before the first", fetchEvery)
	if err := s.refresh(0); err != nil {
		t.Fatal(err)
	}
	want("after a success", refreshEvery)
	clock.advance(time.Minute)
	p.answerWith(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(500) })
	if err := s.refresh(0); err == nil {
		t.Fatal("no error")
	}
	want("after a failure", fetchEvery)
}
