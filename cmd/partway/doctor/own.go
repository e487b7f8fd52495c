package doctor

import (
	"context"
	"crypto/rand"
	"encoding/xml"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"partway/proxy/storage"
)

// own is the test objects: all under one random prefix, so that none can be anybody's.
type own struct {
	x       *examination
	prefix  string
	secret  []byte // the victim's body
	keys    []string
	uploads [][2]string // key, id
}

func newOwn(x *examination) *own {
	return &own{x: x, prefix: x.Prefix + "partway-doctor-" + strings.ToLower(rand.Text()) + "/"}
}

// attacker is the tenant that the tests are; what is under victim/ is another's.
func (o *own) attacker() storage.Grantee {
	return storage.Grantee{Tenant: "partway-doctor", Prefix: o.prefix + "attacker/"}
}

// key is an own key, to be taken away at the end.
func (o *own) key(name string) string {
	key := o.prefix + name
	if !slices.Contains(o.keys, key) {
		o.keys = append(o.keys, key)
	}
	return key
}

// call is a call about an own key.
func (o *own) call(method, name string, query ...storage.Param) *storage.Call {
	return &storage.Call{Method: method, Bucket: o.x.bucket, Key: o.key(name), Query: query, ContentLength: -1}
}

// create begins an own multipart upload.
func (o *own) create(ctx context.Context, name string) (uploadID string, err error) {
	c := o.call(http.MethodPost, name, storage.Param{Name: "uploads"})
	a, err := o.x.ask(ctx, c, nil)
	if err != nil {
		return "", err
	}
	var made struct{ UploadId string }
	if err := xml.Unmarshal(a.body, &made); !a.ok() || err != nil || made.UploadId == "" {
		return "", fmt.Errorf("CreateMultipartUpload: %s", a)
	}
	o.uploads = append(o.uploads, [2]string{c.Key, made.UploadId})
	return made.UploadId, nil
}

// removeTimeout bounds taking away, also when the run was interrupted.
const removeTimeout = 30 * time.Second

// versions is how many versions of a key the tests can have made, with room.
const versions = 20

// cleanUp is the name of the last check of a bucket.
const cleanUp = "clean-up"

// remove takes away what was made, whether or not storage said that it was, and looks whether anything is left.
func (o *own) remove(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, removeTimeout)
	defer cancel()
	do := "delete what is under " + o.prefix
	for _, u := range o.uploads {
		if err := o.x.Backend.AbortUpload(ctx, o.x.bucket, u[0], u[1]); err != nil {
			o.x.say(Warn, cleanUp, err.Error(), "abort the multipart uploads under "+o.prefix)
			return
		}
	}
	for _, key := range o.keys {
		if err := o.removeKey(ctx, key); err != nil {
			o.x.say(Warn, cleanUp, err.Error(), do)
			return
		}
	}
	left, err := o.list(ctx)
	switch {
	case err != nil:
		o.x.say(Warn, cleanUp, err.Error(), do)
	case !left.ok() || len(keysIn(left.body)) > 0:
		o.x.say(Warn, cleanUp, fmt.Sprintf("list %s, %d objects left", left, len(keysIn(left.body))), do)
	default:
		o.x.say(OK, cleanUp, "nothing left under "+o.prefix, "")
	}
}

// removeKey deletes a key, in a versioned bucket each of its versions and delete markers.
func (o *own) removeKey(ctx context.Context, key string) error {
	for range versions {
		c := &storage.Call{Method: http.MethodHead, Bucket: o.x.bucket, Key: key}
		head, err := o.x.ask(ctx, c, nil)
		if err != nil {
			return err
		}
		if head.status == http.StatusNotFound && head.header.Get("x-amz-delete-marker") != "true" {
			return nil
		}
		c.Method = http.MethodDelete
		if version := head.header.Get("x-amz-version-id"); version != "" {
			c.Query = []storage.Param{{Name: "versionId", Value: version}}
		}
		if err := o.x.expect(o.x.ask(ctx, c, nil)); err != nil {
			return fmt.Errorf("delete %s: %w", key, err)
		}
	}
	return fmt.Errorf("%s has more than %d versions", key, versions)
}

func (o *own) list(ctx context.Context) (*answer, error) {
	return o.x.ask(ctx, &storage.Call{Method: http.MethodGet, Bucket: o.x.bucket,
		Query: []storage.Param{{Name: "list-type", Value: "2"}, {Name: "prefix", Value: o.prefix}}}, nil)
}

func keysIn(list []byte) []string {
	var page struct {
		Keys []string `xml:"Contents>Key"`
	}
	_ = xml.Unmarshal(list, &page) // an answer that is no list has no keys
	return page.Keys
}
