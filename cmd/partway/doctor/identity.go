package doctor

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"partway/proxy/storage"
)

// What the attacker sends where they send what they were allowed to.
var body = []byte("The attacker's own body.")

// puts tries what the identity that signs uploads is for. If it cannot do that, a refusal of anything else says nothing.
func (x *examination) puts(ctx context.Context) bool {
	const name = "put identity puts"
	do := "allow it s3:PutObject, s3:AbortMultipartUpload and s3:ListMultipartUploadParts"
	err := func() error {
		if err := x.expect(x.follow(ctx, x.own.put("attacker/object"), body, nil, nil)); err != nil {
			return fmt.Errorf("PutObject: %w", err)
		}
		stored, err := x.part(ctx, "attacker/upload", body)
		if err == nil && !bytes.Equal(stored, body) {
			err = errors.New("UploadPart: other bytes than were sent")
		}
		return err
	}()
	if errors.Is(err, storage.ErrNoIdentity) {
		do = "check role_arn, sts_endpoint and external_id, and that presign_put may call sts:AssumeRole"
	}
	if err != nil {
		x.say(Fail, name, err.Error(), do)
		return false
	}
	seen := "PutObject and UploadPart by signed URLs, "
	switch {
	case x.Role:
		seen += "as a role with a session policy"
	case x.OwnPutIdentity:
		seen += "as presign_put"
	default:
		seen += "as the gateway's own credentials"
	}
	x.say(OK, name, seen, "")
	return true
}

// put is a call for the attacker's body.
func (o *own) put(name string, query ...storage.Param) *storage.Call {
	c := o.call(http.MethodPut, name, query...)
	c.ContentLength = int64(len(body))
	return c
}

// part sends one part by a signed URL, completes the upload and returns what is there then.
func (x *examination) part(ctx context.Context, name string, sent []byte) ([]byte, error) {
	id, err := x.own.create(ctx, name)
	if err != nil {
		return nil, err
	}
	c := x.own.put(name, storage.Param{Name: "partNumber", Value: "1"}, storage.Param{Name: "uploadId", Value: id})
	if err := x.expect(x.follow(ctx, c, sent, nil, nil)); err != nil {
		return nil, fmt.Errorf("UploadPart: %w", err)
	}
	return x.complete(ctx, name, id)
}

// putsOnly tries what the identity that signs uploads is not for.
func (x *examination) putsOnly(ctx context.Context) {
	const name = "put identity only puts"
	list := &storage.Call{Method: http.MethodGet, Bucket: x.bucket,
		Query: []storage.Param{{Name: "list-type", Value: "2"}, {Name: "prefix", Value: x.own.prefix}}}
	if err := x.expect(x.ask(ctx, x.own.call(http.MethodPut, "spare"), nil)); err != nil {
		x.say(Fail, name, "making an object to delete: "+err.Error(), "")
		return
	}
	may, ok := x.mayAs(ctx, name, x.Backend.DoAsPut, []deed{
		{"read", x.own.call(http.MethodGet, victim)},
		{"list", list},
		{"delete", x.own.call(http.MethodDelete, "spare")},
	})
	if !ok {
		return
	}
	if len(may) > 0 {
		do := "leave it s3:PutObject, s3:AbortMultipartUpload and s3:ListMultipartUploadParts alone"
		if !x.OwnPutIdentity {
			do = "configure presign_put: an identity that may do nothing but put"
		}
		x.say(Warn, name, "it may also "+strings.Join(may, ", "), do)
	} else {
		x.say(OK, name, "read, list and delete are refused", "")
	}
	if x.Role {
		x.staysInPrefix(ctx)
	}
}

// deed is something that an identity should be refused.
type deed struct {
	can  string
	call *storage.Call
}

// mayAs tries deeds as an identity and returns those that were done; ok is false, and said, if one of them was neither done nor refused.
func (x *examination) mayAs(ctx context.Context, name string, do doAs, deeds []deed) (may []string, ok bool) {
	for _, d := range deeds {
		switch a, err := x.askAs(ctx, do, d.call); {
		case err != nil:
			x.say(Fail, name, err.Error(), "")
			return nil, false
		case a.ok():
			may = append(may, d.can)
		case !a.refused():
			x.say(Fail, name, d.can+": neither done nor refused: "+a.String(), "try again when storage is well")
			return nil, false
		}
	}
	return may, true
}

// staysInPrefix signs, for the attacker, an upload to a key that is not under their prefix.
func (x *examination) staysInPrefix(ctx context.Context) {
	const name = "upload outside the tenant's prefix"
	a, err := x.follow(ctx, x.own.put("victim/other"), body, nil, nil)
	if x.taken(name, a, err) {
		x.say(Fail, name, "an upload outside the tenant's prefix was taken", "this STS ignores session policies: leave out role_arn")
	}
}

// getsOnly tries the identity that signs downloads, on the attacker's own object.
func (x *examination) getsOnly(ctx context.Context) {
	const name = "get identity only gets"
	a, err := x.follow(ctx, x.own.call(http.MethodGet, "attacker/object"), nil, nil, nil)
	if err := x.expect(a, err); err != nil {
		x.say(Fail, name, "GetObject by a signed URL: "+err.Error(), "allow presign_get s3:GetObject")
		return
	}
	if !bytes.Equal(a.body, body) {
		x.say(Fail, name, "other bytes than were put", "")
		return
	}
	may, ok := x.mayAs(ctx, name, x.Backend.DoAsGet, []deed{
		{"put", x.own.call(http.MethodPut, "attacker/got")},
		{"delete", x.own.call(http.MethodDelete, "attacker/object")},
	})
	if !ok {
		return
	}
	if len(may) > 0 {
		x.say(Warn, name, "it may also "+strings.Join(may, ", "), "leave it s3:GetObject alone")
		return
	}
	x.say(OK, name, "GetObject by signed URLs; put and delete are refused", "")
}
