package auth

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"partway/auth/sigv4"
)

func assumeForm(token string, changes ...string) url.Values {
	form := url.Values{"Action": {ActionAssumeRoleWithWebIdentity}, "Version": {"2011-06-15"}, "RoleArn": {"arn:partway:iam:::role/ci"},
		"RoleSessionName": {"run-7"}, "WebIdentityToken": {token}}
	for i := 0; i < len(changes); i += 2 {
		if form.Del(changes[i]); changes[i+1] != "" {
			form.Set(changes[i], changes[i+1])
		}
	}
	return form
}

func TestParseAssumeRole(t *testing.T) {
	for _, c := range []struct {
		name    string
		changes []string
		want    error
	}{
		{"as SDKs send it", nil, nil},
		{"role as AWS writes it", []string{"RoleArn", "arn:aws:iam::000000000000:role/ci"}, nil},
		{"shortest life", []string{"DurationSeconds", "900"}, nil},
		{"longest life", []string{"DurationSeconds", "43200"}, nil},
		{"policy", []string{"Policy", policyOf(`"s3:*"`, `"arn:aws:s3:::uploads/*"`)}, nil},

		{"no role", []string{"RoleArn", ""}, ErrSTSRequest},
		{"role by name alone", []string{"RoleArn", "ci"}, ErrSTSRequest},
		{"role of another account", []string{"RoleArn", "arn:aws:iam::123456789012:role/ci"}, ErrSTSRequest},
		{"role with a path", []string{"RoleArn", "arn:partway:iam:::role/a/ci"}, ErrSTSRequest},
		{"user", []string{"RoleArn", "arn:partway:iam:::user/ci"}, ErrSTSRequest},
		{"line end after the role", []string{"RoleArn", "arn:partway:iam:::role/ci\n"}, ErrSTSRequest},
		{"no session", []string{"RoleSessionName", ""}, ErrSTSRequest},
		{"short session", []string{"RoleSessionName", "a"}, ErrSTSRequest},
		{"long session", []string{"RoleSessionName", strings.Repeat("a", 65)}, ErrSTSRequest},
		{"session with a slash", []string{"RoleSessionName", "a/b"}, ErrSTSRequest},
		{"no token", []string{"WebIdentityToken", ""}, ErrSTSRequest},
		{"no version", []string{"Version", ""}, ErrSTSRequest},
		{"other version", []string{"Version", "2006-03-01"}, ErrSTSRequest},
		{"life too short", []string{"DurationSeconds", "899"}, ErrSTSRequest},
		{"life too long", []string{"DurationSeconds", "43201"}, ErrSTSRequest},
		{"life that overflows", []string{"DurationSeconds", "9223372036854775807"}, ErrSTSRequest},
		{"life in hours", []string{"DurationSeconds", "1h"}, ErrSTSRequest},
		{"policies by ARN", []string{"PolicyArns.member.1.arn", "arn:aws:iam::aws:policy/ReadOnly"}, ErrSTSRequest},
		{"provider", []string{"ProviderId", "www.amazon.com"}, ErrSTSRequest},
		{"unknown parameter", []string{"SerialNumber", "1"}, ErrSTSRequest},
		{"policy that is not understood", []string{"Policy", `{"Statement":[]}`}, ErrPolicy},
		{"policy that is too large", []string{"Policy", strings.Repeat(" ", maxPolicyBytes+1)}, ErrPolicyTooLarge},
	} {
		t.Run(c.name, func(t *testing.T) {
			if a, err := ParseAssumeRole(assumeForm("t", c.changes...)); !errors.Is(err, c.want) || (a == nil) != (err != nil) {
				t.Errorf("%+v, %v; want %v", a, err, c.want)
			}
		})
	}
	twice := assumeForm("t")
	twice.Add("RoleArn", "arn:partway:iam:::role/other")
	if _, err := ParseAssumeRole(twice); !errors.Is(err, ErrSTSRequest) {
		t.Errorf("two roles: %v", err)
	}
	// There and empty is not left out: an empty policy would allow nothing.
	empty := assumeForm("t")
	empty.Set("Policy", "")
	if _, err := ParseAssumeRole(empty); !errors.Is(err, ErrPolicy) {
		t.Errorf("an empty policy: %v", err)
	}
}

