package auth

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// policyOf is a policy of one statement.
func policyOf(actions, resources string) string {
	return `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":` + actions + `,"Resource":` + resources + `}]}`
}

func TestParsePolicy(t *testing.T) {
	const inbox = `"arn:aws:s3:::uploads/acme/in/*"`
	statement := func(s string) string { return `{"Version":"2012-10-17","Statement":` + s + `}` }
	for _, c := range []struct {
		name, text string
		want       error
	}{
		{"one", policyOf(`"s3:PutObject"`, inbox), nil},
		{"lists", policyOf(`["s3:PutObject","s3:GetObject"]`, `[`+inbox+`,"arn:aws:s3:::uploads"]`), nil},
		{"all actions", policyOf(`"s3:*"`, inbox), nil},
		{"names", statement(`{"Sid":"a","Effect":"Allow","Action":"s3:GetObject","Resource":` + inbox + `}`), nil},
		{"id", `{"Id":"x",` + policyOf(`"s3:GetObject"`, inbox)[1:], nil},
		{"white space", " \n" + policyOf(`"s3:GetObject"`, inbox) + "\n", nil},

		{"empty", "", ErrPolicy},
		{"no JSON", "allow all", ErrPolicy},
		{"null", "null", ErrPolicy},
		{"list", "[]", ErrPolicy},
		{"cut off", strings.TrimSuffix(policyOf(`"s3:GetObject"`, inbox), "}"), ErrPolicy},
		{"something follows", policyOf(`"s3:GetObject"`, inbox) + "{}", ErrPolicy},
		{"no version", `{"Statement":[{"Effect":"Allow","Action":"s3:*","Resource":` + inbox + `}]}`, ErrPolicy},
		{"other version", strings.Replace(policyOf(`"s3:*"`, inbox), "2012-10-17", "2008-10-17", 1), ErrPolicy},
		{"no statement", statement(`[]`), ErrPolicy},
		{"statement null", statement(`[null]`), ErrPolicy},
		{"deny", strings.Replace(policyOf(`"s3:*"`, inbox), "Allow", "Deny", 1), ErrPolicy},
		{"deny among others", statement(`[{"Effect":"Allow","Action":"s3:*","Resource":` + inbox + `},{"Effect":"Deny","Action":"s3:GetObject","Resource":` + inbox + `}]`), ErrPolicy},
		{"no effect", statement(`[{"Action":"s3:*","Resource":` + inbox + `}]`), ErrPolicy},
		{"effect in another case", strings.Replace(policyOf(`"s3:*"`, inbox), "Allow", "allow", 1), ErrPolicy},
		{"condition", statement(`[{"Effect":"Allow","Action":"s3:*","Resource":` + inbox + `,"Condition":{"Bool":{"aws:SecureTransport":"true"}}}]`), ErrPolicy},
		{"NotAction", statement(`[{"Effect":"Allow","NotAction":"s3:GetObject","Resource":` + inbox + `}]`), ErrPolicy},
		{"NotResource", statement(`[{"Effect":"Allow","Action":"s3:*","NotResource":` + inbox + `}]`), ErrPolicy},
		{"Principal", statement(`[{"Effect":"Allow","Principal":"*","Action":"s3:*","Resource":` + inbox + `}]`), ErrPolicy},
		{"key in another case", statement(`[{"Effect":"Allow","action":"s3:*","Resource":` + inbox + `}]`), ErrPolicy},
		{"key twice", statement(`[{"Effect":"Allow","Action":"s3:GetObject","Action":"s3:*","Resource":` + inbox + `}]`), ErrPolicy},
		{"Statement twice", `{"Version":"2012-10-17","Statement":[],` + policyOf(`"s3:*"`, inbox)[1:], ErrPolicy},
		{"no action", policyOf(`[]`, inbox), ErrPolicy},
		{"action null", policyOf(`[null]`, inbox), ErrPolicy},
		{"action number", policyOf(`1`, inbox), ErrPolicy},
		{"every action of all services", policyOf(`"*"`, inbox), ErrPolicy},
		{"action of another service", policyOf(`"iam:PassRole"`, inbox), ErrPolicy},
		{"wildcard in an action", policyOf(`"s3:Get*"`, inbox), ErrPolicy},
		{"one-letter wildcard", policyOf(`"s3:GetObjec?"`, inbox), ErrPolicy},
		{"action without a name", policyOf(`"s3:"`, inbox), ErrPolicy},
		{"every resource", policyOf(`"s3:*"`, `"*"`), ErrPolicy},
		{"every bucket", policyOf(`"s3:*"`, `"arn:aws:s3:::*"`), ErrPolicy},
		{"every bucket's keys", policyOf(`"s3:*"`, `"arn:aws:s3:::*/*"`), ErrPolicy},
		{"one key", policyOf(`"s3:*"`, `"arn:aws:s3:::uploads/acme/in/x"`), ErrPolicy},
		{"wildcard in the middle", policyOf(`"s3:*"`, `"arn:aws:s3:::uploads/*/in/*"`), ErrPolicy},
		{"two wildcards", policyOf(`"s3:*"`, `"arn:aws:s3:::uploads/in/**"`), ErrPolicy},
		{"variable", policyOf(`"s3:*"`, `"arn:aws:s3:::uploads/${aws:userid}/*"`), ErrPolicy},
		{"bucket by beginning", policyOf(`"s3:*"`, `"arn:aws:s3:::up*"`), ErrPolicy},
		{"region in the ARN", policyOf(`"s3:*"`, `"arn:aws:s3:us-east-1::uploads/*"`), ErrPolicy},
		{"other partition", policyOf(`"s3:*"`, `"arn:aws-cn:s3:::uploads/*"`), ErrPolicy},
		{"too large", policyOf(`"s3:*"`, `"arn:aws:s3:::uploads/`+strings.Repeat("a", maxPolicyBytes)+`/*"`), ErrPolicyTooLarge},
	} {
		t.Run(c.name, func(t *testing.T) {
			if p, err := ParsePolicy(c.text); !errors.Is(err, c.want) || (p == nil) != (err != nil) {
				t.Errorf("%+v, %v; want %v", p, err, c.want)
			}
		})
	}
}

