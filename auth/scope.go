package auth

import (
	"fmt"
	"slices"
	"strings"
)

// Scope is one grant: actions, in S3's own names with the "s3:" prefix, on the keys of one bucket under one prefix.
type Scope struct {
	Bucket         string            `json:"bucket"`  // "*" for every bucket: operators only
	Prefix         string            `json:"prefix"`  // whole path segments; "" for the whole bucket
	Actions        []string          `json:"actions"` // "s3:PutObject", ...; "s3:*" for all
	MaxObjectBytes int64             `json:"max_object_bytes,omitempty"`
	MaxPartBytes   int64             `json:"max_part_bytes,omitempty"`   // also what a part of undeclared length counts as; at most 5 GiB
	MaxTenantBytes int64             `json:"max_tenant_bytes,omitempty"` // per period, in place of the configured limit; of the tenant, under whatever token
	MaxOpenUploads int               `json:"max_open_uploads,omitempty"`
	Transfer       []string          `json:"transfer,omitempty"` // roads this scope may take, of redirect, relay, sign; empty: all
	Resume         bool              `json:"resume,omitempty"`
	NoOverwrite    bool              `json:"no_overwrite,omitempty"`
	ForceHeaders   map[string]string `json:"force_headers,omitempty"`
}

const (
	anyBucket = "*"
	anyAction = "s3:*"
)

// namesOnly are the actions on a bucket that a scope on part of it allows too: the gateway narrows their answers to the
// prefix. Every other action on the bucket itself changes or shows what belongs to its other tenants.
var namesOnly = []string{"s3:ListBucket", "s3:ListBucketVersions", "s3:ListBucketMultipartUploads", "s3:GetBucketLocation"}

// Authorize returns the scope that allows the action on bucket and key (decoded; "" for actions on the bucket itself), the one with the
// longest prefix where there are several, so that the limits of a narrow one hold inside a wide one; else an error that wraps ErrAccessDenied and names what the token does allow. ErrBadKey and ErrKeyTooLong
// come first, from ValidKey.
//
// An action on the bucket itself needs a scope on the whole bucket, except for lists and GetBucketLocation.
func (id *Identity) Authorize(action, bucket, key string) (*Scope, error) {
	if key != "" {
		if err := ValidKey(key); err != nil {
			return nil, err
		}
	}
	var found *Scope
	for i := range id.Scopes {
		s := &id.Scopes[i]
		if !id.allows(s, action, bucket) || found != nil && len(s.KeyPrefix()) <= len(found.KeyPrefix()) {
			continue
		}
		if strings.HasPrefix(key, s.KeyPrefix()) || key == "" && slices.Contains(namesOnly, action) {
			found = s
		}
	}
	if found != nil {
		return found, nil
	}
	return nil, fmt.Errorf("%w: %s is not allowed here; this token allows %s", ErrAccessDenied, action, id.summary())
}

// Prefixes returns under which prefixes of bucket the action is allowed, sorted, each ending in "/" or "" for the whole
// bucket, those inside another left out. nil if it is allowed nowhere.
func (id *Identity) Prefixes(action, bucket string) []string {
	var all []string
	for i := range id.Scopes {
		if s := &id.Scopes[i]; id.allows(s, action, bucket) {
			all = append(all, s.KeyPrefix())
		}
	}
	slices.Sort(all)
	// Sorted, a prefix stands right before everything that it contains.
	outer := all[:0]
	for _, p := range all {
		if len(outer) == 0 || !strings.HasPrefix(p, outer[len(outer)-1]) {
			outer = append(outer, p)
		}
	}
	return outer
}

// Buckets returns the names of the buckets in the scopes, sorted; all says that every bucket is meant.
func (id *Identity) Buckets() (names []string, all bool) {
	for _, s := range id.Scopes {
		if s.Bucket == anyBucket {
			all = all || id.Operator
			continue
		}
		names = append(names, s.Bucket)
	}
	slices.Sort(names)
	return slices.Compact(names), all
}

// allows leaves the key aside. "*" counts for operators only, whatever a token says.
func (id *Identity) allows(s *Scope, action, bucket string) bool {
	if s.Bucket == anyBucket && !id.Operator || s.Bucket != anyBucket && s.Bucket != bucket {
		return false
	}
	return slices.Contains(s.Actions, action) || slices.Contains(s.Actions, anyAction)
}

// KeyPrefix is s.Prefix with the slash that ends its last segment.
func (s *Scope) KeyPrefix() string {
	if s.Prefix == "" || strings.HasSuffix(s.Prefix, "/") {
		return s.Prefix
	}
	return s.Prefix + "/"
}

// summary says what the token allows, for its holder to read; cut short after a few scopes.
func (id *Identity) summary() string {
	const shown = 8
	var parts []string
	for i := range id.Scopes[:min(len(id.Scopes), shown)] {
		s := &id.Scopes[i]
		parts = append(parts, strings.Join(s.Actions, ", ")+" on "+s.Bucket+"/"+s.KeyPrefix())
	}
	if more := len(id.Scopes) - shown; more > 0 {
		parts = append(parts, fmt.Sprintf("%d more", more))
	}
	return strings.Join(parts, "; ")
}
