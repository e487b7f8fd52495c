package config

import (
	"maps"
	"net/url"
	"slices"
	"strings"
)

func (c *Config) checkTracing(k *check) {
	t := &c.Tracing
	if t.Endpoint != "" {
		u, err := url.Parse(t.Endpoint)
		plain := err == nil && (u.Scheme == "http" || u.Scheme == "https") && u.Host != "" && u.User == nil && u.RawQuery == "" && u.Fragment == ""
		// Without the value: whoever writes a key into a URL means it to be a secret.
		k.require(plain, "tracing.endpoint", "not http://HOST[:PORT][/PATH] or https://HOST[:PORT][/PATH]; keys belong into tracing.headers")
	}
	for i, name := range slices.Sorted(maps.Keys(t.Headers)) {
		k.require(isHeaderName(name), "tracing.headers", "the name of header %d is none", i+1)
		// The value is a secret: say what is wrong with it without showing it.
		k.require(!strings.ContainsFunc(t.Headers[name], isControl), "tracing.headers", "the value of header %d has a control character", i+1)
	}
	k.require(t.Sample >= 0 && t.Sample <= 1, "tracing.sample", "%v is not within 0 to 1", t.Sample)
}

// isHeaderName: a token of RFC 9110, section 5.6.2.
func isHeaderName(name string) bool {
	return name != "" && !strings.ContainsFunc(name, func(c rune) bool {
		token := c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || strings.ContainsRune("!#$%&'*+-.^_`|~", c)
		return !token
	})
}

func isControl(c rune) bool { return c < ' ' || c == 0x7f }
