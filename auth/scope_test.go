package auth

import (
	"errors"
	"path"
	"reflect"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func TestAuthorize(t *testing.T) {
	tenant := &Identity{Scopes: []Scope{
		{Bucket: "uploads", Prefix: "acme", Actions: []string{"s3:PutObject", "s3:ListBucket"}},
		{Bucket: "uploads", Prefix: "shared/in/", Actions: []string{"s3:*"}},
		{Bucket: "own", Actions: []string{"s3:*"}},
		{Bucket: "*", Actions: []string{"s3:GetObject"}}, // not an operator's: worth nothing
	}}
	for _, c := range []struct {
		name, action, bucket, key string
		want                      error
	}{
		{"inside", "s3:PutObject", "uploads", "acme/x", nil},
		{"the prefix with its slash", "s3:PutObject", "uploads", "acme/", nil},
		{"the prefix as a key", "s3:PutObject", "uploads", "acme", ErrAccessDenied},
		{"half a segment", "s3:PutObject", "uploads", "acme2/x", ErrAccessDenied},
		{"outside", "s3:PutObject", "uploads", "x", ErrAccessDenied},
		{"other action", "s3:GetObject", "uploads", "acme/x", ErrAccessDenied},
		{"other case of the action", "s3:putobject", "uploads", "acme/x", ErrAccessDenied},
		{"other bucket", "s3:PutObject", "uploads2", "acme/x", ErrAccessDenied},
		{"every action", "s3:GetObject", "uploads", "shared/in/x", nil},
		{"whole bucket", "s3:DeleteObject", "own", "x/y", nil},
		{"every bucket", "s3:GetObject", "foreign", "x", ErrAccessDenied},
		{"the bucket called *", "s3:GetObject", "*", "x", ErrAccessDenied},
		{"list of a part of the bucket", "s3:ListBucket", "uploads", "", nil},
		{"delete the bucket that a part is granted of", "s3:DeleteBucket", "uploads", "", ErrAccessDenied},
		{"policy of the bucket that a part is granted of", "s3:PutBucketPolicy", "uploads", "", ErrAccessDenied},
		{"delete the whole bucket that is granted", "s3:DeleteBucket", "own", "", nil},
		{"a way out", "s3:PutObject", "uploads", "acme/../other/x", ErrBadKey},
		{"too long", "s3:PutObject", "uploads", "acme/" + strings.Repeat("x", 1020), ErrKeyTooLong},
	} {
		t.Run(c.name, func(t *testing.T) {
			s, err := tenant.Authorize(c.action, c.bucket, c.key)
			if !errors.Is(err, c.want) || (s == nil) != (c.want != nil) {
				t.Fatalf("%+v, %v; want %v", s, err, c.want)
			}
			if errors.Is(c.want, ErrAccessDenied) && !strings.Contains(err.Error(), "s3:PutObject, s3:ListBucket on uploads/acme/") {
				t.Errorf("%q does not say what is allowed", err)
			}
		})
	}
	operator := &Identity{Operator: true, Scopes: []Scope{{Bucket: "*", Actions: []string{"s3:*"}}}}
	if _, err := operator.Authorize("s3:DeleteBucket", "any", ""); err != nil {
		t.Errorf("operator: %v", err)
	}
}

// In whatever order they stand, the scope with the longest prefix is the one whose limits count.
func TestNarrowestScopeCounts(t *testing.T) {
	wide := Scope{Bucket: "uploads", Prefix: "acme", Actions: []string{"s3:*"}}
	narrow := Scope{Bucket: "uploads", Prefix: "acme/in", Actions: []string{"s3:PutObject"}, MaxObjectBytes: 7}
	for name, scopes := range map[string][]Scope{"narrow first": {narrow, wide}, "wide first": {wide, narrow}} {
		id := &Identity{Scopes: scopes}
		for key, want := range map[string]int64{"acme/in/x": 7, "acme/inside": 0} {
			if s, err := id.Authorize("s3:PutObject", "uploads", key); err != nil || s.MaxObjectBytes != want {
				t.Errorf("%s: %s: %+v, %v; want a limit of %d", name, key, s, err, want)
			}
		}
		if s, err := id.Authorize("s3:GetObject", "uploads", "acme/in/x"); err != nil || s.MaxObjectBytes != 0 {
			t.Errorf("%s: an action that the narrow one does not have: %+v, %v", name, s, err)
		}
	}
}

func TestPrefixesAndBuckets(t *testing.T) {
	id := &Identity{Scopes: []Scope{
		{Bucket: "b", Prefix: "z", Actions: []string{"s3:*"}},
		{Bucket: "b", Prefix: "a/x/", Actions: []string{"s3:ListBucket"}},
		{Bucket: "b", Prefix: "a", Actions: []string{"s3:ListBucket"}},
		{Bucket: "b", Prefix: "ab", Actions: []string{"s3:ListBucket", "s3:GetObject"}},
		{Bucket: "a", Actions: []string{"s3:GetObject"}},
	}}
	for _, c := range []struct {
		action, bucket string
		want           []string
	}{
		{"s3:ListBucket", "b", []string{"a/", "ab/", "z/"}},
		{"s3:GetObject", "b", []string{"ab/", "z/"}},
		{"s3:GetObject", "a", []string{""}},
		{"s3:ListBucket", "a", nil},
	} {
		if got := id.Prefixes(c.action, c.bucket); !reflect.DeepEqual(got, c.want) {
			t.Errorf("%s in %s: %q, want %q", c.action, c.bucket, got, c.want)
		}
	}
	if names, all := id.Buckets(); !slices.Equal(names, []string{"a", "b"}) || all {
		t.Errorf("buckets %q, %v", names, all)
	}
	id.Scopes = []Scope{{Bucket: "*", Actions: []string{"s3:*"}}}
	if names, all := id.Buckets(); names != nil || all {
		t.Errorf("every bucket of a tenant: %q, %v", names, all)
	}
	id.Operator = true
	if _, all := id.Buckets(); !all {
		t.Error("an operator's * is not every bucket")
	}
}

// Whatever key is allowed, storage that cleans paths must find it inside the prefix too.
func TestAllowedKeysStayInside(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		segment := rapid.SampledFrom([]string{"a", "b", "ab", ".", "..", "", "...", "a.", "\n", "\x00", "\xff", "é"})
		prefix := strings.Join(rapid.SliceOfN(rapid.SampledFrom([]string{"a", "b", "ab"}), 0, 3).Draw(t, "prefix"), "/")
		key := strings.Join(rapid.SliceOfN(segment, 1, 6).Draw(t, "key"), "/")
		id := &Identity{Scopes: []Scope{{Bucket: "b", Prefix: prefix, Actions: []string{"s3:PutObject"}}}}
		_, err := id.Authorize("s3:PutObject", "b", key)
		if key == "" {
			return
		}
		if err != nil {
			// The refusal is never for nothing.
			if ValidKey(key) == nil && (prefix == "" || strings.HasPrefix(key, prefix+"/")) {
				t.Fatalf("%q under %q: %v", key, prefix, err)
			}
			return
		}
		cleaned := strings.TrimPrefix(path.Clean("/"+key), "/")
		if prefix != "" && cleaned != prefix && !strings.HasPrefix(cleaned, prefix+"/") {
			t.Fatalf("%q under %q is stored as %q", key, prefix, cleaned)
		}
		if !slices.ContainsFunc(id.Prefixes("s3:PutObject", "b"), func(p string) bool { return strings.HasPrefix(key, p) }) {
			t.Fatalf("%q is allowed and in none of Prefixes", key)
		}
	})
}

