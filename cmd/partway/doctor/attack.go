package doctor

import (
	"bytes"
	"context"
	"net/http"
	"strings"

	"partway/auth/sigv4"
	"partway/proxy/storage"
)

// attacks plays the holder of a signed URL who adds to the request what nobody signed.
func (x *examination) attacks(ctx context.Context) {
	x.copyPart(ctx)
	x.copyObject(ctx)
	for _, a := range additions {
		x.addition(ctx, a)
	}
	x.longer(ctx)
}

const doCopy = "give presign_put an identity that cannot read"

// source names the victim as x-amz-copy-source does.
func (x *examination) source() []sigv4.Header {
	return []sigv4.Header{{Name: "x-amz-copy-source", Value: "/" + x.bucket + "/" + sigv4.EncodePath(x.own.key(victim))}}
}

// copyPart makes an UploadPart into an UploadPartCopy.
func (x *examination) copyPart(ctx context.Context) {
	const name, key = "unsigned x-amz-copy-source: UploadPart", "attacker/copied-part"
	id, err := x.own.create(ctx, key)
	if err != nil {
		x.say(Fail, name, err.Error(), "")
		return
	}
	c := x.own.put(key, storage.Param{Name: "partNumber", Value: "1"}, storage.Param{Name: "uploadId", Value: id})
	a, err := x.follow(ctx, c, body, x.source(), nil)
	x.judgeCopy(name, a, err, func() ([]byte, error) { return x.complete(ctx, key, id) })
}

// copyObject makes a PutObject into a CopyObject.
func (x *examination) copyObject(ctx context.Context) {
	const name, key = "unsigned x-amz-copy-source: PutObject", "attacker/copied-object"
	a, err := x.follow(ctx, x.own.put(key), body, x.source(), nil)
	x.judgeCopy(name, a, err, func() ([]byte, error) { return x.stored(ctx, key) })
}

// judgeCopy says whose bytes arrived. What cannot be told is a failure.
func (x *examination) judgeCopy(name string, a *answer, err error, arrived func() ([]byte, error)) {
	if !x.taken(name, a, err) {
		return
	}
	switch stored, err := arrived(); {
	case err != nil:
		x.say(Fail, name, "taken, and what arrived cannot be told: "+err.Error(), doCopy)
	case bytes.Contains(stored, x.own.secret):
		x.say(Fail, name, "ANOTHER TENANT'S BYTES ARRIVED", doCopy)
	case bytes.Equal(stored, body):
		x.say(OK, name, "ignored: the body arrived", "")
	default:
		x.say(Fail, name, "taken, and neither body nor source arrived", doCopy)
	}
}

// addition is something to add to a signed PutObject.
type addition struct {
	name     string
	headers  []sigv4.Header
	query    string
	effect   string // the sub-resource in which an effect would show, "" for the object's head
	shows    string // what shows there then
	severity Status
	do       string
}

const doMetadata = "trust no metadata of redirected objects; tokens with force_headers are always relayed"

var additions = []addition{
	{"unsigned x-amz-acl", []sigv4.Header{{Name: "x-amz-acl", Value: "public-read"}}, "", "acl", "AllUsers", Fail, "leave s3:PutObjectAcl out of the put identity's policy, or block public access"},
	{"unsigned ?acl", []sigv4.Header{{Name: "x-amz-acl", Value: "public-read"}}, "&acl", "acl", "AllUsers", Fail, "leave s3:PutObjectAcl out of the put identity's policy, or block public access"},
	{"unsigned x-amz-tagging", []sigv4.Header{{Name: "x-amz-tagging", Value: "partway-doctor=tagged"}}, "", "tagging", "partway-doctor", Warn, "trust no tags of redirected objects; where storage asks for s3:PutObjectTagging, leave it out of the put identity's policy"},
	{"unsigned x-amz-meta-*", []sigv4.Header{{Name: "x-amz-meta-partway-doctor", Value: "added"}}, "", "", "x-amz-meta-partway-doctor", Warn, doMetadata},
}

// addition tries one, and looks what it did: a server may take a header and make nothing of it.
func (x *examination) addition(ctx context.Context, a addition) {
	key := "attacker/added"
	if err := x.expect(x.ask(ctx, x.own.put(key), body)); err != nil {
		x.say(Fail, a.name, err.Error(), "")
		return
	}
	got, err := x.follow(ctx, x.own.put(key), body, a.headers, func(r *http.Request) { r.URL.RawQuery += a.query })
	if !x.taken(a.name, got, err) {
		return
	}
	look := x.own.call(http.MethodGet, key)
	if a.effect != "" {
		look.Query = []storage.Param{{Name: a.effect}}
	}
	seen, err := x.ask(ctx, look, nil)
	switch {
	case err != nil:
		x.say(Fail, a.name, err.Error(), "")
	case a.effect == "" && seen.header.Get(a.shows) != "", a.effect != "" && strings.Contains(string(seen.body), a.shows):
		x.say(a.severity, a.name, "taken, and it has its effect", a.do)
	default:
		x.say(OK, a.name, "taken, without effect", "")
	}
}

// longer sends more than was signed. max_object_bytes holds by what storage makes of that.
func (x *examination) longer(ctx context.Context) {
	const name = "longer body than signed"
	a, err := x.follow(ctx, x.own.put("attacker/longer"), append(bytes.Clone(body), body...), nil, nil)
	if x.taken(name, a, err) {
		x.say(Fail, name, "taken", "let tokens with max_object_bytes relay only: this storage does not hold URLs to their length")
	}
}

// taken reports whether storage took what it should refuse. If not, it has said how that went.
func (x *examination) taken(name string, a *answer, err error) bool {
	switch {
	case err != nil:
		x.say(Fail, name, err.Error(), "")
	case a.ok():
		return true
	case a.refused():
		x.say(OK, name, "refused: "+a.String(), "")
	default:
		x.say(Fail, name, "neither taken nor refused: "+a.String(), "try again when storage is well")
	}
	return false
}
