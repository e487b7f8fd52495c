package proxy

import (
	"bytes"
	"encoding/xml"

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
	return encodeXML(struct {
		XMLName   xml.Name `xml:"Error"`
		Code      string
		Message   string
		Resource  string
		RequestID string `xml:"RequestId"`
	}{Code: e.Code, Message: e.Message, Resource: r.Path, RequestID: r.ID})
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
