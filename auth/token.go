package auth

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"partway/auth/sigv4"
)

const (
	maxKeyTokenBytes    = 2 << 10 // nginx in front fails at 8 KB of header or URL, which carry it and more
	maxBearerTokenBytes = 8 << 10
	// clockLeeway forgives an issuer whose clock is ahead. An expiry is never stretched.
	clockLeeway = 30 * time.Second
)

// claims of a token: the registered ones and ours, all required but op and addresses.
type claims struct {
	jwt.RegisteredClaims
	Use      Class   `json:"use"`
	Tenant   string  `json:"tenant"`
	Scope    []Scope `json:"scope"`
	Master   int     `json:"mk"`
	Operator bool    `json:"op,omitempty"`

	Addresses []string `json:"addresses,omitempty"` // prefixes (CIDR) that it may be used from

	kid string // of the header
}

// verifiedToken is a token whose signature and claims held once. Expiry and revocation are checked at every use.
type verifiedToken struct {
	id     *Identity
	secret string         // secret access key; "" for a bearer
	keys   sigv4.KeyCache // the day's key of secret
}

func maxTokenBytes(c Class) int {
	if c == ClassKey {
		return maxKeyTokenBytes
	}
	return maxBearerTokenBytes
}

// token returns the verified token, which must be of class want and be valid at now.
func (v *Verifier) token(text string, want Class, now time.Time) (*verifiedToken, error) {
	t := v.tokens.get(text)
	if t == nil {
		var err error
		if t, err = v.verifyToken(text, now); err != nil {
			return nil, err
		}
		v.tokens.put(text, t)
	}
	if t.id.Class != want {
		return nil, fmt.Errorf("%w: a token of class %q cannot be used as a %s", ErrToken, t.id.Class, want)
	}
	if !now.Before(t.id.ExpiresAt) {
		return nil, fmt.Errorf("%w at %s, and it is %s", ErrExpired,
			t.id.ExpiresAt.UTC().Format(time.RFC3339), now.UTC().Format(time.RFC3339))
	}
	return t, v.checkRevoked(t.id, now)
}

// verifyToken checks what does not change while the token lives: form, signature, issuer, audience, not before.
func (v *Verifier) verifyToken(text string, now time.Time) (*verifiedToken, error) {
	c, err := v.parseToken(text)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrToken, err)
	}
	if err := c.check(v.issuer, v.audience, now); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrToken, err)
	}
	master, known := v.masters[c.Master]
	if !known {
		return nil, fmt.Errorf("%w: master key %d is unknown", ErrToken, c.Master)
	}
	addresses, err := ParsePrefixes(c.Addresses)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrToken, err)
	}
	t := &verifiedToken{id: &Identity{TokenID: c.ID, Tenant: c.Tenant, Subject: c.Subject, Operator: c.Operator,
		Class: c.Use, Scopes: c.Scope, Addresses: addresses, KID: c.kid, IssuedAt: c.IssuedAt.Time, ExpiresAt: c.ExpiresAt.Time}}
	if c.Use == ClassKey {
		t.secret = master.secretKey(text)
	}
	return t, nil
}

// parseToken verifies the signature. Keys come from the configuration alone: a key in the header, or an address of one
// (jwk, jku, x5c, x5u: RFC 7515 section 4.1), is never looked at.
func (v *Verifier) parseToken(text string) (*claims, error) {
	if len(text) > maxBearerTokenBytes {
		return nil, ErrTokenTooLong
	}
	// The base64 decoder skips line ends: one token would have many spellings.
	if strings.IndexFunc(text, notInToken) >= 0 {
		return nil, errors.New("it is not a JWT")
	}
	var c claims
	_, err := v.parser.ParseWithClaims(text, &c, func(t *jwt.Token) (any, error) {
		// RFC 7515 section 4.1.11: extensions named in crit must be understood, and none is known here.
		if _, extended := t.Header["crit"]; extended {
			return nil, errors.New("critical extensions are not supported")
		}
		kid, _ := t.Header["kid"].(string)
		key, known := v.signingKeys[kid]
		if !known {
			return nil, errors.New("its signing key is unknown")
		}
		c.kid = key.KID
		return key.Public, nil
	})
	if err != nil {
		return nil, err
	}
	return &c, nil
}

func newTokenParser() *jwt.Parser {
	return jwt.NewParser(
		jwt.WithValidMethods([]string{jwt.SigningMethodEdDSA.Alg()}),
		jwt.WithStrictDecoding(),
		// The library's leeway would stretch the expiry too: check does the claims.
		jwt.WithoutClaimsValidation())
}

func notInToken(c rune) bool {
	return (c < 'A' || c > 'Z') && (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '-' && c != '_' && c != '.'
}

func (c *claims) check(issuer, audience string, now time.Time) error {
	switch {
	case c.Issuer != issuer:
		return errors.New("it is from another issuer")
	case !slices.Contains(c.Audience, audience):
		return errors.New("it is for another audience")
	case c.IssuedAt == nil, c.NotBefore == nil, c.ExpiresAt == nil,
		c.ID == "", c.Subject == "", c.Tenant == "", len(c.Scope) == 0, c.Master == 0:
		return errors.New("a required claim is missing")
	case c.Use != ClassKey && c.Use != ClassBearer:
		return errors.New("its class is unknown")
	case now.Add(clockLeeway).Before(c.NotBefore.Time), now.Add(clockLeeway).Before(c.IssuedAt.Time):
		return fmt.Errorf("it is not valid before %s", c.NotBefore.UTC().Format(time.RFC3339))
	}
	return nil
}
