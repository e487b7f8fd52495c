package auth

import (
	"crypto/rand"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

// Longest lives of tokens where IssuerConfig names none.
const (
	defaultMaxKeyTTL    = 90 * 24 * time.Hour
	defaultMaxBearerTTL = 12 * time.Hour
)

// IssuerConfig is what NewIssuer needs.
type IssuerConfig struct {
	Issuer, Audience string
	SigningKeys      []SigningKey  // the active one signs
	MasterKeys       []MasterKey   // the active one makes secrets
	MaxKeyTTL        time.Duration // 0: 90 days
	MaxBearerTTL     time.Duration // 0: 12 hours; a bearer is all that its holder has to show
}

// Issuer makes tokens. Safe for concurrent use.
type Issuer struct {
	issuer, audience string
	signing          SigningKey
	master           MasterKey
	maxTTL           map[Class]time.Duration
}

// Grant is what a token is asked for.
type Grant struct {
	Class    Class
	Tenant   string // [a-z0-9][a-z0-9-]{0,62}, of operators too
	Subject  string // "": the tenant
	Operator bool
	Scopes   []Scope
	TTL      time.Duration // whole seconds; a fraction is cut off

	Addresses []string // prefixes, such as 203.0.113.0/24, that the token may be used from; none: anywhere
}

// Issued is a token that was made. Secret is shown once and never stored.
type Issued struct {
	ID, Tenant, Subject string
	Class               Class
	Operator            bool
	Scopes              []Scope
	Addresses           []string
	KID                 string // of the key that signed it
	IssuedAt, ExpiresAt time.Time
	Token               string // the JWT: access key id or bearer
	Secret              string // secret access key; "" for a bearer
}

// NewIssuer checks the configuration.
func NewIssuer(c IssuerConfig) (*Issuer, error) {
	if c.Issuer == "" || c.Audience == "" {
		return nil, errors.New("issuer: issuer and audience are required")
	}
	if _, err := checkSigning(c.SigningKeys); err != nil {
		return nil, fmt.Errorf("issuer: %w", err)
	}
	if _, err := checkMasters(c.MasterKeys); err != nil {
		return nil, fmt.Errorf("issuer: %w", err)
	}
	signing, err := active(c.SigningKeys, func(k SigningKey) bool { return k.Active })
	if err != nil {
		return nil, fmt.Errorf("issuer: signing keys: %w", err)
	}
	if signing.Private == nil {
		return nil, fmt.Errorf("issuer: the active signing key %q has no private half", signing.KID)
	}
	master, err := active(c.MasterKeys, func(k MasterKey) bool { return k.Active })
	if err != nil {
		return nil, fmt.Errorf("issuer: master keys: %w", err)
	}
	i := &Issuer{issuer: c.Issuer, audience: c.Audience, signing: signing, master: master,
		maxTTL: map[Class]time.Duration{ClassKey: c.MaxKeyTTL, ClassBearer: c.MaxBearerTTL}}
	if c.MaxKeyTTL == 0 {
		i.maxTTL[ClassKey] = defaultMaxKeyTTL
	}
	if c.MaxBearerTTL == 0 {
		i.maxTTL[ClassBearer] = defaultMaxBearerTTL
	}
	return i, nil
}

// Issue checks the grant (ErrGrant) and signs a token. ErrTokenTooLong past 2 KiB for class key, 8 KiB for class bearer.
func (i *Issuer) Issue(g Grant, now time.Time) (*Issued, error) {
	if err := i.check(g); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrGrant, err)
	}
	if g.Subject == "" {
		g.Subject = g.Tenant
	}
	// Tokens carry whole seconds.
	issuedAt := now.UTC().Truncate(time.Second)
	expiresAt := issuedAt.Add(g.TTL.Truncate(time.Second))
	id := rand.Text()

	token := jwt.NewWithClaims(jwt.SigningMethodEdDSA, &claims{
		RegisteredClaims: jwt.RegisteredClaims{Issuer: i.issuer, Audience: jwt.ClaimStrings{i.audience}, ID: id, Subject: g.Subject,
			IssuedAt: jwt.NewNumericDate(issuedAt), NotBefore: jwt.NewNumericDate(issuedAt), ExpiresAt: jwt.NewNumericDate(expiresAt)},
		Use: g.Class, Tenant: g.Tenant, Scope: g.Scopes, Master: i.master.Version, Operator: g.Operator,
		Addresses: g.Addresses,
	})
	token.Header["kid"] = i.signing.KID
	text, err := token.SignedString(i.signing.Private)
	if err != nil {
		return nil, fmt.Errorf("sign token: %w", err)
	}
	if limit := maxTokenBytes(g.Class); len(text) > limit {
		return nil, fmt.Errorf("%w: %d bytes, %d are allowed for class %s: grant fewer or shorter scopes", ErrTokenTooLong, len(text), limit, g.Class)
	}
	issued := &Issued{ID: id, Tenant: g.Tenant, Subject: g.Subject, Class: g.Class, Operator: g.Operator, Scopes: g.Scopes,
		Addresses: g.Addresses, KID: i.signing.KID, IssuedAt: issuedAt, ExpiresAt: expiresAt, Token: text}
	if g.Class == ClassKey {
		issued.Secret = i.master.secretKey(text)
	}
	return issued, nil
}

