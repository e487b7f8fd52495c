package agent

import (
	"encoding/base64"
	"encoding/hex"
	"errors"
	"io"
	"net/http"
	"strconv"
	"strings"

	"partway/auth/sigv4"
	"partway/proxy/awschunked"
)

// put sends an object or a part to storage by a signed request or, where the gateway does not sign it, through the gateway.
func (s *Server) put(w http.ResponseWriter, r *http.Request, o object, chunks *sigv4.Chunks) error {
	part := o.uploadID != ""
	number, err := strconv.Atoi(o.partNumber)
	if part && err != nil {
		return &Refusal{Status: 400, Code: "InvalidArgument", Message: "Part number must be an integer between 1 and 10000, inclusive."}
	}
	c, err := contentOf(r, chunks, part)
	if err != nil {
		return err
	}
	if part {
		skipped, release, err := s.skip(w, r, o, number, c)
		defer release()
		if skipped || err != nil {
			return err
		}
	}
	switch {
	case c.trailer != "" && c.length > maxHeld:
		return s.relay(w, r, c) // its checksum would be known too late to be signed
	case c.trailer != "":
		release, err := s.keep(r.Context(), c)
		defer release()
		if err != nil {
			return err
		}
	case c.length == 0: // there is no last byte to hold back
		if _, err := io.Copy(io.Discard, c); err != nil {
			return err
		}
	}
	call := signCall{Bucket: o.bucket, Key: o.key, UploadID: o.uploadID, Parts: []Body{{PartNumber: number, ContentLength: &c.length, Headers: c.declare}}}
	sign := func() (Signed, error) {
		signed, err := s.client.sign(r.Context(), call)
		if err != nil {
			return Signed{}, err
		}
		return signed[0], nil
	}
	header, err := s.client.put(r.Context(), sign, c, c.length)
	if unsigned := (*Refusal)(nil); errors.As(err, &unsigned) && unsigned.reason != "" {
		return s.relay(w, r, c)
	}
	if err != nil {
		return err
	}
	if part {
		s.client.landed(upload{o.bucket, o.key, o.uploadID}, landedOf(number, c, header.Get("Etag")))
	}
	copyHeaders(w.Header(), header)
	w.Header().Set("X-Partway-Transfer", "sign")
	w.WriteHeader(http.StatusOK)
	return nil
}

// relay sends a body that was not signed for storage through the gateway, decoded where only this endpoint can decode it.
func (s *Server) relay(w http.ResponseWriter, r *http.Request, c *content) error {
	s.client.Stats.RelayedBytes.Add(c.length)
	s.client.Stats.RelayedBodies.Add(1)
	payload := r.Header.Get("X-Amz-Content-Sha256")
	headers := map[string]string{}
	switch {
	case payload == sigv4.StreamingUnsignedTrailer && c.trailer != "": // the gateway passes this form on, its checksum with it
		return s.pass(w, r, r.Body, r.ContentLength, nil)
	case c.trailer != "": // the same, once the signatures are verified
		length := awschunked.ReframedLength(c.length, c.trailer)
		if length < 0 {
			return errTrailer(c.trailer)
		}
		headers["X-Amz-Content-Sha256"] = sigv4.StreamingUnsignedTrailer
		return s.pass(w, r, awschunked.Reframe(r.Body, c.framing), length, headers)
	case strings.HasPrefix(payload, "STREAMING-"):
		headers["X-Amz-Content-Sha256"] = sigv4.UnsignedPayload
	}
	for _, name := range []string{"X-Amz-Decoded-Content-Length", "X-Amz-Trailer"} {
		headers[name] = ""
	}
	headers["Content-Encoding"] = withoutChunked(r.Header.Get("Content-Encoding"))
	for name, value := range c.declare {
		headers[http.CanonicalHeaderKey(name)] = value
	}
	return s.pass(w, r, c, c.length, headers)
}

// landedOf is what a report says of a part that storage has taken. What was declared storage has verified.
func landedOf(number int, c *content, etag string) Landed {
	l := Landed{PartNumber: number, ContentLength: c.length, ETag: etag, SHA256: c.sha256}
	for name, value := range c.declare {
		algorithm, ok := strings.CutPrefix(name, "x-amz-checksum-")
		if ok && isChecksum(name) {
			l.Checksum = algorithm + ":" + value
		}
		if sum, err := base64.StdEncoding.DecodeString(value); err == nil {
			switch name {
			case "content-md5":
				l.MD5 = hex.EncodeToString(sum)
			case "x-amz-checksum-sha256":
				l.SHA256 = hex.EncodeToString(sum)
			}
		}
	}
	if verifiable(c.declare) && c.declare["x-amz-checksum-sha256"] == "" {
		l.SHA256 = "" // nobody held the bytes to it
	}
	return l
}

// wireName writes a header's name as S3 does: x-amz-* in lower case, for some SDKs show the names of metadata as they came.
func wireName(name string) string {
	if strings.HasPrefix(name, "X-Amz-") {
		return strings.ToLower(name)
	}
	return name
}

// copyHeaders gives the child what storage said of the object. Where storage is, is not its business.
func copyHeaders(to, from http.Header) {
	for name, values := range from {
		switch {
		case name == "X-Amz-Bucket-Region" || name == "Location":
		case strings.HasPrefix(name, "X-Amz-"), name == "Etag", name == "Last-Modified", name == "Accept-Ranges", strings.HasPrefix(name, "Content-"),
			name == "Cache-Control", name == "Expires":
			to[wireName(name)] = values
		}
	}
	if to.Get("Content-Length") == "" {
		to.Del("Content-Length")
	}
}