func TestPolicyNarrows(t *testing.T) {
	role := []Scope{
		{Bucket: "uploads", Prefix: "acme", Actions: []string{"s3:PutObject", "s3:GetObject", "s3:ListBucket"}, MaxObjectBytes: 7, NoOverwrite: true},
		{Bucket: "uploads", Prefix: "acme/in", Actions: []string{"s3:*"}, MaxObjectBytes: 5},
		{Bucket: "archive", Actions: []string{"s3:GetObject", "s3:ListBucket"}},
	}
	for _, c := range []struct {
		name, actions, resources string
		want                     string // bucket/prefix:actions of each scope that is left; "": refused
	}{
		{"one action", `"s3:PutObject"`, `"arn:aws:s3:::uploads/acme/*"`, "uploads/acme/in:s3:PutObject uploads/acme:s3:PutObject"},
		{"all actions", `"s3:*"`, `"arn:aws:s3:::uploads/acme/*"`, "uploads/acme/in:s3:* uploads/acme:s3:PutObject,s3:GetObject,s3:ListBucket"},
		{"all of the bucket", `"s3:GetObject"`, `"arn:aws:s3:::uploads/*"`, "uploads/acme/in:s3:GetObject uploads/acme:s3:GetObject"},
		{"the beginning of a segment around the scope", `"s3:GetObject"`, `"arn:aws:s3:::uploads/ac*"`, "uploads/acme/in:s3:GetObject uploads/acme:s3:GetObject"},
		{"inside both", `"s3:GetObject"`, `"arn:aws:s3:::uploads/acme/in/today/*"`, "uploads/acme/in/today/:s3:GetObject"},
		{"beside one", `"s3:GetObject"`, `"arn:aws:s3:::uploads/acme/out/*"`, "uploads/acme/out/:s3:GetObject"},
		{"another bucket too", `"s3:GetObject"`, `["arn:aws:s3:::archive/*","arn:aws:s3:::elsewhere/*"]`, "archive/:s3:GetObject"},
		{"a bucket itself", `"s3:*"`, `"arn:aws:s3:::uploads"`,
			"uploads/acme/in:s3:ListBucket,s3:ListBucketVersions,s3:ListBucketMultipartUploads,s3:GetBucketLocation uploads/acme:s3:ListBucket"},
		{"objects of a bucket itself", `"s3:GetObject"`, `"arn:aws:s3:::uploads"`, ""},
		{"another tenant", `"s3:*"`, `"arn:aws:s3:::uploads/other/*"`, ""},
		{"a tenant that begins alike", `"s3:*"`, `"arn:aws:s3:::uploads/acme2/*"`, ""},
		{"another bucket", `"s3:*"`, `"arn:aws:s3:::elsewhere/*"`, ""},
		{"an action that the role has not", `"s3:DeleteObject"`, `"arn:aws:s3:::archive/*"`, ""},
		{"the beginning of a segment inside the scope", `"s3:GetObject"`, `"arn:aws:s3:::uploads/acme/i*"`, ""},
		{"a prefix that storage would resolve", `"s3:GetObject"`, `"arn:aws:s3:::uploads/acme/../other/*"`, ""},
		{"an empty segment", `"s3:GetObject"`, `"arn:aws:s3:::uploads/acme//*"`, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			p, err := ParsePolicy(policyOf(c.actions, c.resources))
			if err != nil {
				t.Fatal(err)
			}
			left, err := p.narrow(role)
			if c.want == "" {
				if !errors.Is(err, ErrPolicy) {
					t.Errorf("%+v, %v", left, err)
				}
				return
			}
			var got []string
			for _, s := range left {
				got = append(got, s.Bucket+"/"+s.Prefix+":"+strings.Join(s.Actions, ","))
			}
			if err != nil || strings.Join(got, " ") != c.want {
				t.Errorf("%q, %v; want %q", got, err, c.want)
			}
			for _, s := range left {
				wide := s.MaxObjectBytes == 7 && s.NoOverwrite && !strings.HasPrefix(s.Prefix, "acme/in")
				narrow := s.MaxObjectBytes == 5 && !s.NoOverwrite && strings.HasPrefix(s.Prefix, "acme/in")
				if s.Bucket == "uploads" && !wide && !narrow {
					t.Errorf("limits of another scope, or of none: %+v", s)
				}
			}
		})
	}
	whole := []Scope{{Bucket: "uploads", Actions: []string{"s3:*"}}}
	if p, err := ParsePolicy(policyOf(`"s3:*"`, `"arn:aws:s3:::uploads/*"`)); err != nil {
		t.Error(err)
	} else if left, err := p.narrow(whole); !errors.Is(err, ErrPolicy) {
		t.Errorf("a statement on keys allows what is done to the bucket: %+v, %v", left, err)
	}
}

