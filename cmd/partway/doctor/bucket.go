package doctor

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net/http"

	"partway/proxy/storage"
)

// isThere lists what is under the own prefix, which needs the bucket and valid credentials, and finds nothing.
func (x *examination) isThere(ctx context.Context) bool {
	const name = "bucket"
	a, err := x.own.list(ctx)
	switch {
	case err != nil:
		x.say(Fail, name, err.Error(), "")
	case a.status == http.StatusNotFound:
		x.say(Fail, name, a.String(), "create it at the storage: Partway makes no buckets")
	case !a.ok():
		x.say(Fail, name, a.String(), "check access_key_id, secret_access_key and region, and that they may list the bucket")
	default:
		x.say(OK, name, "is there, credentials are valid", "")
		return true
	}
	return false
}

// victim is the object of another tenant that the attacks are after. Its length is no other body's.
const victim = "victim/object"

// controls makes the victim, and tries what else the gateway does with its credentials.
func (x *examination) controls(ctx context.Context) bool {
	x.own.secret = []byte("This belongs to another tenant: " + rand.Text())
	for _, step := range []struct {
		name string
		try  func() error
	}{
		{"PutObject", func() error { return x.expect(x.ask(ctx, x.own.call(http.MethodPut, victim), x.own.secret)) }},
		{"GetObject", func() error {
			a, err := x.ask(ctx, x.own.call(http.MethodGet, victim), nil)
			if err := x.expect(a, err); err != nil {
				return err
			}
			if !bytes.Equal(a.body, x.own.secret) {
				return errors.New("other bytes than were put")
			}
			return nil
		}},
		{"CreateMultipartUpload and ListParts", func() error {
			id, err := x.own.create(ctx, victim)
			if err != nil {
				return err
			}
			_, err = x.Backend.ListParts(ctx, x.bucket, x.own.key(victim), id)
			return err
		}},
		{"DeleteObject", func() error {
			if err := x.expect(x.ask(ctx, x.own.call(http.MethodPut, "spare"), nil)); err != nil {
				return err
			}
			return x.expect(x.ask(ctx, x.own.call(http.MethodDelete, "spare"), nil))
		}},
	} {
		if err := step.try(); err != nil {
			x.say(Fail, "credentials", step.name+": "+err.Error(), "allow the backend's credentials all that the gateway does")
			return false
		}
	}
	x.say(OK, "credentials", "may put, get, list, delete and begin uploads", "")
	return true
}

// expect is an error unless storage did what it was asked.
func (x *examination) expect(a *answer, err error) error {
	if err == nil && !a.ok() {
		return errors.New(a.String())
	}
	return err
}

// stored reads what is under an own key.
func (x *examination) stored(ctx context.Context, name string) ([]byte, error) {
	a, err := x.ask(ctx, x.own.call(http.MethodGet, name), nil)
	if err := x.expect(a, err); err != nil {
		return nil, fmt.Errorf("reading %s: %w", name, err)
	}
	return a.body, nil
}

// complete ends an own upload of one part and returns what then is under the key.
func (x *examination) complete(ctx context.Context, name, uploadID string) ([]byte, error) {
	parts, err := x.Backend.ListParts(ctx, x.bucket, x.own.key(name), uploadID)
	if err != nil {
		return nil, err
	}
	var list bytes.Buffer
	list.WriteString("<CompleteMultipartUpload>")
	for _, p := range parts {
		fmt.Fprintf(&list, "<Part><PartNumber>%d</PartNumber><ETag>%s</ETag></Part>", p.Number, p.ETag)
	}
	list.WriteString("</CompleteMultipartUpload>")
	c := x.own.call(http.MethodPost, name, storage.Param{Name: "uploadId", Value: uploadID})
	if err := x.expect(x.ask(ctx, c, list.Bytes())); err != nil {
		return nil, fmt.Errorf("CompleteMultipartUpload: %w", err)
	}
	return x.stored(ctx, name)
}
