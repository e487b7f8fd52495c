package auth

import (
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Lives of what a role gives, AWS's own bounds for sessions of roles.
const (
	minRoleTTL     = 15 * time.Minute
	maxRoleTTL     = 12 * time.Hour
	defaultRoleTTL = time.Hour
)

const (
	tenantClaim       = "claim:" // of Role.Tenant
	tenantPlaceholder = "${tenant}"
)

// Role says what the bearers of a foreign issuer's tokens may do, if their claims meet its conditions.
type Role struct {
	Name       string              // of a RoleArn: 1 to 64 of letters, digits and +=,.@_-
	Issuer     string              // of a ForeignIssuer
	Conditions map[string][]string // claim -> values, one of which it must have; * at a value's end stands for any rest
	Tenant     string              // a tenant's name, or "claim:NAME" for the claim that has it
	Scopes     []Scope             // "${tenant}" in a prefix is replaced
	MaxTTL     time.Duration       // 15 minutes to 12 hours; 0: one hour
}

var roleName = regexp.MustCompile(`^[A-Za-z0-9+=,.@_-]{1,64}$`)

// Check says what is wrong with one role.
func (r *Role) Check() error {
	if !roleName.MatchString(r.Name) {
		return fmt.Errorf("name %q: want 1 to 64 letters, digits and +=,.@_-", r.Name)
	}
	// Some providers serve the whole world: that anyone of an issuer is meant must be said, as `sub: "*"`.
	if len(r.Conditions) == 0 {
		return errors.New(`conditions: name at least one claim; sub: "*" is every token of the issuer`)
	}
	for claim, patterns := range r.Conditions {
		if claim == "" || len(patterns) == 0 {
			return fmt.Errorf("conditions: claim %q has no value to meet", claim)
		}
		for _, p := range patterns {
			if p == "" || strings.Contains(p[:len(p)-1], "*") {
				return fmt.Errorf("conditions: %s: %q: want a value, or a beginning and * at its end", claim, p)
			}
		}
	}
	if name, fromClaim := strings.CutPrefix(r.Tenant, tenantClaim); fromClaim && name == "" || !fromClaim && !tenantName.MatchString(r.Tenant) {
		return fmt.Errorf("tenant %q: want %s, or claim:NAME", r.Tenant, tenantRule)
	}
	if len(r.Scopes) == 0 {
		return errors.New("scope: name at least one")
	}
	for i, s := range withTenant(r.Scopes, "t") {
		if strings.Contains(s.Prefix, "$") {
			return fmt.Errorf("scope %d: prefix %q: %s is all that is replaced", i+1, r.Scopes[i].Prefix, tenantPlaceholder)
		}
		if err := s.check(false); err != nil {
			return fmt.Errorf("scope %d: %w", i+1, err)
		}
	}
	if r.MaxTTL != 0 && (r.MaxTTL < minRoleTTL || r.MaxTTL > maxRoleTTL) {
		return fmt.Errorf("max_ttl: %s is not within %s to %s", r.MaxTTL, minRoleTTL, maxRoleTTL)
	}
	return nil
}

func (r *Role) maxTTL() time.Duration {
	if r.MaxTTL == 0 {
		return defaultRoleTTL
	}
	return r.MaxTTL
}

// admits says why a token does not get the role, or nil.
func (r *Role) admits(t *foreignToken) error {
	if t.issuer != r.Issuer {
		return errors.New("the role is not for tokens of its issuer")
	}
	for claim, patterns := range r.Conditions {
		if !slices.ContainsFunc(claimValues(t.claims[claim]), func(value string) bool { return meets(value, patterns) }) {
			return fmt.Errorf("its claim %q does not meet the role's condition", claim)
		}
	}
	return nil
}

// identity is who a token is under a role that admits it.
func (r *Role) identity(t *foreignToken) (*Identity, error) {
	tenant, err := r.tenant(t)
	if err != nil {
		return nil, err
	}
	return &Identity{TokenID: t.id, Tenant: tenant, Subject: r.Name + "/" + t.subject, Class: ClassBearer,
		Scopes: withTenant(r.Scopes, tenant), IssuedAt: t.issuedAt, ExpiresAt: t.expiresAt}, nil
}

// tenant takes a claim as it is, or not at all: to mend it would give two claims one tenant.
func (r *Role) tenant(t *foreignToken) (string, error) {
	claim, fromClaim := strings.CutPrefix(r.Tenant, tenantClaim)
	if !fromClaim {
		return r.Tenant, nil
	}
	name, _ := t.claims[claim].(string)
	if !tenantName.MatchString(name) {
		return "", fmt.Errorf("%w: its claim %q is no tenant's name: want %s", ErrToken, claim, tenantRule)
	}
	return name, nil
}

// withTenant copies scopes for one tenant. The name holds no slash and no dot, so that a prefix stays where it is.
func withTenant(scopes []Scope, tenant string) []Scope {
	out := slices.Clone(scopes)
	for i := range out {
		out[i].Prefix = strings.ReplaceAll(out[i].Prefix, tenantPlaceholder, tenant)
	}
	return out
}

// claimValues are the texts of a claim that a condition can meet: itself, or each element of a list. An object has none.
func claimValues(claim any) []string {
	switch v := claim.(type) {
	case string:
		return []string{v}
	case bool:
		return []string{strconv.FormatBool(v)}
	case json.Number:
		return []string{v.String()}
	case []any:
		var all []string
		for _, element := range v {
			if _, nested := element.([]any); !nested {
				all = append(all, claimValues(element)...)
			}
		}
		return all
	}
	return nil
}

// meets compares to the letter. An empty value meets nothing.
func meets(value string, patterns []string) bool {
	return value != "" && slices.ContainsFunc(patterns, func(p string) bool {
		if beginning, glob := strings.CutSuffix(p, "*"); glob {
			return strings.HasPrefix(value, beginning)
		}
		return value == p
	})
}
