package auth

import (
	"crypto/subtle"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"partway/auth/sigv4"
)

const (
	// maxClockSkew is S3's.
	maxClockSkew = 15 * time.Minute
	// defaultMaxStaleness is how long a set of revocations holds that can no longer be read.
	defaultMaxStaleness = 15 * time.Minute
	// cacheGeneration bounds the cache of tokens, at some 3 KB each, to twice as many.
	cacheGeneration = 8192
)

// VerifierConfig is what NewVerifier needs.
type VerifierConfig struct {
	Issuer, Audience string
	Region           string           // the one that clients sign for
	SigningKeys      []SigningKey     // public halves, active or not
	MasterKeys       []MasterKey      // active or not
	Revocations      RevocationSource // see Refresh and Watch
	Foreign          *Foreign         // other issuers whose tokens roles let in; nil: none
	MaxStaleness     time.Duration    // 0: 15 minutes
	Now              func() time.Time // of Refresh; nil: time.Now
	Log              *slog.Logger     // of Watch; nil: slog.Default
}

// Verifier authenticates requests. Safe for concurrent use.
type Verifier struct {
	issuer, audience, region string
	signingKeys              map[string]SigningKey
	masters                  map[int]MasterKey
	source                   RevocationSource
	foreign                  *Foreign // nil: none
	maxStaleness             time.Duration
	now                      func() time.Time
	log                      *slog.Logger

	parser      *jwt.Parser
	tokens      *tokenCache
	revocations atomic.Pointer[revocations] // nil until the first Refresh
}

// NewVerifier checks the configuration. The Verifier refuses every token until its first Refresh.
func NewVerifier(c VerifierConfig) (*Verifier, error) {
	if c.Issuer == "" || c.Audience == "" || c.Region == "" || c.Revocations == nil {
		return nil, errors.New("verifier: issuer, audience, region and revocations are required")
	}
	signing, err := checkSigning(c.SigningKeys)
	if err != nil {
		return nil, fmt.Errorf("verifier: %w", err)
	}
	masters, err := checkMasters(c.MasterKeys)
	if err != nil {
		return nil, fmt.Errorf("verifier: %w", err)
	}
	// iss says which keys a token is held to, so it must name one set of them.
	if c.Foreign != nil && c.Foreign.keySets[c.Issuer] != nil {
		return nil, fmt.Errorf("verifier: %q is this gateway's own issuer and cannot be a foreign one", c.Issuer)
	}
	v := &Verifier{issuer: c.Issuer, audience: c.Audience, region: c.Region, signingKeys: signing, masters: masters,
		source: c.Revocations, foreign: c.Foreign, maxStaleness: c.MaxStaleness, now: c.Now, log: c.Log,
		parser: newTokenParser(), tokens: newTokenCache(cacheGeneration)}
	if v.maxStaleness == 0 {
		v.maxStaleness = defaultMaxStaleness
	}
	if v.now == nil {
		v.now = time.Now
	}
	if v.log == nil {
		v.log = slog.Default()
	}
	return v, nil
}

// Knows reports whether one of our signing keys, active or not, has this kid.
func (v *Verifier) Knows(kid string) bool {
	_, known := v.signingKeys[kid]
	return known
}

// Authenticate proves a request or says why not; see the package comment for the order.
func (v *Verifier) Authenticate(r *Request, now time.Time) (*Identity, *Proof, error) {
	c, err := v.parse(r, serviceS3)
	if err != nil {
		return nil, nil, err
	}
	proof := &Proof{Mechanism: c.mechanism, Payload: strings.Clone(c.payload)}
	if c.mechanism == MechanismBearer {
		id, err := v.bearer(c.token, now)
		if err != nil {
			return nil, nil, err
		}
		return id, proof, nil
	}
	id, key, err := v.signer(r, c, now)
	if err != nil {
		return nil, nil, err
	}
	if chunkSigned(c.payload) {
		proof.Chunks = sigv4.NewChunks(key, c.signed.signature, c.signed.amzDate, c.signed.scope)
	}
	return id, proof, nil
}