func TestValidKey(t *testing.T) {
	for _, c := range []struct {
		name, key string
		want      error
	}{
		{"plain", "a/b c/é.txt", nil},
		{"dots inside a segment", "a/..b/c../.d/...", nil},
		{"empty segments", "/a//b/", nil},
		{"1024 bytes", strings.Repeat("é", 512), nil},
		{"1025 bytes", strings.Repeat("é", 512) + "x", ErrKeyTooLong},
		{"empty", "", ErrBadKey},
		{"dot", ".", ErrBadKey},
		{"dot dot", "a/..", ErrBadKey},
		{"dot dot first", "../a", ErrBadKey},
		{"dot in the middle", "a/./b", ErrBadKey},
		{"NUL", "a\x00b", ErrBadKey},
		{"CR", "a\rb", ErrBadKey},
		{"LF", "a\nb", ErrBadKey},
		{"bad UTF-8", "a\xffb", ErrBadKey},
		{"overlong slash", "a/..\xc0\xaf", ErrBadKey},
		{"surrogate", "\xed\xa0\x80", ErrBadKey},
	} {
		t.Run(c.name, func(t *testing.T) {
			if err := ValidKey(c.key); !errors.Is(err, c.want) {
				t.Errorf("%v, want %v", err, c.want)
			}
		})
	}
}
