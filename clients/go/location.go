package partway

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
)

// secret headers prove to the gateway who the client is. They are never sent to storage, whatever the URL names.
var secret = []string{"authorization", "proxy-authorization", "cookie", "x-amz-security-token"}

// transport headers are set by what sends the request.
var transport = []string{"host", "content-length", "expect"}

// meant headers are part of the object or of the condition to write it, beside x-amz-*. A redirect that would lose one is not followed.
var meant = []string{"cache-control", "content-disposition", "content-encoding", "content-language", "content-md5", "content-type", "expires",
	"if-match", "if-none-match"}

// spoken headers are x-amz-* headers that speak to the gateway alone.
var spoken = []string{"x-amz-content-sha256", "x-amz-date", "x-amz-security-token", "x-amz-user-agent"}

// origin of a URL: scheme, host and port.
func origin(u *url.URL) string {
	port := u.Port()
	if port == "" {
		port = map[string]string{"http": "80", "https": "443"}[u.Scheme]
	}
	return u.Scheme + "://" + strings.ToLower(u.Hostname()) + ":" + port
}

func parseOrigin(text string) (string, error) {
	u, err := url.Parse(text)
	if err != nil {
		return "", err
	}
	if u.Scheme != "http" && u.Scheme != "https" || u.Hostname() == "" {
		return "", fmt.Errorf("%q is not an http or https URL", text)
	}
	return origin(u), nil
}

// target is where a redirect from the gateway leads. An error says why it is not followed. allowed: origins; none: any that speaks https.
func target(location, gateway string, allowed []string) (*url.URL, error) {
	u, err := url.Parse(location)
	if err != nil {
		return nil, errors.New("its Location is no URL")
	}
	there := origin(u)
	switch {
	case u.Scheme != "http" && u.Scheme != "https" || u.Hostname() == "":
		return nil, errors.New("its Location is not an http or https URL")
	case u.User != nil || u.Fragment != "":
		return nil, errors.New("its Location is no presigned URL")
	case sameSite(u.Hostname(), gateway):
		return nil, fmt.Errorf("it leads to the gateway itself, %s", u.Hostname())
	case len(allowed) == 0 && u.Scheme != "https":
		return nil, fmt.Errorf("%s is not https, nor named as storage", there)
	case len(allowed) > 0 && !slices.Contains(allowed, there):
		return nil, fmt.Errorf("%s is not named as storage", there)
	}
	return u, nil
}

// headers are what storage is sent, of those that the gateway was sent: what the URL has signed and no more. An error says why that
// would not be the same request.
func headers(u *url.URL, sent http.Header) (http.Header, error) {
	named := u.Query()["X-Amz-SignedHeaders"]
	if len(named) != 1 {
		return nil, errors.New("its Location names no signed headers")
	}
	signed := strings.Split(strings.ToLower(named[0]), ";")
	there := http.Header{}
	for _, name := range signed {
		switch values := sent.Values(name); {
		case slices.Contains(secret, name):
			return nil, fmt.Errorf("it asks for %s", name)
		case slices.Contains(transport, name):
		case len(values) == 0:
			return nil, fmt.Errorf("it asks for %s, which the request does not have", name)
		default:
			there[http.CanonicalHeaderKey(name)] = slices.Clone(values)
		}
	}
	for name := range sent {
		if name = strings.ToLower(name); !slices.Contains(signed, name) && isMeant(name) {
			return nil, fmt.Errorf("it would lose %s", name)
		}
	}
	return there, nil
}

func isMeant(name string) bool {
	return slices.Contains(meant, name) || strings.HasPrefix(name, "x-amz-") && !slices.Contains(spoken, name)
}

// sameSite reports that one is the other or lies below it: with virtual hosts the gateway has names below its own.
func sameSite(a, b string) bool {
	a, b = strings.ToLower(a), strings.ToLower(b)
	return a == b || strings.HasSuffix(a, "."+b) || strings.HasSuffix(b, "."+a)
}
