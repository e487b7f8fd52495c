package auth

import (
	"fmt"
	"regexp"
	"strings"
)

// Refusal is one of this package's errors as S3 tells it: the sentence and the further elements of S3's error body, which clients
// read and people search for. What we know beyond that stands in an element of its own, Hint.
type Refusal struct {
	Err      error     // what errors.Is finds
	Message  string    // S3's sentence, where it depends on the request; "" where it is always the same
	Elements []Element // in order; one without a Value is left out
}

// Element is one element of S3's error body beside Code and Message.
type Element struct{ Name, Value string }

// hint is what helps the caller and S3 has no element for.
func hint(text string) Element { return Element{"Hint", text} }

func (r *Refusal) Error() string {
	var b strings.Builder
	b.WriteString(r.Err.Error())
	if r.Message != "" {
		b.WriteString(": " + r.Message)
	}
	for _, e := range r.Elements {
		switch {
		case e.Value == "":
		case e.Name == "Hint":
			b.WriteString(": " + e.Value)
		default:
			b.WriteString(": " + e.Name + " " + e.Value)
		}
	}
	return b.String()
}

// Unwrap returns Err.
func (r *Refusal) Unwrap() error { return r.Err }

// place is where a SigV4 credential stands, which decides how S3 words what is wrong with it.
type place struct {
	err    error
	prefix string // of the sentences about the credential
}

var (
	headerPlace = place{ErrMalformed, "The authorization header is malformed; "}
	queryPlace  = place{ErrMalformedQuery, "Error parsing the X-Amz-Credential parameter; "}
)

// malformed words what is wrong with a credential.
func (p place) malformed(format string, args ...any) *Refusal {
	return &Refusal{Err: p.err, Message: p.prefix + fmt.Sprintf(format, args...)}
}

// invalidQuery words what is wrong with another parameter of a presigned request.
func invalidQuery(format string, args ...any) *Refusal {
	return &Refusal{Err: ErrMalformedQuery, Message: fmt.Sprintf(format, args...)}
}

func invalidArgument(name, value, message string) *Refusal {
	return &Refusal{Err: ErrInvalidArgument, Message: message, Elements: []Element{{"ArgumentName", name}, {"ArgumentValue", shown(value)}}}
}

// maxShown is shorter than any secret: a secret access key has 40 characters or more, a signature 64.
const maxShown = 32

// shown is what a caller sent, to be shown back; "" for what might hold a token, a secret or a signature: one in the wrong place
// must not end in a log.
func shown(sent string) string {
	if len(sent) > maxShown || strings.Contains(sent, ".") {
		return ""
	}
	return sent
}

// Access key ids of other servers have letters of one case. Secrets and tokens mix them, signatures are hexadecimal: that a random one
// of 40 characters passes for an id has a chance of one in a thousand million.
var (
	oneCase     = regexp.MustCompile(`^(?:[A-Z0-9_]{1,128}|[a-z0-9_]{1,128})$`)
	hexadecimal = regexp.MustCompile(`^[0-9A-Fa-f]+$`)
)

// shownID is shown for an access key id, which may be longer if it is surely none of ours.
func shownID(id string) string {
	if oneCase.MatchString(id) && !hexadecimal.MatchString(id) {
		return id
	}
	return shown(id)
}
