package proxy

import (
	"bytes"
	"encoding/json"
	"flag"
	"os"
	"reflect"
	"strings"
	"testing"
	"time"

	"partway/auth"
	"partway/tracking"
)

var update = flag.Bool("update", false, "write what is compared with")

// openAPIVersion counts up with what a program would notice: a field or call that is new, the second number; one that is gone or other, the first.
const openAPIVersion = "1.3.0"

// described says of every row of the API what its code does not: what it is for, what it takes and gives.
var described = map[string]struct {
	summary      string
	query        []string
	takes, gives any
}{
	"GET whoami":               {summary: "Who the token says you are", gives: identity{}},
	"GET uploads":              {summary: "Upload records, newest first", query: []string{"tenant", "state", "bucket", "prefix", "limit", "cursor", "progress", "stalled"}, gives: pageOf[uploadWithProgress]{}},
	"GET uploads/{id}":         {summary: "One upload record and its ledger", gives: uploadAnswer{}},
	"POST uploads/{id}/abort":  {summary: "Abort an upload", gives: tracking.Upload{}},
	"GET events":               {summary: "The audit trail, oldest first. By operation, a page may be empty and have a next_cursor", query: []string{"upload_id", "tenant", "operation", "since", "until", "limit", "cursor"}, gives: pageOf[tracking.Event]{}},
	"GET usage":                {summary: "What a tenant uploaded in this period", query: []string{"tenant"}, gives: usage{}},
	"POST sign":                {summary: "Requests signed for storage, or, with dry_run, the road of each", takes: signRequest{}, gives: signAnswer{}},
	"POST landed":              {summary: "Report what storage answered to signed requests", takes: landedRequest{}, gives: landedAnswer{}},
	"POST audit/verify":        {summary: "Verify a part of the trail's chain", takes: verifyRequest{}, gives: tracking.Verification{}},
	"GET audit/export":         {summary: "A part of the trail, sealed", query: []string{"tenant", "since", "until", "limit", "cursor"}, gives: exportAnswer{}},
	"POST tenants/{id}/erase":  {summary: "Erase the personal fields of a tenant's events", takes: eraseRequest{}, gives: eraseAnswer{}},
	"GET metrics":              {summary: "Prometheus metrics"},
	"GET tokens":               {summary: "Tokens that were issued; never their secrets", query: []string{"tenant"}, gives: pageOf[listedToken]{}},
	"POST tokens":              {summary: "Issue a token; its secret is shown once", takes: issueRequest{}, gives: issuedToken{}},
	"POST tokens/{id}/revoke":  {summary: "End a token", gives: revokedAnswer{}},
	"POST tenants/{id}/revoke": {summary: "End every token of a tenant that was issued before now", gives: revokedAnswer{}},
	"POST tenants/{id}/freeze": {summary: "Refuse every token of a tenant until it is thawed", gives: frozenAnswer{}},
	"POST tenants/{id}/thaw":   {summary: "Lift a freeze", gives: thawedAnswer{}},
	"POST keys/{id}/revoke":    {summary: "End every token that a signing key signed", gives: revokedAnswer{}},

	"POST s3/multipart":               {summary: "CreateMultipartUpload, in Companion's words", takes: newObject{}, gives: startedUpload{}},
	"GET s3/multipart/{id}":           {summary: "ListParts, to its end", query: []string{"key", "bucket"}, gives: []uploadedPart{}},
	"GET s3/multipart/{id}/batch":     {summary: "URLs of several parts", query: []string{"key", "bucket", "partNumbers"}, gives: batchAnswer{}},
	"GET s3/multipart/{id}/{part}":    {summary: "One part's URL", query: []string{"key", "bucket"}, gives: signedURL{}},
	"POST s3/multipart/{id}/complete": {summary: "CompleteMultipartUpload", query: []string{"key", "bucket"}, takes: partsAnswer{}, gives: completedObject{}},
	"DELETE s3/multipart/{id}":        {summary: "AbortMultipartUpload", query: []string{"key", "bucket"}, gives: struct{}{}},
	"GET s3/params":                   {summary: "A whole file's URL; its metadata as metadata[name]", query: []string{"filename", "type"}, gives: signedURL{}},
	"POST s3/start-upload":            {summary: "The tutorial's start-upload", takes: tutorialCall{}, gives: startedUpload{}},
	"POST s3/get-signed-url":          {summary: "The tutorial's get-signed-url", takes: tutorialCall{}, gives: tutorialAnswer{}},
	"POST s3/upload-part":             {summary: "The tutorial's upload-part: whether storage holds the part", takes: tutorialCall{}, gives: uploadedPart{}},
	"POST s3/complete-upload":         {summary: "The tutorial's complete-upload", takes: tutorialCall{}, gives: completedObject{}},

	"GET health": {summary: "The gateway answers", gives: struct {
		Status string `json:"status"`
	}{}},
	"GET ready":        {summary: "What the gateway stands on answers", gives: readiness{}},
	"GET jwks.json":    {summary: "The public signing keys, as JWKS"},
	"GET openapi.json": {summary: "This description"},
	"GET web.json":     {summary: "What the pages for browsers are told"},
}

