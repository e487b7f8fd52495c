package auth

import (
	"fmt"
	"slices"
	"strings"
)

// narrow intersects scopes with the policy: what is left is allowed by both. A wide scope and a narrow one may be left with one prefix, where
// the first counts: what is left of the narrow one comes first, so that the limits which held before hold still.
func (p *Policy) narrow(scopes []Scope) ([]Scope, error) {
	inner := slices.Clone(scopes)
	slices.SortStableFunc(inner, func(a, b Scope) int { return len(b.KeyPrefix()) - len(a.KeyPrefix()) })
	var left []Scope
	for i := range inner {
		for _, st := range p.statements {
			for _, r := range st.resources {
				s, some, err := r.within(&inner[i], st.actions)
				if err != nil {
					return nil, fmt.Errorf("%w: %w", ErrPolicy, err)
				}
				if some && !slices.ContainsFunc(left, func(other Scope) bool { return sameGrant(&s, &other) }) {
					left = append(left, s)
				}
			}
		}
	}
	if len(left) == 0 {
		return nil, fmt.Errorf("%w: it leaves nothing of what the role allows", ErrPolicy)
	}
	return left, nil
}

// within is what a statement on r leaves of a scope. Some is false if that is nothing.
//
// As in every scope, lists are an action on a prefix here, and see what is under it. On a bucket itself a statement
// allows lists and its location alone.
func (r resource) within(s *Scope, actions []string) (left Scope, some bool, err error) {
	if s.Bucket != r.bucket {
		return Scope{}, false, nil
	}
	left = *s
	if r.itself {
		left.Actions = commonActions(commonActions(s.Actions, actions), namesOnly)
		return left, len(left.Actions) > 0, nil
	}
	left.Actions = commonActions(s.Actions, actions)
	switch own := s.KeyPrefix(); {
	case len(left.Actions) == 0:
		return Scope{}, false, nil
	case own == "" && r.prefix == "" && slices.Contains(left.Actions, anyAction):
		// A scope with both would allow what is done to the bucket itself, of which the statement says nothing.
		return Scope{}, false, fmt.Errorf("resource %s%s/*: name the actions in place of s3:*", s3ARN, r.bucket)
	case strings.HasPrefix(own, r.prefix):
		return left, true, nil
	case !strings.HasPrefix(r.prefix, own):
		return Scope{}, false, nil
	case !strings.HasSuffix(r.prefix, "/"):
		return Scope{}, false, fmt.Errorf("resource %s%s/%s*: a prefix must end with a slash before the *", s3ARN, r.bucket, r.prefix)
	}
	left.Prefix = r.prefix
	return left, true, checkPrefix(left.Prefix)
}

// commonActions keeps the order of a, or that of b where a has all.
func commonActions(a, b []string) []string {
	if slices.Contains(b, anyAction) {
		return a
	}
	if slices.Contains(a, anyAction) {
		return b
	}
	var both []string
	for _, action := range a {
		if slices.Contains(b, action) {
			both = append(both, action)
		}
	}
	return both
}

// sameGrant compares what narrow changes.
func sameGrant(a, b *Scope) bool {
	return a.Bucket == b.Bucket && a.Prefix == b.Prefix && slices.Equal(a.Actions, b.Actions)
}