// What is left is allowed by the role and by the policy, with the limits of the scope that allowed it before.
func TestPolicyIsAnIntersection(t *testing.T) {
	bucket := rapid.SampledFrom([]string{"uploads", "archive"})
	prefix := rapid.SampledFrom([]string{"", "a/", "a/b/", "a/bc/", "ab/", "b/"})
	action := rapid.SampledFrom([]string{"s3:*", "s3:PutObject", "s3:GetObject"})
	key := rapid.SampledFrom([]string{"x", "a/x", "a/b/x", "a/bc/x", "ab/x", "b/x", "a/b"})
	rapid.Check(t, func(t *rapid.T) {
		var scopes []Scope
		for i := range rapid.IntRange(1, 3).Draw(t, "scopes") {
			scopes = append(scopes, Scope{Bucket: bucket.Draw(t, "bucket"), Prefix: prefix.Draw(t, "prefix"),
				Actions: rapid.SliceOfN(action, 1, 2).Draw(t, "actions"), MaxObjectBytes: int64(i + 1)})
		}
		type piece struct {
			Effect           string
			Action, Resource []string
		}
		var pieces []piece
		for range rapid.IntRange(1, 3).Draw(t, "statements") {
			pieces = append(pieces, piece{"Allow", rapid.SliceOfN(action, 1, 2).Draw(t, "actions"),
				[]string{s3ARN + bucket.Draw(t, "bucket") + "/" + rapid.SampledFrom([]string{"", "a", "a/", "a/b", "a/b/", "ab/"}).Draw(t, "prefix") + "*"}})
		}
		text, err := json.Marshal(map[string]any{"Version": policyVersion, "Statement": pieces})
		if err != nil {
			t.Fatal(err)
		}
		p, err := ParsePolicy(string(text))
		if err != nil {
			t.Fatal(err)
		}
		left, err := p.narrow(scopes)
		if err != nil {
			return // refused: nothing is given
		}
		b, k, a := bucket.Draw(t, "bucket"), key.Draw(t, "key"), rapid.SampledFrom([]string{"s3:PutObject", "s3:GetObject", "s3:DeleteObject"}).Draw(t, "action")
		before, errBefore := (&Identity{Scopes: scopes}).Authorize(a, b, k)
		after, errAfter := (&Identity{Scopes: left}).Authorize(a, b, k)
		allowed := slices.ContainsFunc(pieces, func(s piece) bool {
			return (slices.Contains(s.Action, a) || slices.Contains(s.Action, "s3:*")) && slices.ContainsFunc(s.Resource, func(r string) bool {
				return strings.HasPrefix(s3ARN+b+"/"+k, strings.TrimSuffix(r, "*"))
			})
		})
		if want := errBefore == nil && allowed; want != (errAfter == nil) {
			t.Fatalf("%s on %s/%s: role %v, policy %v, together %v\n%s", a, b, k, errBefore == nil, allowed, errAfter == nil, fmt.Sprint(left))
		}
		if errAfter == nil && before.MaxObjectBytes != after.MaxObjectBytes {
			t.Fatalf("%s on %s/%s: limits of another scope", a, b, k)
		}
	})
}
