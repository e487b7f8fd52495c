package proxy

import (
	"bytes"
	"crypto/md5"
	"encoding/hex"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"partway/auth/sigv4"
	"partway/tracking"
)

// listedPart is one part of a Complete's list. Its checksums go to storage with the body, which is passed on as it came.
type listedPart struct {
	PartNumber int
	ETag       string
}

// parsePartList reads the body of a Complete as a stream, part by part, without a DTD: what is too long is refused when the limit is
// reached, and not after it was held whole.
func parsePartList(body []byte) ([]listedPart, error) {
	d := xml.NewDecoder(bytes.NewReader(body))
	var parts []listedPart
	depth := 0
	for {
		t, err := d.Token()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, errMalformedXML.because(err)
		}
		switch t := t.(type) {
		case xml.Directive:
			return nil, errMalformedXML.because(errors.New("a DTD"))
		case xml.StartElement:
			if depth == 0 {
				if t.Name.Local != "CompleteMultipartUpload" {
					return nil, errMalformedXML
				}
				depth++
				continue
			}
			if t.Name.Local != "Part" {
				return nil, errMalformedXML
			}
			p, err := parsePart(d, &t)
			if err != nil {
				return nil, err
			}
			if parts = append(parts, p); len(parts) > maxParts {
				return nil, errMalformedXML.because(errors.New("more than 10000 parts"))
			}
		case xml.EndElement:
			depth--
		}
	}
	if len(parts) == 0 || depth != 0 {
		return nil, errMalformedXML
	}
	return parts, nil
}

func parsePart(d *xml.Decoder, t *xml.StartElement) (listedPart, error) {
	var p struct {
		PartNumber *int
		ETag       *string
	}
	switch err := d.DecodeElement(&p, t); {
	case err != nil:
		return listedPart{}, errMalformedXML.because(err)
	case p.PartNumber == nil || p.ETag == nil:
		return listedPart{}, errMalformedXML.because(errors.New("a part without PartNumber or ETag"))
	case *p.PartNumber < 1:
		return listedPart{}, invalidArgument("PartNumber", strconv.Itoa(*p.PartNumber), "PartNumber must be >= 1")
	case *p.PartNumber > maxParts:
		return listedPart{}, invalidArgument("PartNumber", strconv.Itoa(*p.PartNumber), "Part number must be an integer between 1 and 10000, inclusive.")
	}
	return listedPart{*p.PartNumber, *p.ETag}, nil
}

// multipartETag is the ETag that S3 gives an object made of these parts: the MD5 of their MD5s, and how many they were. "" if
// one of them is no MD5, as with some encryption.
func multipartETag(parts []listedPart) string {
	h := md5.New()
	for _, p := range parts {
		sum, err := hex.DecodeString(strings.Trim(p.ETag, `"`))
		if err != nil || len(sum) != md5.Size {
			return ""
		}
		h.Write(sum)
	}
	return fmt.Sprintf(`"%s-%d"`, hex.EncodeToString(h.Sum(nil)), len(parts))
}

// completeXML is the answer to a Complete whose own answer nobody saw.
func completeXML(u *tracking.Upload, etag string) []byte {
	return encodeXML(struct {
		XMLName  xml.Name `xml:"CompleteMultipartUploadResult"`
		Xmlns    string   `xml:"xmlns,attr"`
		Location string
		Bucket   string
		Key      string
		ETag     string
	}{Xmlns: s3Namespace, Location: u.Completion.Location, Bucket: u.Bucket, Key: u.Key, ETag: etag})
}

// location names the object as this client reaches it.
func location(r *Request) string {
	u := url.URL{Scheme: "http", Host: r.Host}
	if r.Secure {
		u.Scheme = "https"
	}
	path := sigv4.EncodePath("/" + r.Key)
	if r.OnBase {
		path = "/" + r.Bucket + path
	}
	return u.String() + path
}

func isErrorXML(body []byte) bool {
	code, _ := errorElements(body)
	return code != ""
}

// statusOfCode is the status that an <Error> inside a 200 would have had.
func statusOfCode(body []byte) int {
	code, _ := errorElements(body)
	switch code {
	case "InternalError":
		return http.StatusInternalServerError
	case "ServiceUnavailable", "SlowDown":
		return http.StatusServiceUnavailable
	case "NoSuchUpload", "NoSuchKey", "NoSuchBucket":
		return http.StatusNotFound
	case "PreconditionFailed":
		return http.StatusPreconditionFailed
	case "AccessDenied":
		return http.StatusForbidden
	case "OperationAborted", "ConditionalRequestConflict":
		return http.StatusConflict
	}
	return http.StatusBadRequest
}
