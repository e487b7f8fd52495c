package auth

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net/url"
	"regexp"
	"strconv"
	"time"
)

// The operations of AWS's Security Token Service that are answered here, and the version of its API.
const (
	ActionAssumeRoleWithWebIdentity = "AssumeRoleWithWebIdentity"
	ActionGetCallerIdentity         = "GetCallerIdentity"
	stsVersion                      = "2011-06-15"
)

// STSAccount stands where ARNs, and GetCallerIdentity, have the twelve digits of an AWS account, of which there is none here.
const STSAccount = "000000000000"

// AssumeRole is a request for a key in exchange for a foreign token: "AssumeRoleWithWebIdentity", STS API Reference.
type AssumeRole struct {
	Role     string        // name
	Session  string        // RoleSessionName: the client's own word for itself, shown back and not believed
	Token    string        // WebIdentityToken
	Duration time.Duration // 0: not asked for
	Policy   *Policy       // narrows what the role gives; nil: none
}

var (
	roleARN     = regexp.MustCompile(`^arn:(?:partway:iam::|aws:iam::` + STSAccount + `):role/([A-Za-z0-9+=,.@_-]{1,64})$`)
	sessionName = regexp.MustCompile(`^[A-Za-z0-9_+=,.@-]{2,64}$`)
)

// ParseAssumeRole reads the parameters of the request. One that is unknown here (PolicyArns, ProviderId) might restrict
// what it gives, so it is refused like one that is malformed: ErrSTSRequest, ErrPolicy or ErrPolicyTooLarge.
func ParseAssumeRole(form url.Values) (*AssumeRole, error) {
	if err := onlyParameters(form, "RoleArn", "RoleSessionName", "WebIdentityToken", "DurationSeconds", "Policy"); err != nil {
		return nil, err
	}
	a := &AssumeRole{Session: form.Get("RoleSessionName"), Token: form.Get("WebIdentityToken")}
	arn := roleARN.FindStringSubmatch(form.Get("RoleArn"))
	switch {
	case arn == nil:
		return nil, fmt.Errorf("%w: RoleArn must be arn:partway:iam:::role/NAME or arn:aws:iam::%s:role/NAME", ErrSTSRequest, STSAccount)
	case !sessionName.MatchString(a.Session):
		return nil, fmt.Errorf("%w: RoleSessionName must be 2 to 64 letters, digits and _+=,.@-", ErrSTSRequest)
	case a.Token == "":
		return nil, fmt.Errorf("%w: WebIdentityToken is missing", ErrSTSRequest)
	}
	a.Role = arn[1]
	if form.Has("DurationSeconds") {
		seconds, err := strconv.Atoi(form.Get("DurationSeconds"))
		a.Duration = time.Duration(seconds) * time.Second
		if err != nil || seconds < int(minRoleTTL.Seconds()) || seconds > int(maxRoleTTL.Seconds()) {
			return nil, fmt.Errorf("%w: DurationSeconds must be %.0f to %.0f", ErrSTSRequest, minRoleTTL.Seconds(), maxRoleTTL.Seconds())
		}
	}
	if form.Has("Policy") {
		var err error
		if a.Policy, err = ParsePolicy(form.Get("Policy")); err != nil {
			return nil, err
		}
	}
	return a, nil
}

// CheckGetCallerIdentity refuses parameters, of which that operation has none: ErrSTSRequest.
func CheckGetCallerIdentity(form url.Values) error { return onlyParameters(form) }

// onlyParameters refuses others beside Action and Version, and any that comes twice.
func onlyParameters(form url.Values, allowed ...string) error {
	for name, values := range form {
		known := name == "Action" || name == "Version"
		for _, a := range allowed {
			known = known || name == a
		}
		if !known {
			return fmt.Errorf("%w: the parameter %q is not supported", ErrSTSRequest, name)
		}
		if len(values) != 1 {
			return fmt.Errorf("%w: the parameter %s comes %d times", ErrSTSRequest, name, len(values))
		}
	}
	if v := form.Get("Version"); v != stsVersion {
		return fmt.Errorf("%w: Version is %q; expecting %s", ErrSTSRequest, v, stsVersion)
	}
	return nil
}

