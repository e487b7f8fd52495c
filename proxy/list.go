package proxy

import (
	"context"
	"encoding/xml"
	"net/http"
	"net/url"
	"slices"
	"sort"
	"strconv"
	"strings"

	"partway/auth"
)

// listing is the handler of the lists of objects, held to the caller's scopes: a prefix inside one is passed on; an ancestor of
// one, with delimiter "/", shows the way down to it; everything else is refused. root is the answer's element.
func listing(action, root string) func(*Gateway, context.Context, *Request) (*Response, error) {
	return func(g *Gateway, ctx context.Context, r *Request) (*Response, error) {
		inside, below, err := walls(r.Identity, action, r.Bucket, r.Query.Get("prefix"), r.Query.Get("delimiter"))
		if err != nil {
			return nil, err
		}
		if !inside {
			return &Response{Status: http.StatusOK, Headers: headers(xmlType), Body: wayDown(r, root, below)}, nil
		}
		b, err := g.backendOf(r.Bucket)
		if err != nil {
			return nil, err
		}
		return g.forward(ctx, b, r.call(), nil)
	}
}

// walls answers whether a list of prefix lies inside a scope that allows action on bucket. If it lies above some with delimiter "/",
// below holds the common prefixes that lead to them.
func walls(id *auth.Identity, action, bucket, prefix, delimiter string) (inside bool, below []string, err error) {
	if prefix != "" {
		// Some storage resolves "..", in a prefix too. A trailing slash is no segment.
		if err := auth.ValidKey(strings.TrimSuffix(prefix, "/")); err != nil && strings.Trim(prefix, "/") != "" {
			return false, nil, err
		}
	}
	for _, scope := range id.Prefixes(action, bucket) {
		if strings.HasPrefix(prefix, scope) {
			return true, nil, nil
		}
		if rest, above := strings.CutPrefix(scope, prefix); above && delimiter == "/" {
			next, _, _ := strings.Cut(rest, "/")
			if step := prefix + next + "/"; !slices.Contains(below, step) {
				below = append(below, step)
			}
		}
	}
	if below == nil {
		_, err := id.Authorize(action, bucket, "")
		if err == nil {
			err = errAccessDenied.saying("Your token may not list the prefix " + strconv.Quote(prefix) + " of this bucket; it may list " + strings.Join(id.Prefixes(action, bucket), ", ") + ".")
		}
		return false, nil, err
	}
	sort.Strings(below)
	return false, below, nil
}

// wayDown is the answer of a list that holds nothing but common prefixes.
func wayDown(r *Request, root string, below []string) []byte {
	enc := encoding(r)
	return encodeXML(struct {
		XMLName        xml.Name
		Xmlns          string `xml:"xmlns,attr"`
		Name           string
		Prefix         string
		Delimiter      string
		MaxKeys        int
		KeyCount       int
		IsTruncated    bool
		EncodingType   string         `xml:",omitempty"`
		CommonPrefixes []commonPrefix `xml:"CommonPrefixes"`
	}{XMLName: xml.Name{Local: root}, Xmlns: s3Namespace, Name: r.Bucket, Prefix: enc(r.Query.Get("prefix")), Delimiter: "/", MaxKeys: 1000, KeyCount: len(below),
		EncodingType: r.Query.Get("encoding-type"), CommonPrefixes: commonPrefixes(below, enc)})
}

type commonPrefix struct{ Prefix string }

func commonPrefixes(prefixes []string, enc func(string) string) []commonPrefix {
	out := make([]commonPrefix, len(prefixes))
	for i, p := range prefixes {
		out[i] = commonPrefix{enc(p)}
	}
	return out
}

// encoding is what encoding-type asks for keys and prefixes in an answer: XML 1.0 cannot hold every character.
func encoding(r *Request) func(string) string {
	if r.Query.Get("encoding-type") == "url" {
		return func(s string) string { return strings.ReplaceAll(url.QueryEscape(s), "%2F", "/") }
	}
	return func(s string) string { return s }
}
