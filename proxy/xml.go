package proxy

import (
	"bytes"
	"encoding/xml"

	"partway/auth"
	"partway/auth/sigv4"
)

const (
	xmlDeclaration = `<?xml version="1.0" encoding="UTF-8"?>`
	s3Namespace    = "http://s3.amazonaws.com/doc/2006-03-01/"
)

var xmlType = sigv4.Header{Name: "content-type", Value: "application/xml"}

// encodeXML marshals one of the answer types below.
func encodeXML(v any) []byte {
	b, err := xml.Marshal(v)
	if err != nil {
		panic("encoding an answer: " + err.Error()) // only a type that cannot be marshalled gets here
	}
	return append([]byte(xmlDeclaration+"\n"), b...)
}

// errorXML is S3's error body. Never with an <Endpoint>: some clients would follow it with their own credentials.
func errorXML(e *Error, r *Request) []byte {
	type element struct {
		XMLName xml.Name
		Text    string `xml:",chardata"`
	}
	var more []element
	for _, e := range e.Elements {
		if e.Value != "" {
			more = append(more, element{xml.Name{Local: e.Name}, e.Value})
		}
	}
	return encodeXML(struct {
		XMLName   xml.Name `xml:"Error"`
		Code      string
		Message   string
		More      []element
		Resource  string
		RequestID string `xml:"RequestId"`
	}{Code: e.Code, Message: e.Message, More: more, Resource: r.Path, RequestID: r.ID})
}

// carried are the elements of storage's errors that clients are told. Others speak of storage itself: its ids of requests and uploads,
// its endpoint, the gateway's access key.
var carried = map[string]bool{
	"ActualObjectSize": true, "ActualPartCount": true, "ArgumentName": true, "ArgumentValue": true, "BadChunkSize": true, "BucketName": true,
	"CalculatedDigest": true, "Chunk": true, "ClientComputedContentSHA256": true, "Condition": true, "Content-MD5": true, "ETag": true,
	"ExpectedDigest": true, "Header": true, "Key": true, "LocationConstraint": true, "MaxSizeAllowed": true, "Method": true, "MinSizeAllowed": true,
	"PartNumber": true, "PartNumberRequested": true, "ProposedSize": true, "RangeRequested": true, "ResourceType": true,
	"S3ComputedContentSHA256": true, "Size": true, "TagKey": true, "TagValue": true, "VersionId": true, "additionalMessage": true,
}

// details reads what an error body of storage tells beside Code and Message.
func details(body []byte) []auth.Element {
	var e struct {
		XMLName xml.Name `xml:"Error"`
		More    []struct {
			XMLName xml.Name
			Text    string `xml:",chardata"`
		} `xml:",any"`
	}
	if xml.Unmarshal(body, &e) != nil {
		return nil
	}
	var out []auth.Element
	for _, m := range e.More {
		if carried[m.XMLName.Local] {
			out = append(out, auth.Element{Name: m.XMLName.Local, Value: m.Text})
		}
	}
	return out
}

// errorElements reads Code and Message of an error body of storage; both "" if it is none.
func errorElements(body []byte) (code, message string) {
	var e struct {
		XMLName xml.Name `xml:"Error"`
		Code    string
		Message string
	}
	if xml.Unmarshal(body, &e) != nil {
		return "", ""
	}
	return e.Code, e.Message
}

// replaceText replaces the text of the first <name> element. Storage's answers go on as they are, but for what must be ours.
func replaceText(body []byte, name, text string) []byte {
	open, end := []byte("<"+name+">"), []byte("</"+name+">")
	from := bytes.Index(body, open)
	if from < 0 {
		return body
	}
	from += len(open)
	to := bytes.Index(body[from:], end)
	if to < 0 {
		return body
	}
	var escaped bytes.Buffer
	_ = xml.EscapeText(&escaped, []byte(text)) // a bytes.Buffer takes everything
	return bytes.Join([][]byte{body[:from], escaped.Bytes(), body[from+to:]}, nil)
}
