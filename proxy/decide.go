package proxy

import (
	"slices"
	"strings"
	"time"
)

// Road is how a body travels.
type Road string

// The roads.
const (
	RoadNone     Road = "none"
	RoadRelay    Road = "relay"
	RoadRedirect Road = "redirect"
	RoadSign     Road = "sign"
	RoadSkip     Road = "skip" // the body need not travel: storage has it
)

// Reasons for a road.
const (
	reasonAsked      = "client-asked"
	reasonToken      = "token"
	reasonDefault    = "default"
	reasonSameHost   = "same-host"
	reasonAWSChunked = "aws-chunked"
	reasonUnsignable = "unsignable-header"
	reasonPolicy     = "policy"
	reasonSlow       = "slow"
	reasonIdentity   = "identity"
	reasonStored     = "already-stored"
	reasonResumed    = "resumed"  // of a Create: no new upload was made
	reasonRepeated   = "repeated" // of a Complete: an earlier one had ended it
)

// slowDecision is how long a decision may take to stay a redirect: botocore sends its body 1 s after Expect.
const slowDecision = 500 * time.Millisecond

// facts are what a road is chosen by.
type facts struct {
	wish       string   // x-partway-transfer: "", "redirect", "relay"; "sign" of who asks for signed requests
	policy     []string // roads that the token's scope allows; empty: all
	fallback   Road     // transfer.default
	awsChunked bool     // the body has framing that storage would not take from a presigned request
	unsignable bool     // the client will replay a header that cannot be signed for storage
	sameHost   bool     // storage's host is the client's own, or below it: clients that follow would replay Authorization there
	noIdentity bool     // there are no credentials to sign the URL with
	took       time.Duration
}

// decide chooses the cheapest road that this client can take. Redirect and sign only where they were asked for, by the client, its token or
// the configuration; never by a guess at a User-Agent. Who asks for a signed request sends exactly what it is told, so neither storage's
// host nor the time matters there. An error means that the token's policy leaves no road.
func decide(f facts) (Road, string, error) {
	allows := func(road Road) bool { return len(f.policy) == 0 || slices.Contains(f.policy, string(road)) }
	asked, reason := Road(f.wish), reasonAsked
	switch {
	case f.wish != "":
	case !allows(RoadRelay):
		asked, reason = RoadRedirect, reasonToken
	default:
		asked, reason = f.fallback, reasonDefault
	}
	if asked == RoadRelay {
		return relayOr(allows, reason)
	}
	switch {
	case !allows(asked):
		return relayOr(allows, reasonPolicy)
	case f.awsChunked:
		return relayOr(allows, reasonAWSChunked)
	case f.unsignable:
		return relayOr(allows, reasonUnsignable)
	case asked == RoadRedirect && f.sameHost:
		return relayOr(allows, reasonSameHost)
	case asked == RoadRedirect && f.took > slowDecision:
		return relayOr(allows, reasonSlow)
	case f.noIdentity:
		return relayOr(allows, reasonIdentity)
	}
	return asked, reason, nil
}

func relayOr(allows func(Road) bool, reason string) (Road, string, error) {
	if !allows(RoadRelay) {
		return RoadNone, reasonPolicy, errAccessDenied.saying("The token does not allow this body to be relayed, and it cannot go to storage directly (" + reason + ").")
	}
	return RoadRelay, reason, nil
}

// SameSite reports whether a client that talks to host would take storage for the same site: the host itself or a sub-domain of it.
// Go's net/http keeps Authorization there when it follows a redirect.
func SameSite(host, storage string) bool {
	h, s := hostName(host), hostName(storage)
	return h == s || strings.HasSuffix(s, "."+h)
}