// WebIdentity is whom a foreign token proved under a role.
type WebIdentity struct {
	Identity *Identity // that its bearer has
	Issuer   string    // its iss
	Audience string    // the one in its aud that was expected
	Subject  string    // its sub
	maxTTL   time.Duration
}

// WebIdentity proves the token of a. ErrNoRole if the role is not there; ErrAccessDenied if the token is genuine and not
// one of those that the role is for; else as Authenticate.
func (v *Verifier) WebIdentity(a *AssumeRole, now time.Time) (*WebIdentity, error) {
	if v.foreign == nil {
		return nil, fmt.Errorf("%w: %q: this gateway has none", ErrNoRole, a.Role)
	}
	t, err := v.foreign.verify(a.Token, now)
	if err != nil {
		return nil, err
	}
	// Only now: whom nobody vouches for learns no names of roles.
	r := v.foreign.role(a.Role)
	if r == nil {
		return nil, fmt.Errorf("%w: %q", ErrNoRole, a.Role)
	}
	if err := r.admits(t); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrAccessDenied, err)
	}
	id, err := r.identity(t)
	if err != nil {
		return nil, err
	}
	if err := v.checkRevoked(id, now); err != nil {
		return nil, err
	}
	return &WebIdentity{id, t.issuer, t.audience, t.subject, r.maxTTL()}, nil
}

// Grant is the key that w gets for a. It lives for as long as was asked for, or one hour, and never longer than the role
// allows; as at AWS it may outlive the web identity token, whose end nobody is told of. ErrPolicy if a's policy leaves
// nothing of what the role gives.
func (a *AssumeRole) Grant(w *WebIdentity) (Grant, error) {
	id := w.Identity
	g := Grant{Class: ClassKey, Tenant: id.Tenant, Subject: id.Subject, Scopes: id.Scopes, TTL: a.Duration}
	if g.TTL == 0 {
		g.TTL = defaultRoleTTL
	}
	g.TTL = min(g.TTL, w.maxTTL)
	if a.Policy != nil {
		var err error
		if g.Scopes, err = a.Policy.narrow(id.Scopes); err != nil {
			return Grant{}, err
		}
	}
	return g, nil
}

// AuthenticateSTS proves an STS request that is signed: SigV4 in the header, for service "sts", over the body as it was
// read. STS's clients declare no x-amz-content-sha256; one that is there must be the body's.
func (v *Verifier) AuthenticateSTS(r *Request, body []byte, now time.Time) (*Identity, error) {
	c, err := v.parse(r, serviceSTS)
	if err != nil {
		return nil, err
	}
	if c.mechanism != MechanismHeader {
		return nil, fmt.Errorf("%w: this operation takes SigV4 in the Authorization header", ErrMalformed)
	}
	sum := sha256.Sum256(body)
	payload := hex.EncodeToString(sum[:])
	if c.payload != "" && c.payload != payload {
		return nil, fmt.Errorf("%w: x-amz-content-sha256 is not that of the body", ErrMalformed)
	}
	c.payload = payload
	id, _, err := v.signer(r, c, now)
	return id, err
}

// Unsigned refuses an STS request that brings credentials where its form alone proves who asks: two proofs might be two
// people's.
func (r *Request) Unsigned() error {
	q, err := parseQuery(r.Query)
	if err != nil {
		return err
	}
	_, has, err := single(r.Headers, "authorization")
	if has || err != nil || q.sigV4 || q.sigV2 {
		return fmt.Errorf("%w: this operation is proved by its WebIdentityToken and is not signed", ErrTwoMechanisms)
	}
	return nil
}

// CallerARN is an identity as STS writes one: in place of the role stands the tenant.
func (id *Identity) CallerARN() string {
	return "arn:aws:sts::" + STSAccount + ":assumed-role/" + id.Tenant + "/" + id.Subject
}

// AssumedRoleARN is the session that a makes.
func (a *AssumeRole) AssumedRoleARN() string {
	return "arn:aws:sts::" + STSAccount + ":assumed-role/" + a.Role + "/" + a.Session
}
