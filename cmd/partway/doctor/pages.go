package doctor

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"partway/auth/sigv4"
	"partway/proxy/storage"
)

// Pages that send parts by signed URLs need a CORS rule at the storage: for PUT, with the headers that they declare checksums in, and with the ETag to
// be read from the answer.

var pageHeaders = []string{"content-type", "x-amz-checksum-crc64nvme"}

// pages tries what a browser would, for each origin.
func (x *examination) pages(ctx context.Context) {
	for _, origin := range x.Origins {
		lacks := x.lacks(ctx, origin)
		if lacks != "" && x.Fix {
			if err := x.setRule(ctx); err != nil {
				do := "add this rule to those of the bucket: " + x.rule()
				if errors.Is(err, storage.ErrNoCORSRules) {
					do = "let the origin in where the storage lists them for all its buckets; MinIO: MINIO_API_CORS_ALLOW_ORIGIN"
				}
				x.say(Fail, "pages of "+origin, lacks+"; the rule was not set: "+err.Error(), do)
				continue
			}
			if lacks = x.lacks(ctx, origin); lacks == "" {
				x.say(OK, "pages of "+origin, "the bucket's CORS rule was set, and lets them send", "")
				continue
			}
		}
		if lacks != "" {
			x.say(Fail, "pages of "+origin, lacks, "give the bucket this CORS rule, or run with --fix: "+x.rule())
			continue
		}
		x.say(OK, "pages of "+origin, "may send parts, and read the ETag", "")
	}
}

// lacks says what keeps a page of origin from sending a part; "" if nothing does.
func (x *examination) lacks(ctx context.Context, origin string) string {
	c := x.own.call(http.MethodPut, "page")
	from := []sigv4.Header{{Name: "Origin", Value: origin}}
	a, err := x.follow(ctx, c, nil, from, func(r *http.Request) {
		r.Method = http.MethodOptions
		r.Header.Set("Access-Control-Request-Method", http.MethodPut)
		r.Header.Set("Access-Control-Request-Headers", strings.Join(pageHeaders, ","))
	})
	switch {
	case err != nil:
		return err.Error()
	case !a.ok() || !allows(a, origin):
		return fmt.Sprintf("a preflight is answered %s, for origin %q", a, a.header.Get("Access-Control-Allow-Origin"))
	case !holds(a.header.Get("Access-Control-Allow-Methods"), "put"):
		return "PUT is not among the methods"
	}
	for _, name := range pageHeaders {
		if !holds(a.header.Get("Access-Control-Allow-Headers"), name) {
			return name + " is not among the headers"
		}
	}
	a, err = x.follow(ctx, c, []byte("page"), from, nil)
	switch {
	case err != nil:
		return err.Error()
	case !a.ok():
		return "PutObject: " + a.String()
	case !allows(a, origin):
		return "the answer to a PUT does not allow the origin"
	case !holds(a.header.Get("Access-Control-Expose-Headers"), "etag"):
		return "the ETag of a part is not exposed"
	}
	return ""
}

func allows(a *answer, origin string) bool {
	got := a.header.Get("Access-Control-Allow-Origin")
	return got == origin || got == "*"
}

// holds reports whether a comma-separated list has the name, in any case of letters, or "*".
func holds(list, name string) bool {
	for item := range strings.SplitSeq(list, ",") {
		if item = strings.TrimSpace(item); item == "*" || strings.EqualFold(item, name) {
			return true
		}
	}
	return false
}

// setRule gives the bucket the rule if it has none. Rules that somebody else made are theirs to change.
func (x *examination) setRule(ctx context.Context) error {
	a, err := x.ask(ctx, &storage.Call{Method: http.MethodGet, Bucket: x.bucket, Query: []storage.Param{{Name: "cors"}}, ContentLength: -1}, nil)
	switch {
	case err != nil:
		return err
	case a.ok():
		return errors.New("the bucket has CORS rules already")
	case a.status != http.StatusNotFound:
		return fmt.Errorf("reading the bucket's CORS rules: %s", a)
	}
	return x.Backend.PutCORS(ctx, x.bucket, x.Origins)
}

// rule is what aws s3api put-bucket-cors takes.
func (x *examination) rule() string {
	return fmt.Sprintf(`{"CORSRules":[{"AllowedOrigins":["%s"],"AllowedMethods":["PUT","GET","HEAD"],"AllowedHeaders":["*"],"ExposeHeaders":["ETag"],"MaxAgeSeconds":3600}]}`,
		strings.Join(x.Origins, `","`))
}
