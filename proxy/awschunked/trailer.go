package awschunked

import (
	"fmt"
	"strings"
)

const trailerSignature = "x-amz-trailer-signature"

// trailerLine takes a line behind the last chunk: the declared trailer, then in the signed form the signature over it, then the
// empty line that ends the body. Any other is refused, since nobody would verify it.
func (p *parser) trailerLine(line []byte) error {
	if len(line) == 0 {
		return p.end()
	}
	name, value, ok := strings.Cut(string(line), ":")
	if !ok {
		return fmt.Errorf("%w: trailer line without a colon", ErrTrailer)
	}
	name, value = strings.ToLower(name), strings.TrimSpace(value)
	switch {
	case name == trailerSignature && p.signedTrailer() && p.seenTrailer && !p.seenSignature:
		if !isSignature(value) {
			break
		}
		p.seenSignature = true
		if !p.o.Chunks.VerifyTrailer([]byte(p.o.Trailer+":"+p.value+"\n"), value) {
			return fmt.Errorf("%w: of the trailer", ErrSignature)
		}
		return nil
	case name != "" && name == p.o.Trailer && !p.seenTrailer:
		p.seenTrailer, p.value = true, value
		return nil
	}
	if p.seenTrailer { // something in the place of its signature, or of the end
		return fmt.Errorf("%w: %q after the trailer", ErrFraming, name)
	}
	return fmt.Errorf("%w: %q was not declared", ErrTrailer, name)
}

// signedTrailer reports whether the trailer must be followed by its signature.
func (p *parser) signedTrailer() bool { return p.o.Chunks != nil && p.o.Trailer != "" }

// end takes an empty line: the body's end, or the one that minio-go writes before x-amz-trailer-signature.
func (p *parser) end() error {
	if p.o.Trailer != "" && !p.seenTrailer {
		return fmt.Errorf("%w: the declared one is missing", ErrTrailer)
	}
	if p.signedTrailer() && !p.seenSignature {
		if p.skippedEmpty {
			return fmt.Errorf("%w: trailer without signature", ErrFraming)
		}
		p.skippedEmpty = true
		return nil
	}
	p.state = stateDone
	return nil
}
