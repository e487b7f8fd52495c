package sigv4

import (
	"strconv"
	"time"
)

// Signer signs requests with one identity. Safe for concurrent use; it keeps the day's key. The fields do not change
// after the first signature.
type Signer struct {
	AccessKeyID, Secret, SessionToken string
	Region, Service                   string

	keys KeyCache
}

// Signature returns the hex signature that r must carry, made at amzDate (in TimeFormat) under the key of s.
// ErrEscape if the path or the query cannot be decoded: no server could tell what such a request means.
func Signature(key Key, r *Request, amzDate string, s Scope) (string, error) {
	w := newWork()
	defer w.release()
	if err := w.addQuery(r.Query); err != nil {
		return "", err
	}
	w.setHeaders(r.Headers)
	if _, _, err := w.appendRequest(r); err != nil {
		return "", err
	}
	var hex [64]byte
	return string(w.sign(hex[:0], key, amzDate, s)), nil
}

// SignHeader returns the value of Authorization. r.Headers must hold host, x-amz-date (of now) and x-amz-content-sha256,
// and x-amz-security-token if the Signer has a SessionToken. It returns "" for a path or query that cannot be decoded;
// what EncodePath and EncodeQuery made always can.
func (s *Signer) SignHeader(r *Request, now time.Time) string {
	amzDate := now.UTC().Format(TimeFormat)
	scope := Scope{amzDate[:8], s.Region, s.Service}

	w := newWork()
	defer w.release()
	if err := w.addQuery(r.Query); err != nil {
		return ""
	}
	w.setHeaders(r.Headers)
	if _, _, err := w.appendRequest(r); err != nil {
		return ""
	}
	var hex [64]byte
	signature := w.sign(hex[:0], s.keys.Key(s.Secret, scope), amzDate, scope)

	w.buf = append(append(w.buf[:0], Algorithm+" Credential="...), s.AccessKeyID...)
	w.buf = scope.append(append(w.buf, '/'))
	w.buf = w.appendNames(append(w.buf, ", SignedHeaders="...), ";")
	w.buf = append(append(w.buf, ", Signature="...), signature...)
	return string(w.buf)
}

// Presign returns the whole query (r.Query, the X-Amz-* parameters and the signature) for a request whose signed headers
// are r.Headers and whose payload is UNSIGNED-PAYLOAD, whatever r.Payload says. Same bytes as the AWS SDK's presigner
// makes for the same input; the SDK sorts before it encodes, AWS's text says after, and parameters of S3 are named such
// that it is the same. It returns "" for a path or query that cannot be decoded, like SignHeader.
func (s *Signer) Presign(r *Request, ttl time.Duration, now time.Time) string {
	amzDate := now.UTC().Format(TimeFormat)
	scope := Scope{amzDate[:8], s.Region, s.Service}
	key := s.keys.Key(s.Secret, scope)

	w := newWork()
	defer w.release()
	if err := w.addQuery(r.Query); err != nil {
		return ""
	}
	w.setHeaders(r.Headers)
	w.addSigning(s, int64(ttl/time.Second), amzDate, scope)
	unsigned := *r
	unsigned.Payload = UnsignedPayload
	start, end, err := w.appendRequest(&unsigned)
	if err != nil {
		return ""
	}
	const suffix = "&" + signatureParam + "="
	out := make([]byte, 0, end-start+len(suffix)+64)
	out = append(append(out, w.buf[start:end]...), suffix...)
	return string(w.sign(out, key, amzDate, scope))
}

// addSigning adds the X-Amz-* parameters that stand for the Authorization header.
func (w *work) addSigning(s *Signer, seconds int64, amzDate string, scope Scope) {
	p := w.open("X-Amz-Algorithm")
	w.params = append(w.params, Algorithm...)
	w.close(p)
	p = w.open("X-Amz-Credential")
	w.params = append(appendEncoded(w.params, s.AccessKeyID, ""), "%2F"...)
	w.params = append(append(w.params, scope.Date...), "%2F"...)
	w.params = append(appendEncoded(w.params, scope.Region, ""), "%2F"...)
	w.params = append(appendEncoded(w.params, scope.Service, ""), "%2F"+Terminator...)
	w.close(p)
	p = w.open("X-Amz-Date")
	w.params = append(w.params, amzDate...)
	w.close(p)
	p = w.open("X-Amz-Expires")
	w.params = strconv.AppendInt(w.params, seconds, 10)
	w.close(p)
	p = w.open("X-Amz-SignedHeaders")
	w.params = w.appendNames(w.params, "%3B")
	w.close(p)
	if s.SessionToken != "" {
		p = w.open("X-Amz-Security-Token")
		w.params = appendEncoded(w.params, s.SessionToken, "")
		w.close(p)
	}
}