// The answers that handlers put together themselves.
type (
	pageOf[T any] struct {
		Items      []T    `json:"items"`
		NextCursor string `json:"next_cursor"`
	}
	uploadAnswer struct {
		*tracking.Upload
		Stalled bool            `json:"stalled"`
		Ledger  []tracking.Part `json:"ledger"`
	}
	signAnswer struct {
		Requests []struct {
			signedRequest
			Road   Road   `json:"road,omitempty"`
			Reason string `json:"reason,omitempty"`
		} `json:"requests"`
	}
	landedAnswer struct {
		Landed int `json:"landed"`
	}
	revokedAnswer struct {
		At time.Time `json:"revoked_at"`
	}
	frozenAnswer struct {
		At time.Time `json:"frozen_at"`
	}
	startedUpload struct {
		Key      string `json:"key"`
		UploadID string `json:"uploadId"`
		Bucket   string `json:"bucket"`
	}
	batchAnswer struct {
		URLs map[string]string `json:"presignedUrls"`
	}
	partsAnswer struct {
		Parts []namedPart `json:"parts"`
	}
	tutorialAnswer struct {
		URL       string            `json:"url"`
		SignedURL string            `json:"signedUrl"`
		Headers   map[string]string `json:"headers"`
	}
	thawedAnswer struct {
		At time.Time `json:"thawed_at"`
	}
)

var openRoutes = []string{"health", "ready", "jwks.json", "openapi.json", "web.json"}