var tenantName = regexp.MustCompile(`^[a-z0-9][a-z0-9-]{0,62}$`)

const tenantRule = "1 to 63 of a-z, 0-9 and -, not - first"

// ValidTenant reports whether a tenant can have this name.
func ValidTenant(name string) bool { return tenantName.MatchString(name) }

func (i *Issuer) check(g Grant) error {
	longest, known := i.maxTTL[g.Class]
	switch {
	case !known:
		return fmt.Errorf("class %q: want key or bearer", g.Class)
	case !tenantName.MatchString(g.Tenant):
		return fmt.Errorf("tenant %q: want %s", g.Tenant, tenantRule)
	case g.TTL < time.Second || g.TTL > longest:
		return fmt.Errorf("life of %s: want 1s to %s for class %s", g.TTL, longest, g.Class)
	case len(g.Scopes) == 0:
		return errors.New("no scope")
	}
	for n, s := range g.Scopes {
		if err := s.check(g.Operator); err != nil {
			return fmt.Errorf("scope %d: %w", n+1, err)
		}
	}
	_, err := ParsePrefixes(g.Addresses)
	return err
}

// bucketName is S3's rule, to which requests are held as well.
var bucketName = regexp.MustCompile(`^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$`)

// forcible are the headers that a scope may force, by lower-case name; those ending in "-" are prefixes. All of them shape the object
// that is made, and none of them its way there.
var forcible = []string{"cache-control", "content-disposition", "content-encoding", "content-language", "content-type", "expires", "x-amz-acl",
	"x-amz-meta-", "x-amz-object-lock-", "x-amz-server-side-encryption", "x-amz-server-side-encryption-", "x-amz-storage-class", "x-amz-tagging"}

var (
	headerName  = regexp.MustCompile(`^[a-z0-9-]+$`)
	headerValue = regexp.MustCompile(`^[\x20-\x7e]{1,1000}$`)
)

func checkForced(headers map[string]string) error {
	for name, value := range headers {
		ok := slices.ContainsFunc(forcible, func(f string) bool { return name == f || strings.HasSuffix(f, "-") && strings.HasPrefix(name, f) })
		if !ok || !headerName.MatchString(name) {
			return fmt.Errorf("force_headers %q: want, in lower case, some of %s", name, strings.Join(forcible, ", "))
		}
		if !headerValue.MatchString(value) {
			return fmt.Errorf("force_headers %s: want a value of 1 to 1000 printable ASCII characters", name)
		}
	}
	return nil
}

// MaxPartBytes is S3's limit on one part, and so on a scope's.
const MaxPartBytes = 5 << 30

var roads = []string{"redirect", "relay", "sign"}

func (s *Scope) check(operator bool) error {
	if s.Bucket == anyBucket && !operator {
		return errors.New(`bucket "*": only operators may hold every bucket`)
	}
	if s.Bucket != anyBucket && !bucketName.MatchString(s.Bucket) {
		return fmt.Errorf("bucket %q: not a bucket name", s.Bucket)
	}
	if err := checkPrefix(s.KeyPrefix()); err != nil {
		return err
	}
	if len(s.Actions) == 0 {
		return errors.New("no action")
	}
	for _, a := range s.Actions {
		if !knownAction(a) {
			return fmt.Errorf(`action %q: want S3's names of what the gateway serves, such as "s3:PutObject", or "s3:*"`, a)
		}
	}
	for _, road := range s.Transfer {
		if !slices.Contains(roads, road) {
			return fmt.Errorf("transfer %q: want some of %s", road, strings.Join(roads, ", "))
		}
	}
	if s.MaxObjectBytes < 0 || s.MaxPartBytes < 0 || s.MaxTenantBytes < 0 || s.MaxOpenUploads < 0 {
		return errors.New("a limit is negative; 0 is none")
	}
	if s.MaxPartBytes > MaxPartBytes {
		return fmt.Errorf("max_part_bytes %d: S3 takes no part over %d", s.MaxPartBytes, int64(MaxPartBytes))
	}
	return checkForced(s.ForceHeaders)
}

// checkPrefix refuses, besides bad keys, empty segments: storage on a file system drops them, and the prefix would be
// that of another tenant.
func checkPrefix(prefix string) error {
	if prefix == "" {
		return nil
	}
	if strings.HasPrefix(prefix, "/") || strings.Contains(prefix, "//") {
		return fmt.Errorf("prefix %q: empty segments are not allowed", prefix)
	}
	if err := ValidKey(prefix); err != nil {
		return fmt.Errorf("prefix %q: %w", prefix, err)
	}
	return nil
}

// MaxTTL is the longest life of any token: a revocation that is older than that ends nothing any more.
func (i *Issuer) MaxTTL() time.Duration { return max(i.maxTTL[ClassKey], i.maxTTL[ClassBearer]) }
