package auth

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
)

// maxPolicyBytes is AWS's, in characters there, of an inline session policy.
const maxPolicyBytes = 2048

const (
	policyVersion = "2012-10-17"
	s3ARN         = "arn:aws:s3:::"
)

// Policy is an inline session policy, of the small subset that a scope can express.
type Policy struct{ statements []statement }

// statement allows actions on buckets and on what lies under prefixes.
type statement struct {
	actions   []string // "s3:PutObject", or "s3:*"
	resources []resource
}

// resource is a bucket itself, or the keys in it that begin with prefix.
type resource struct {
	bucket, prefix string
	itself         bool
}

// ParsePolicy reads
//
//	{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"s3:GetObject","Resource":"arn:aws:s3:::uploads/acme/in/*"}]}
//
// where Action is s3:* or S3's names, and Resource arn:aws:s3:::BUCKET/PREFIX* or, for the actions on a bucket itself,
// arn:aws:s3:::BUCKET; each one or a list. Sid and Id may stand there. ErrPolicy for anything else (Deny, Condition, other
// wildcards): what is not understood might take something away. ErrPolicyTooLarge over 2048 bytes.
func ParsePolicy(text string) (*Policy, error) {
	if len(text) > maxPolicyBytes {
		return nil, fmt.Errorf("%w: %d bytes, %d are allowed", ErrPolicyTooLarge, len(text), maxPolicyBytes)
	}
	p, err := parsePolicy([]byte(text))
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrPolicy, err)
	}
	return p, nil
}

func parsePolicy(text []byte) (*Policy, error) {
	document, err := object(text, "Version", "Id", "Statement")
	if err != nil {
		return nil, err
	}
	if version, err := oneOrMore(document["Version"]); err != nil || len(version) != 1 || version[0] != policyVersion {
		return nil, fmt.Errorf("its Version must be %q", policyVersion)
	}
	var list []json.RawMessage
	if raw := document["Statement"]; len(raw) > 0 && raw[0] == '{' {
		list = []json.RawMessage{raw}
	} else if json.Unmarshal(raw, &list) != nil || len(list) == 0 {
		return nil, errors.New("it has no statement")
	}
	p := &Policy{}
	for i, raw := range list {
		s, err := parseStatement(raw)
		if err != nil {
			return nil, fmt.Errorf("statement %d: %w", i+1, err)
		}
		p.statements = append(p.statements, s)
	}
	return p, nil
}

func parseStatement(raw []byte) (s statement, err error) {
	fields, err := object(raw, "Sid", "Effect", "Action", "Resource")
	if err != nil {
		return s, err
	}
	if effect, err := oneOrMore(fields["Effect"]); err != nil || len(effect) != 1 || effect[0] != "Allow" {
		return s, errors.New("its Effect must be Allow")
	}
	if s.actions, err = oneOrMore(fields["Action"]); err != nil {
		return s, fmt.Errorf("its Action: %w", err)
	}
	for _, a := range s.actions {
		if name, ok := strings.CutPrefix(a, "s3:"); !ok || name == "" || name != "*" && strings.ContainsAny(name, "*?$") {
			return s, fmt.Errorf("action %q: want s3:* or one of S3's names", a)
		}
	}
	resources, err := oneOrMore(fields["Resource"])
	if err != nil {
		return s, fmt.Errorf("its Resource: %w", err)
	}
	for _, text := range resources {
		r, err := parseResource(text)
		if err != nil {
			return s, err
		}
		s.resources = append(s.resources, r)
	}
	return s, nil
}

func parseResource(text string) (resource, error) {
	rest, ok := strings.CutPrefix(text, s3ARN)
	bucket, prefix, inside := strings.Cut(rest, "/")
	prefix, glob := strings.CutSuffix(prefix, "*")
	if !ok || !bucketName.MatchString(bucket) || inside != glob || strings.ContainsAny(prefix, "*?$") {
		return resource{}, fmt.Errorf("resource %q: want %sBUCKET/PREFIX* or %sBUCKET", text, s3ARN, s3ARN)
	}
	return resource{bucket: bucket, prefix: prefix, itself: !inside}, nil
}

// object reads a JSON object whose keys are among those allowed, to the letter, and each there once: encoding/json would
// take any case, and the last of two.
func object(text []byte, allowed ...string) (map[string]json.RawMessage, error) {
	d := json.NewDecoder(bytes.NewReader(text))
	if open, err := d.Token(); err != nil || open != json.Delim('{') {
		return nil, errors.New("it is not a JSON object")
	}
	fields := map[string]json.RawMessage{}
	for d.More() {
		name, err := d.Token()
		if err != nil {
			return nil, fmt.Errorf("it is not JSON: %w", err)
		}
		key := name.(string) // a key of an object is nothing else
		if !slices.Contains(allowed, key) {
			return nil, fmt.Errorf("%q is not supported", key)
		}
		if _, twice := fields[key]; twice {
			return nil, fmt.Errorf("%q stands twice", key)
		}
		var value json.RawMessage
		if err := d.Decode(&value); err != nil {
			return nil, fmt.Errorf("it is not JSON: %w", err)
		}
		fields[key] = value
	}
	if _, err := d.Token(); err != nil {
		return nil, fmt.Errorf("it is not JSON: %w", err)
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return nil, errors.New("something follows it")
	}
	return fields, nil
}

// oneOrMore reads a string or a list of some.
func oneOrMore(raw json.RawMessage) ([]string, error) {
	var one string
	if len(raw) > 0 && raw[0] == '"' && json.Unmarshal(raw, &one) == nil {
		return []string{one}, nil
	}
	var list []*string
	if json.Unmarshal(raw, &list) != nil || len(list) == 0 || slices.Contains(list, nil) {
		return nil, errors.New("want text or a list of texts")
	}
	out := make([]string, len(list))
	for i, s := range list {
		out[i] = *s
	}
	return out, nil
}