// The description that is served has every route and every field, and no others.
func TestOpenAPI(t *testing.T) {
	paths := map[string]map[string]any{}
	seen := map[string]bool{}
	add := func(method, path, name string, who string) {
		key := method + " " + path
		d, ok := described[key]
		if !ok {
			t.Errorf("%s is not described", key)
		}
		seen[key] = true
		full := apiPrefix + path
		if paths[full] == nil {
			paths[full] = map[string]any{}
		}
		paths[full][strings.ToLower(method)] = operationObject(d.summary, name, who, path, d.query, d.takes, d.gives)
	}
	for _, r := range apiRoutes {
		who := "Any token; a tenant's sees its own."
		if r.who == operators {
			who = "Operators."
		}
		add(r.Method, r.Path, r.Name, who)
	}
	for _, r := range companionRoutes {
		add(r.Method, companionPrefix+r.Path, "companion:"+r.Method+":"+r.Path, "Any token.")
	}
	for _, path := range openRoutes {
		add("GET", path, "open:"+path, "")
	}
	for key := range described {
		if !seen[key] {
			t.Errorf("%s is described and is no route", key)
		}
	}
	doc := map[string]any{
		"openapi": "3.1.0",
		"info": map[string]any{"title": "Partway", "version": openAPIVersion,
			"description": "The JSON API of a Partway gateway. The S3 API is S3's own; /_partway/s3/ is the protocol of Uppy's Companion."},
		"paths": paths,
		"components": map[string]any{
			"securitySchemes": map[string]any{"bearer": map[string]any{"type": "http", "scheme": "bearer", "bearerFormat": "JWT"}},
			"schemas":         map[string]any{"Error": schemaOf(reflect.TypeFor[apiError]())},
		},
	}
	want, err := json.MarshalIndent(doc, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	want = append(want, '\n')
	if *update {
		if err := os.WriteFile("openapi.json", want, 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if !bytes.Equal(openAPI, want) {
		t.Error("openapi.json is not what the code does: go test ./proxy -run TestOpenAPI -update, and count openAPIVersion up")
	}
	b := newBench(t)
	if a := b.ask("GET", "/_partway/openapi.json", "", "Authorization", ""); a.status != 200 || a.body != string(openAPI) {
		t.Errorf("%d %.100s", a.status, a.body)
	}
	for _, path := range openRoutes {
		if a := b.ask("GET", apiPrefix+path, "", "Authorization", ""); a.status == 403 || a.status == 404 && path != "web.json" {
			t.Errorf("%s: %d %s", path, a.status, a.body)
		}
	}
}

func operationObject(summary, name, who, path string, query []string, takes, gives any) map[string]any {
	parameters := []any{}
	for _, name := range []string{"id", "part"} {
		if strings.Contains(path, "{"+name+"}") {
			parameters = append(parameters, map[string]any{"name": name, "in": "path", "required": true, "schema": map[string]any{"type": "string"}})
		}
	}
	for _, q := range query {
		parameters = append(parameters, map[string]any{"name": q, "in": "query", "schema": map[string]any{"type": "string"}})
	}
	ok := map[string]any{"description": "Done"}
	if gives != nil {
		ok["content"] = map[string]any{"application/json": map[string]any{"schema": schemaOf(reflect.TypeOf(gives))}}
	}
	o := map[string]any{
		"summary": summary, "operationId": name,
		"responses": map[string]any{"200": ok, "default": map[string]any{"description": "A refusal, with S3's codes and statuses",
			"content": map[string]any{"application/json": map[string]any{"schema": map[string]any{"$ref": "#/components/schemas/Error"}}}}},
	}
	if len(parameters) > 0 {
		o["parameters"] = parameters
	}
	if who != "" {
		o["description"], o["security"] = who, []any{map[string]any{"bearer": []any{}}}
	}
	if takes != nil {
		o["requestBody"] = map[string]any{"required": true, "content": map[string]any{"application/json": map[string]any{"schema": schemaOf(reflect.TypeOf(takes))}}}
	}
	return o
}

// schemaOf is a type as encoding/json writes it.
func schemaOf(t reflect.Type) map[string]any {
	switch {
	case t == reflect.TypeFor[time.Time]():
		return map[string]any{"type": "string", "format": "date-time"}
	case t == reflect.TypeFor[json.RawMessage]():
		return map[string]any{"type": "array", "items": schemaOf(reflect.TypeFor[auth.Scope]())} // of a token's record
	case t.Kind() == reflect.Pointer:
		return schemaOf(t.Elem())
	case t.Kind() == reflect.Slice && t.Elem().Kind() == reflect.Uint8:
		return map[string]any{"type": "string", "contentEncoding": "base64"}
	case t.Kind() == reflect.Slice:
		return map[string]any{"type": "array", "items": schemaOf(t.Elem())}
	case t.Kind() == reflect.Map:
		return map[string]any{"type": "object", "additionalProperties": schemaOf(t.Elem())}
	case t.Kind() == reflect.Struct:
		properties := map[string]any{}
		addProperties(properties, t)
		return map[string]any{"type": "object", "properties": properties}
	case t.Kind() == reflect.Bool:
		return map[string]any{"type": "boolean"}
	case t.Kind() >= reflect.Int && t.Kind() <= reflect.Uint64:
		return map[string]any{"type": "integer"}
	case t.Kind() == reflect.String:
		return map[string]any{"type": "string"}
	}
	return map[string]any{}
}

func addProperties(properties map[string]any, t reflect.Type) {
	for i := range t.NumField() {
		f := t.Field(i)
		name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		switch {
		case name == "-":
		case f.Anonymous && name == "":
			inner := f.Type
			if inner.Kind() == reflect.Pointer {
				inner = inner.Elem()
			}
			addProperties(properties, inner)
		case f.IsExported() && name != "":
			properties[name] = schemaOf(f.Type)
		case f.IsExported(): // the parts of Companion's protocol are named as S3 names them
			properties[f.Name] = schemaOf(f.Type)
		}
	}
}
