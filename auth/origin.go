package auth

import (
	"fmt"
	"net/url"
	"strings"
)

// ValidOrigin says what is wrong with a web origin as a browser sends it: scheme://host[:port] in lower case, no default port, no path.
func ValidOrigin(origin string) error {
	u, err := url.Parse(origin)
	switch {
	case origin == "*":
		return fmt.Errorf("%q would let every web page call: name the origins", origin)
	case err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || origin != u.Scheme+"://"+u.Host || u.Hostname() == "" || strings.ContainsAny(u.Host, "*@"):
		return fmt.Errorf("%q is no origin such as https://app.example.com", origin)
	case origin != strings.ToLower(origin):
		return fmt.Errorf("%q has capital letters, which no browser sends", origin)
	case u.Scheme == "http" && u.Port() == "80" || u.Scheme == "https" && u.Port() == "443" || strings.HasSuffix(u.Host, ":"):
		return fmt.Errorf("%q names the default port, which no browser sends", origin)
	}
	return nil
}
