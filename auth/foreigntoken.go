package auth

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

// maxForeignTokenBytes is some more than a foreign token with many groups in it takes, and fits the head of a request.
const maxForeignTokenBytes = 16 << 10

// foreignToken is a token of a foreign issuer whose signature and registered claims held. Only claims that were verified
// get into one.
type foreignToken struct {
	id                  string // of this very token: the digest of its text, since jti is optional
	issuer, subject     string
	audience            string // the one that was asked for
	issuedAt, expiresAt time.Time
	claims              jwt.MapClaims // numbers as json.Number
}

// issuerOf reads whom a token claims to be from, before anything is verified. "" if it is no JWT.
func issuerOf(text string) string {
	var c jwt.RegisteredClaims
	if _, _, err := newForeignParser().ParseUnverified(text, &c); err != nil {
		return ""
	}
	return c.Issuer
}

// speaksFor says whether a token claims to be from one of the issuers: which keys decide is what iss is for.
func (f *Foreign) speaksFor(text string) bool {
	return f != nil && len(text) <= maxForeignTokenBytes && f.keySets[issuerOf(text)] != nil
}

// verify holds a token to RFC 8725 (JSON Web Token Best Current Practices). Foreign tokens are not cached: a key that its
// issuer withdraws ends its tokens with the next read of the keys.
func (f *Foreign) verify(text string, now time.Time) (*foreignToken, error) {
	if len(text) > maxForeignTokenBytes {
		return nil, fmt.Errorf("%w: %w: %d bytes, %d are allowed", ErrToken, ErrTokenTooLong, len(text), maxForeignTokenBytes)
	}
	if strings.IndexFunc(text, notInToken) >= 0 { // the decoder skips line ends
		return nil, fmt.Errorf("%w: it is not a JWT", ErrToken)
	}
	var from *ForeignIssuer
	c := jwt.MapClaims{}
	_, err := newForeignParser().ParseWithClaims(text, c, func(t *jwt.Token) (any, error) {
		iss, _ := c["iss"].(string)
		keys := f.keySets[iss]
		if keys == nil {
			return nil, errors.New("its issuer is not one that is trusted here")
		}
		from = &keys.issuer
		return keys.verifying(t.Header)
	})
	switch {
	case errors.Is(err, ErrIssuerUnreachable):
		return nil, err
	case err != nil:
		return nil, fmt.Errorf("%w: %w", ErrToken, err)
	}
	t, err := registeredClaims(c, from.Audiences, now)
	if err != nil {
		return nil, err
	}
	sum := sha256.Sum256([]byte(text))
	t.id = "sha256:" + hex.EncodeToString(sum[:16])
	return t, nil
}

// verifying returns the key for a token's header, which may choose among the issuer's keys and nothing more.
func (s *keySet) verifying(header map[string]any) (any, error) {
	// RFC 7515 section 4.1.11: extensions named in crit must be understood, and none is known here.
	if _, extended := header["crit"]; extended {
		return nil, errors.New("critical extensions are not supported")
	}
	// RFC 8725 section 3.11: a token that says that it is something else (logout+jwt, secevent+jwt) is not for this.
	if typ, has := header["typ"]; has {
		name, _ := typ.(string)
		name = strings.TrimPrefix(strings.ToLower(name), "application/")
		if name != "jwt" && name != "at+jwt" {
			return nil, fmt.Errorf("its type is %q", typ)
		}
	}
	kid, _ := header["kid"].(string)
	if kid == "" {
		return nil, errors.New("it names no signing key (kid)")
	}
	key, err := s.key(kid)
	if err != nil {
		return nil, err
	}
	// RFC 8725 section 3.1: the key says how it verifies, never the token.
	if header["alg"] != key.algorithm {
		return nil, fmt.Errorf("its signing key is for %s", key.algorithm)
	}
	return key.public, nil
}

// registeredClaims checks the claims of RFC 7519 section 4.1. OpenID Connect requires iss, sub, aud, exp and iat; so do we.
func registeredClaims(c jwt.MapClaims, audiences []string, now time.Time) (*foreignToken, error) {
	t := &foreignToken{claims: c}
	t.issuer, _ = c["iss"].(string)
	t.subject, _ = c["sub"].(string)
	if t.subject == "" {
		return nil, fmt.Errorf("%w: it has no subject (sub)", ErrToken)
	}
	aud, err := c.GetAudience()
	if err != nil {
		return nil, fmt.Errorf("%w: its audience: %w", ErrToken, err)
	}
	i := slices.IndexFunc(aud, func(a string) bool { return slices.Contains(audiences, a) })
	if i < 0 {
		return nil, fmt.Errorf("%w: it is for another audience; expecting %s", ErrToken, strings.Join(audiences, " or "))
	}
	t.audience = aud[i]
	for _, at := range []struct {
		name     string
		required bool
		read     func() (*jwt.NumericDate, error)
		check    func(time.Time) error
	}{
		{"iat", true, c.GetIssuedAt, func(v time.Time) error { t.issuedAt = v; return notBefore(v, now) }},
		{"nbf", false, c.GetNotBefore, func(v time.Time) error { return notBefore(v, now) }},
		{"exp", true, c.GetExpirationTime, func(v time.Time) error { t.expiresAt = v; return notExpired(v, now) }},
	} {
		v, err := at.read()
		if err != nil || v == nil && at.required {
			return nil, fmt.Errorf("%w: its %s claim is missing or no time", ErrToken, at.name)
		}
		if v == nil {
			continue
		}
		if err := at.check(v.Time); err != nil {
			return nil, err
		}
	}
	return t, nil
}

func notBefore(t, now time.Time) error {
	if now.Add(clockLeeway).Before(t) {
		return fmt.Errorf("%w: it is not valid before %s", ErrToken, t.UTC().Format(time.RFC3339))
	}
	return nil
}

func notExpired(t, now time.Time) error {
	if !now.Before(t) {
		return fmt.Errorf("%w at %s, and it is %s", ErrExpired, t.UTC().Format(time.RFC3339), now.UTC().Format(time.RFC3339))
	}
	return nil
}

func newForeignParser() *jwt.Parser {
	return jwt.NewParser(jwt.WithValidMethods(foreignAlgorithms), jwt.WithStrictDecoding(), jwt.WithJSONNumber(),
		// Its leeway would stretch the expiry too: registeredClaims does the claims.
		jwt.WithoutClaimsValidation())
}
