package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"partway/auth"
	"partway/cmd/partway/config"
)

// tokenRequest is the body of POST /_partway/tokens.
type tokenRequest struct {
	Tenant     string       `json:"tenant"`
	Class      auth.Class   `json:"class"`
	TTLSeconds int64        `json:"ttl_seconds"`
	Scope      []auth.Scope `json:"scope"`
	Operator   bool         `json:"operator,omitempty"`
	Addresses  []string     `json:"addresses,omitempty"`
}

// issueFlags are those of token issue.
type issueFlags struct {
	tenant, class, format, region string
	bucket, prefix                string
	actions, scopes, addresses    []string
	ttl                           time.Duration
	maxObjectBytes, maxPartBytes  int64
	maxTenantBytes                int64
	maxOpenUploads                int
	resume                        bool
	offline, operator             bool
	config                        string
}

const issueLong = `Issue a token and print it, once: its secret is stored nowhere.

A running gateway issues it (with an operator's bearer), or --offline the configured keys alone do. That is how the first
operator's token is made; one made offline has no record, so it is not listed and ends by "token revoke --tenant".

A key stands for AWS credentials: the access key id is the token. A bearer is for the JSON API and curl.`

func newTokenIssue(gateway *clientFlags) *cobra.Command {
	var f issueFlags
	cmd := &cobra.Command{
		Use:   "issue",
		Short: "Issue a token and print it, once",
		Long:  issueLong,
		Example: "  partway token issue --offline --operator --config partway.yaml --class bearer\n" +
			"  partway token issue --tenant acme --bucket uploads --prefix acme/ --actions PutObject,GetObject",
		Args: noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			request, err := f.request(cmd.Flags().Changed("class"), cmd.Flags().Changed("bucket"))
			if err != nil {
				return err
			}
			var made *credential
			if f.offline {
				made, err = f.issueOffline(gateway, request)
			} else {
				made, err = f.issueOnline(cmd.Context(), gateway, request)
			}
			if err != nil {
				return err
			}
			return made.print(cmd.OutOrStdout(), f.format)
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&f.tenant, "tenant", "", "whom the token stands for [with --operator: operator]")
	flags.StringVar(&f.bucket, "bucket", "", "bucket that it may touch")
	flags.StringVar(&f.prefix, "prefix", "", "keys in it that it may touch; whole path segments [all]")
	flags.StringSliceVar(&f.actions, "actions", nil, "what it may do, in S3's names: PutObject,GetObject")
	flags.Int64Var(&f.maxObjectBytes, "max-object-bytes", 0, "largest object that it may create [no limit]")
	flags.Int64Var(&f.maxPartBytes, "max-part-bytes", 0, "largest part, and what a part of undeclared length counts as [5 GiB]")
	flags.Int64Var(&f.maxTenantBytes, "max-tenant-bytes", 0, "what its tenant may upload per day or month, under all its tokens [limits.tenant_bytes]")
	flags.IntVar(&f.maxOpenUploads, "max-open-uploads", 0, "multipart uploads that its tenant may have open under the prefix [no limit]")
	flags.BoolVar(&f.resume, "resume", false, "its interrupted uploads may be taken up again: one writer per key (resume.enabled)")
	flags.StringArrayVar(&f.scopes, "scope", nil, `a scope as JSON, in place of --bucket, --prefix, --actions, --resume and limits; repeatable: {"bucket":"b","prefix":"p/","actions":["s3:*"]}`)
	flags.StringSliceVar(&f.addresses, "addresses", nil, "networks that it may be used from, as 203.0.113.0/24,2001:db8::/48 [anywhere]")
	flags.DurationVar(&f.ttl, "ttl", 12*time.Hour, "how long it is valid, in hours and minutes; 2160h at most")
	flags.StringVar(&f.class, "class", string(auth.ClassKey), "key or bearer")
	flags.StringVar(&f.format, "format", "", "env, json, credential-process (a key) or bearer (a bearer) [env]")
	flags.StringVar(&f.region, "region", "us-east-1", "region that the env format names [offline: the configured one]")
	flags.BoolVar(&f.operator, "operator", false, "a token for an operator: everything on every bucket, and the administration")
	flags.BoolVar(&f.offline, "offline", false, "make it with the keys of --config, without a gateway")
	flags.StringVar(&f.config, "config", "", "configuration file, with --offline")
	completes(cmd, "class", string(auth.ClassKey), string(auth.ClassBearer))
	completes(cmd, "format", formatEnv, formatJSON, formatProcess, formatBearer)
	completesActions(cmd, "actions")
	return cmd
}

