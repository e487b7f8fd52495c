package auth

import (
	"slices"
	"strings"
	"testing"
	"time"

	"partway/auth/sigv4"
)

// clone lets a test change a request and keep the original.
func (r *Request) clone() *Request {
	c := *r
	c.Headers = slices.Clone(r.Headers)
	return &c
}

// flips calls try with s after each change of one bit of one byte, and with one byte left out.
func flips(s string, try func(changed string)) {
	for i := range len(s) {
		b := []byte(s)
		b[i] ^= 1
		try(string(b))
		try(s[:i] + s[i+1:])
	}
}

// spareBits calls try with every other last character: some decode to the same bytes.
func spareBits(s string, try func(changed string)) {
	for _, c := range "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_" {
		if changed := s[:len(s)-1] + string(c); changed != s {
			try(changed)
		}
	}
}

func TestEveryByteThatIsSignedCounts(t *testing.T) {
	w := newWorld(t)
	key := w.issue(t, ClassKey)
	meta := sigv4.Header{Name: "x-amz-meta-a", Value: "b  c"}
	for name, r := range map[string]*Request{
		"header": signHeader(put(meta), signer(key), emptySHA256, noon),
		"query":  presign(put(meta), signer(key), time.Minute, noon),
	} {
		t.Run(name, func(t *testing.T) {
			if _, _, err := w.verifier.Authenticate(r, noon); err != nil {
				t.Fatal(err)
			}
			refused := func(part, value string, changed *Request) {
				if _, _, err := w.verifier.Authenticate(changed, noon); err == nil {
					t.Errorf("%s %q was accepted", part, value)
				}
			}
			flips(r.Method, func(s string) { c := r.clone(); c.Method = s; refused("method", s, c) })
			flips(r.Path, func(s string) { c := r.clone(); c.Path = s; refused("path", s, c) })
			flips(r.Query, func(s string) { c := r.clone(); c.Query = s; refused("query", s, c) })
			for i, h := range r.Headers {
				if h.Name == "user-agent" || h.Name == "x-partway-transfer" {
					continue
				}
				flips(h.Value, func(s string) {
					if h.Name == "authorization" && sameFields(s, h.Value) || strings.Join(strings.Fields(s), " ") == strings.Join(strings.Fields(h.Value), " ") {
						return // whitespace that means nothing
					}
					c := r.clone()
					c.Headers[i].Value = s
					refused(h.Name, s, c)
				})
			}
			c := r.clone()
			c.Headers[0].Value, c.Headers[1].Value = "other", "relay"
			c.Headers = append(c.Headers, sigv4.Header{Name: "x-forwarded-for", Value: "192.0.2.1"}, sigv4.Header{Name: "x-amzn-trace-id", Value: "1"})
			if _, _, err := w.verifier.Authenticate(c, noon); err != nil {
				t.Errorf("a header outside the signature changed the answer: %v", err)
			}
		})
	}
}

func sameFields(a, b string) bool {
	return strings.ReplaceAll(a, ", ", ",") == strings.ReplaceAll(b, ", ", ",")
}

func TestEveryByteOfABearerCounts(t *testing.T) {
	w := newWorld(t)
	token := w.issue(t, ClassBearer)
	flips(token.Token, func(s string) {
		if _, _, err := w.verifier.Authenticate(bearer(put(), s), noon); err == nil {
			t.Errorf("%q was accepted", s)
		}
	})
	spareBits(token.Token, func(s string) {
		if _, err := w.verifier.token(s, ClassBearer, noon); err == nil {
			t.Errorf("%q was accepted", s)
		}
	})
	for _, s := range []string{token.Token + "\n", token.Token[:9] + "\r\n" + token.Token[9:], token.Token + "=", token.Token + ".", "." + token.Token} {
		if _, err := w.verifier.token(s, ClassBearer, noon); err == nil {
			t.Errorf("%q was accepted", s)
		}
	}
}
