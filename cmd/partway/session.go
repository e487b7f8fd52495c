package main

import (
	_ "embed"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"text/template"
)

// session is what the demo prints: what runs where, and shell lines that show it at work.
type session struct {
	readiness
	dir     string
	kept    bool
	partway string // how to call this program
	pages   bool   // whether they were built into it
}

//go:embed session.txt
var sessionText string

var sessionTemplate = template.Must(template.New("session").Parse(sessionText))

func (s *session) print(out io.Writer) error {
	return sessionTemplate.Execute(out, map[string]any{
		"Endpoint": s.Endpoint, "Storage": s.StorageEndpoint, "Bucket": s.Bucket, "Tenant": s.Tenant.Name, "Prefix": s.Tenant.Prefix,
		"Dir": s.dir, "Kept": s.kept, "Partway": s.partway, "Pages": s.pages,
		"KeyExports":    exportLines("AWS_ACCESS_KEY_ID", s.Tenant.AccessKeyID, "AWS_SECRET_ACCESS_KEY", s.Tenant.SecretAccessKey, "AWS_REGION", s.Region, "AWS_ENDPOINT_URL_S3", s.Endpoint),
		"BearerExports": exportLines("PARTWAY_ENDPOINT", s.Endpoint, "PARTWAY_TOKEN", s.Tenant.Bearer),
		"Operator":      s.Operator.Bearer,
	})
}

// commandName is how the reader calls this program: the binary that `go run` makes is gone by the time they do.
func commandName() string {
	self, err := os.Executable()
	if err != nil {
		return "partway"
	}
	found, err := exec.LookPath("partway")
	if err != nil {
		found = "" // not on the PATH
	}
	return commandNameOf(self, found)
}

// commandNameOf: self is the running binary, found the one that the shell would run for "partway", if any.
func commandNameOf(self, found string) string {
	for element := range strings.SplitSeq(filepath.ToSlash(self), "/") {
		if strings.HasPrefix(element, "go-build") {
			return "go run ./cmd/partway"
		}
	}
	if found == self {
		return "partway"
	}
	return quoted(self)
}