// request checks the flags against each other.
func (f *issueFlags) request(classGiven, bucketGiven bool) (*tokenRequest, error) {
	if f.format == formatBearer && !classGiven {
		f.class = string(auth.ClassBearer)
	}
	class := auth.Class(f.class)
	if class != auth.ClassKey && class != auth.ClassBearer {
		return nil, usagef("--class %q is neither key nor bearer", f.class)
	}
	if f.format == "" {
		f.format = formatEnv
	}
	if err := checkFormat(f.format, class); err != nil {
		return nil, err
	}
	if f.ttl < time.Second {
		return nil, usagef("--ttl %v is under a second", f.ttl)
	}
	if f.config != "" && !f.offline {
		return nil, usagef("--config is for --offline: a running gateway has its own")
	}
	scopes, err := f.scope(bucketGiven)
	if err != nil {
		return nil, err
	}
	if f.tenant == "" {
		if !f.operator {
			return nil, usagef("whom for? Give --tenant")
		}
		f.tenant = operatorTenant
	}
	return &tokenRequest{Tenant: f.tenant, Class: class, TTLSeconds: int64(f.ttl / time.Second), Scope: scopes, Operator: f.operator, Addresses: f.addresses}, nil
}

// operatorTenant is the tenant of operators' tokens, so that they too can be revoked together.
const operatorTenant = "operator"

// everything is an operator's scope.
func everything() []auth.Scope { return []auth.Scope{{Bucket: "*", Actions: []string{"s3:*"}}} }

func (f *issueFlags) scope(bucketGiven bool) ([]auth.Scope, error) {
	limited := f.maxObjectBytes != 0 || f.maxPartBytes != 0 || f.maxTenantBytes != 0 || f.maxOpenUploads != 0 || f.resume
	if !bucketGiven && (f.prefix != "" || len(f.actions) > 0 || limited) {
		return nil, usagef("--prefix, --actions and the limits (--max-object-bytes and others) belong to a --bucket")
	}
	switch {
	case f.operator && (bucketGiven || len(f.scopes) > 0):
		return nil, usagef("--operator is everything on every bucket: leave out --bucket and --scope")
	case f.operator:
		return everything(), nil
	case bucketGiven && len(f.scopes) > 0:
		return nil, usagef("--bucket and --scope say the same: give one of them")
	case bucketGiven && len(f.actions) == 0:
		return nil, usagef("what may it do? Give --actions, for example PutObject,GetObject")
	case bucketGiven:
		return []auth.Scope{{Bucket: f.bucket, Prefix: f.prefix, Actions: s3Actions(f.actions),
			MaxObjectBytes: f.maxObjectBytes, MaxPartBytes: f.maxPartBytes, MaxTenantBytes: f.maxTenantBytes, MaxOpenUploads: f.maxOpenUploads, Resume: f.resume}}, nil
	case len(f.scopes) == 0:
		return nil, usagef("what may it touch? Give --bucket with --actions, or --scope")
	}
	var scopes []auth.Scope
	for _, text := range f.scopes {
		var s auth.Scope
		decoder := json.NewDecoder(bytes.NewReader([]byte(text)))
		decoder.DisallowUnknownFields()
		if err := decoder.Decode(&s); err != nil || decoder.More() {
			return nil, usagef("--scope %s: not one JSON object with bucket, prefix and actions: %v", text, err)
		}
		scopes = append(scopes, s)
	}
	return scopes, nil
}

// s3Actions lets a user leave out the "s3:" that every action begins with.
func s3Actions(names []string) []string {
	actions := make([]string, len(names))
	for i, name := range names {
		actions[i] = name
		if !strings.Contains(name, ":") {
			actions[i] = "s3:" + name
		}
	}
	return actions
}

func (f *issueFlags) issueOnline(ctx context.Context, gateway *clientFlags, request *tokenRequest) (*credential, error) {
	c, err := gateway.client()
	if err != nil {
		return nil, err
	}
	made := &credential{Endpoint: c.endpoint, Region: f.region}
	if err := c.call(ctx, http.MethodPost, "tokens", request, made); err != nil {
		return nil, err
	}
	return made, nil
}

func (f *issueFlags) issueOffline(gateway *clientFlags, request *tokenRequest) (*credential, error) {
	c, _, err := loadConfig(f.config)
	if err != nil {
		return nil, err
	}
	endpoint, err := gateway.endpointURL()
	if err != nil {
		return nil, err
	}
	if endpoint == "" {
		endpoint = endpointOf(c, c.Server.Listen)
	}
	a, err := newAuthority(c)
	if err != nil {
		return nil, err
	}
	issued, err := a.issuer.Issue(auth.Grant{
		Class: request.Class, Tenant: request.Tenant, Subject: request.Tenant, Operator: request.Operator,
		Scopes: request.Scope, TTL: f.ttl, Addresses: request.Addresses,
	}, now())
	if err != nil {
		return nil, fmt.Errorf("issuing the token: %w", err)
	}
	made := newCredential(issued)
	made.Endpoint, made.Region = endpoint, c.Server.Region
	return made, nil
}

// endpointOf is the URL under which a gateway that listens at HOST:PORT is reached from the same machine.
func endpointOf(c *config.Config, listen string) string {
	scheme := "http"
	if c.Server.TLS.CertFile != "" {
		scheme = "https"
	}
	host, port, err := net.SplitHostPort(listen)
	if err == nil && (host == "" || strings.Trim(host, "0:.") == "") {
		listen = net.JoinHostPort("localhost", port)
	}
	return scheme + "://" + listen
}