// bearer proves a bearer: ours, or that of a foreign issuer whom it names.
func (v *Verifier) bearer(text string, now time.Time) (*Identity, error) {
	if v.tokens.get(text) == nil && v.foreign.speaksFor(text) {
		id, err := v.foreign.bearer(text, now)
		if err != nil {
			return nil, err
		}
		if err := v.checkRevoked(id, now); err != nil {
			return nil, err
		}
		return id, nil
	}
	t, err := v.token(text, ClassBearer, now)
	if err != nil {
		return nil, err
	}
	return t.id, nil
}

// signer proves the key that signed r, and returns it for what it signs beyond the head.
func (v *Verifier) signer(r *Request, c *credential, now time.Time) (*Identity, sigv4.Key, error) {
	t, err := v.token(c.token, ClassKey, now)
	if err != nil {
		return nil, sigv4.Key{}, unknownKey(c.token, err)
	}
	key := t.keys.Key(t.secret, c.signed.scope)
	if err := c.verify(r, key, now); err != nil {
		return nil, sigv4.Key{}, err
	}
	return t.id, key, nil
}

// verify checks the times and the signature of a SigV4 credential.
func (c *credential) verify(r *Request, key sigv4.Key, now time.Time) error {
	s := c.signed
	if err := s.checkTime(now); err != nil {
		return err
	}
	headers, err := s.collect(r.Headers)
	if err != nil {
		return err
	}
	want, err := sigv4.Signature(key, &sigv4.Request{
		Method: r.Method, Path: r.Path, Query: r.Query, Headers: headers, Payload: c.payload,
	}, s.amzDate, s.scope)
	if err != nil {
		return fmt.Errorf("%w: path: %w", ErrMalformed, err)
	}
	if subtle.ConstantTimeCompare([]byte(want), []byte(s.signature)) != 1 {
		return fmt.Errorf("%w: check the secret access key and what a proxy between may have changed", ErrSignature)
	}
	return nil
}

func (s *signed) checkTime(now time.Time) error {
	ahead := s.time.Sub(now)
	if ahead > maxClockSkew || s.expires == 0 && -ahead > maxClockSkew {
		return &Refusal{Err: ErrClockSkew, Elements: []Element{
			{"RequestTime", s.amzDate},
			{"ServerTime", now.UTC().Format(time.RFC3339)},
			{"MaxAllowedSkewMilliseconds", strconv.FormatInt(maxClockSkew.Milliseconds(), 10)},
			hint("The clocks differ by " + ahead.Abs().Round(time.Second).String() + "."),
		}}
	}
	if end := s.time.Add(s.expires); s.expires > 0 && now.After(end) {
		return &Refusal{Err: ErrPresignExpired, Elements: []Element{
			{"X-Amz-Expires", strconv.FormatInt(int64(s.expires/time.Second), 10)},
			{"Expires", end.Format(time.RFC3339)},
			{"ServerTime", now.UTC().Format(time.RFC3339)},
		}}
	}
	return nil
}

// collect returns the headers that the signature covers. Those that S3 acts on must be among them, since what is not
// signed can be added by whoever carries the request (x-amz-copy-source reads another object).
func (s *signed) collect(headers []sigv4.Header) ([]sigv4.Header, error) {
	out := make([]sigv4.Header, 0, len(s.headers)+2)
	for _, name := range s.headers {
		before := len(out)
		for _, h := range headers {
			if h.Name == name {
				out = append(out, h)
			}
		}
		if len(out) == before {
			return nil, fmt.Errorf("%w: the signed header %s is not in the request", ErrSignature, name)
		}
	}
	var unsigned []string
	for _, h := range headers {
		if strings.HasPrefix(h.Name, "x-amz-") || h.Name == "content-md5" {
			if _, covered := slices.BinarySearch(s.headers, h.Name); !covered {
				unsigned = append(unsigned, h.Name)
			}
		}
	}
	if unsigned != nil {
		return nil, unsignedHeaders(unsigned)
	}
	return out, nil
}

func unsignedHeaders(names []string) error {
	return &Refusal{Err: ErrUnsignedHeader, Elements: []Element{{"HeadersNotSigned", strings.Join(names, ", ")}}}
}

// unknownKey words a refusal of an access key id as S3 does, for which it is none of its own. Why it is none, we tell.
func unknownKey(accessKeyID string, err error) error {
	if !errors.Is(err, ErrToken) {
		return err
	}
	return &Refusal{Err: ErrToken, Elements: []Element{{"AWSAccessKeyId", shownID(accessKeyID)}, hint(err.Error())}}
}
