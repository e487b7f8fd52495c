package main

import (
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"partway/auth"
)

// credential is a token as POST /_partway/tokens answers it; key class has the key pair, bearer class the bearer.
type credential struct {
	ID              string     `json:"id"`
	Class           auth.Class `json:"class"`
	Tenant          string     `json:"tenant"`
	ExpiresAt       time.Time  `json:"expires_at"`
	AccessKeyID     string     `json:"access_key_id,omitempty"`
	SecretAccessKey string     `json:"secret_access_key,omitempty"`
	Bearer          string     `json:"bearer,omitempty"`

	Endpoint string `json:"-"` // of the gateway, for the env format
	Region   string `json:"-"`
}

func newCredential(t *auth.Issued) *credential {
	c := &credential{ID: t.ID, Class: t.Class, Tenant: t.Tenant, ExpiresAt: t.ExpiresAt}
	if t.Class == auth.ClassBearer {
		c.Bearer = t.Token
	} else {
		c.AccessKeyID, c.SecretAccessKey = t.Token, t.Secret
	}
	return c
}

// The forms in which a token is printed.
const (
	formatEnv     = "env"                // export lines for a shell
	formatJSON    = "json"               // the API's own answer
	formatProcess = "credential-process" // what credential_process of the AWS configuration expects
	formatBearer  = "bearer"             // the bearer alone
)

func checkFormat(format string, class auth.Class) error {
	if !slices.Contains([]string{formatEnv, formatJSON, formatProcess, formatBearer}, format) {
		return usagef("--format %q is not one of env, json, credential-process, bearer", format)
	}
	if format == formatProcess && class != auth.ClassKey || format == formatBearer && class != auth.ClassBearer {
		return usagef("--format %s does not suit a token of class %s", format, class)
	}
	return nil
}

func (c *credential) print(w io.Writer, format string) error {
	encoder := json.NewEncoder(w)
	encoder.SetIndent("", "  ")
	switch format {
	case formatJSON:
		return encoder.Encode(c)
	case formatProcess:
		// https://docs.aws.amazon.com/sdkref/latest/guide/feature-process-credentials.html
		return encoder.Encode(struct {
			Version         int
			AccessKeyId     string
			SecretAccessKey string
			Expiration      time.Time
		}{1, c.AccessKeyID, c.SecretAccessKey, c.ExpiresAt})
	case formatBearer:
		_, err := fmt.Fprintln(w, c.Bearer)
		return err
	}
	_, err := io.WriteString(w, c.exports())
	return err
}

// exports are the shell lines after which aws-cli and SDKs (or, for a bearer, partway and curl) use the token.
func (c *credential) exports() string {
	if c.Class == auth.ClassBearer {
		return exportLines("PARTWAY_ENDPOINT", c.Endpoint, "PARTWAY_TOKEN", c.Bearer)
	}
	return exportLines("AWS_ACCESS_KEY_ID", c.AccessKeyID, "AWS_SECRET_ACCESS_KEY", c.SecretAccessKey,
		"AWS_REGION", c.Region, "AWS_ENDPOINT_URL_S3", c.Endpoint)
}

// exportLines writes names and values, alternating, as export lines of a POSIX shell.
func exportLines(pairs ...string) string {
	var b strings.Builder
	for i := 0; i < len(pairs); i += 2 {
		fmt.Fprintf(&b, "export %s=%s\n", pairs[i], quoted(pairs[i+1]))
	}
	return b.String()
}

// quoted protects a value from the shell where it needs to be; tokens, secrets and plain URLs do not.
func quoted(value string) string {
	plain := func(r rune) bool {
		return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("-_./:=+", r)
	}
	if value != "" && !strings.ContainsFunc(value, func(r rune) bool { return !plain(r) }) {
		return value
	}
	return "'" + strings.ReplaceAll(value, "'", `'\''`) + "'"
}