func TestAssumeRole(t *testing.T) {
	p := newProvider(t, published("rsa", "r", "RS256"))
	w := p.world(t)
	web := p.token(t, jwt.SigningMethodRS256, "r", testKeys()["rsa"])
	inbox := policyOf(`"s3:PutObject"`, `"arn:aws:s3:::uploads/acme/in/*"`)
	for _, c := range []struct {
		name    string
		token   string
		changes []string
		ttl     time.Duration
		scopes  int
		want    error
	}{
		{"default life", web, nil, time.Hour, 2, nil},
		{"life asked for", web, []string{"DurationSeconds", "900"}, 15 * time.Minute, 2, nil},
		{"no longer than the role allows", web, []string{"DurationSeconds", "43200"}, 2 * time.Hour, 2, nil},
		{"narrowed", web, []string{"Policy", inbox}, time.Hour, 1, nil},
		{"token older than the role's life", p.token(t, jwt.SigningMethodRS256, "r", testKeys()["rsa"], claim("iat", noon.Add(-9*time.Hour).Unix())), nil, time.Hour, 2, nil},
		{"nothing left", web, []string{"Policy", policyOf(`"s3:*"`, `"arn:aws:s3:::uploads/other/*"`)}, 0, 0, ErrPolicy},
		{"unknown role", web, []string{"RoleArn", "arn:partway:iam:::role/admin"}, 0, 0, ErrNoRole},
		{"unknown role for a stranger", "x.y.z", []string{"RoleArn", "arn:partway:iam:::role/admin"}, 0, 0, ErrToken},
		{"condition", p.token(t, jwt.SigningMethodRS256, "r", testKeys()["rsa"], claim("sub", "repo:evil/app")), nil, 0, 0, ErrAccessDenied},
		{"tenant", p.token(t, jwt.SigningMethodRS256, "r", testKeys()["rsa"], claim("owner", "../x")), nil, 0, 0, ErrToken},
		{"expired", p.token(t, jwt.SigningMethodRS256, "r", testKeys()["rsa"], claim("exp", noon.Unix())), nil, 0, 0, ErrExpired},
		{"a token of our own", w.issue(t, ClassBearer).Token, nil, 0, 0, ErrToken},
	} {
		t.Run(c.name, func(t *testing.T) {
			a, err := ParseAssumeRole(assumeForm(c.token, c.changes...))
			if err != nil {
				t.Fatal(err)
			}
			issued, err := assume(w, a)
			if c.want != nil {
				if !errors.Is(err, c.want) {
					t.Errorf("%v, want %v", err, c.want)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if issued.Class != ClassKey || issued.Tenant != "acme" || issued.Subject != "ci/repo:acme/app" || issued.Operator ||
				issued.ExpiresAt.Sub(noon) != c.ttl || len(issued.Scopes) != c.scopes || issued.Scopes[0].Prefix != "acme/in" {
				t.Errorf("%+v", issued)
			}
			id, _, err := w.verifier.Authenticate(signHeader(put(), signer(issued), emptySHA256, noon), noon)
			if err != nil || id.Tenant != "acme" {
				t.Errorf("the key does not work: %+v, %v", id, err)
			}
		})
	}
	w.revoked = []Revocation{{Tenant: "acme", At: noon}}
	if err := w.verifier.Refresh(t.Context()); err != nil {
		t.Fatal(err)
	}
	a, err := ParseAssumeRole(assumeForm(web))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := assume(w, a); !errors.Is(err, ErrRevoked) {
		t.Errorf("a new key from a token of before the tenant's revocation: %v", err)
	}
	if _, err := newWorld(t).verifier.WebIdentity(a, noon); !errors.Is(err, ErrNoRole) {
		t.Errorf("a gateway without roles: %v", err)
	}
}

func assume(w *world, a *AssumeRole) (*Issued, error) {
	id, err := w.verifier.WebIdentity(a, noon)
	if err != nil {
		return nil, err
	}
	grant, err := a.Grant(id)
	if err != nil {
		return nil, err
	}
	return w.issuer.Issue(grant, noon)
}

// callerIdentity is GetCallerIdentity as SDKs sign it: no x-amz-content-sha256, the body's digest all the same.
func callerIdentity(s *sigv4.Signer, body string, extra ...sigv4.Header) *Request {
	sum := sha256.Sum256([]byte(body))
	r := &Request{Method: "POST", Path: "/", Headers: append([]sigv4.Header{{Name: "host", Value: testHost},
		{Name: "x-amz-date", Value: noon.Format(sigv4.TimeFormat)}}, extra...)}
	authorization := s.SignHeader(toSign(r, hex.EncodeToString(sum[:])), noon)
	r.Headers = append(r.Headers, sigv4.Header{Name: "authorization", Value: authorization})
	return r
}

func TestAuthenticateSTS(t *testing.T) {
	w := newWorld(t)
	token := w.issue(t, ClassKey)
	const body = "Action=GetCallerIdentity&Version=2011-06-15"
	sum := sha256.Sum256([]byte(body))
	sts := signer(token)
	sts.Service = "sts"
	stranger := &sigv4.Signer{AccessKeyID: token.Token, Secret: "other", Region: testRegion, Service: "sts"}
	for _, c := range []struct {
		name string
		r    *Request
		body string
		want error
	}{
		{"as SDKs sign it", callerIdentity(sts, body), body, nil},
		{"with the digest", callerIdentity(sts, body, sigv4.Header{Name: "x-amz-content-sha256", Value: hex.EncodeToString(sum[:])}), body, nil},
		{"another body", callerIdentity(sts, body), body + "&x=y", ErrSignature},
		{"unsigned payload", callerIdentity(sts, body, sigv4.Header{Name: "x-amz-content-sha256", Value: sigv4.UnsignedPayload}), body, ErrMalformed},
		{"digest of another body", callerIdentity(sts, body, sigv4.Header{Name: "x-amz-content-sha256", Value: emptySHA256}), body, ErrMalformed},
		{"service s3", callerIdentity(signer(token), body), body, ErrMalformed},
		{"another secret", callerIdentity(stranger, body), body, ErrSignature},
		{"bearer", bearer(&Request{Method: "POST", Path: "/"}, w.issue(t, ClassBearer).Token), body, ErrMalformed},
		{"presigned", presign(&Request{Method: "GET", Path: "/", Query: body, Headers: []sigv4.Header{{Name: "host", Value: testHost}}}, sts, time.Minute, noon), "", ErrMalformed},
		{"nothing", &Request{Method: "POST", Path: "/"}, body, ErrNoCredentials},
		{"security token", callerIdentity(sts, body, sigv4.Header{Name: "x-amz-security-token", Value: "x"}), body, ErrSecurityToken},
	} {
		t.Run(c.name, func(t *testing.T) {
			id, err := w.verifier.AuthenticateSTS(c.r, []byte(c.body), noon)
			if !errors.Is(err, c.want) || (id == nil) != (err != nil) {
				t.Errorf("%+v, %v; want %v", id, err, c.want)
			}
		})
	}
	if _, _, err := w.verifier.Authenticate(callerIdentity(sts, ""), noon); !errors.Is(err, ErrMalformed) {
		t.Errorf("a request signed for STS at S3: %v", err)
	}
	late := noon.Add(maxClockSkew + time.Second)
	w.now = late
	if err := w.verifier.Refresh(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := w.verifier.AuthenticateSTS(callerIdentity(sts, body), []byte(body), late); !errors.Is(err, ErrClockSkew) {
		t.Errorf("too late: %v", err)
	}
	if err := CheckGetCallerIdentity(url.Values{"Version": {"2011-06-15"}, "Action": {ActionGetCallerIdentity}, "x": {"y"}}); !errors.Is(err, ErrSTSRequest) {
		t.Errorf("a parameter too many: %v", err)
	}
}

func TestUnsigned(t *testing.T) {
	if err := (&Request{Query: "Action=x"}).Unsigned(); err != nil {
		t.Error(err)
	}
	for name, r := range map[string]*Request{
		"header":     bearer(&Request{}, "x"),
		"query":      {Query: "X-Amz-Signature=x"},
		"query v2":   {Query: "AWSAccessKeyId=x"},
		"two header": bearer(bearer(&Request{}, "x"), "y"),
	} {
		if err := r.Unsigned(); !errors.Is(err, ErrTwoMechanisms) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
