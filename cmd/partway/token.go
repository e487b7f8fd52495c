package main

import (
	"encoding/base64"
	"encoding/json"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"
)

func newToken() *cobra.Command {
	var gateway clientFlags
	cmd := &cobra.Command{
		Use:   "token",
		Short: "Issue, list, revoke and read tokens; freeze and thaw tenants",
		Args:  commandsOnly,
		RunE:  showHelp,
	}
	gateway.add(cmd)
	cmd.AddCommand(newTokenIssue(&gateway), newTokenList(&gateway), newTokenRevoke(&gateway), newTokenInspect(&gateway),
		newTokenFreeze(&gateway), newTokenThaw(&gateway))
	return cmd
}

// listedToken is what the table shows of a token's record.
type listedToken struct {
	ID        string    `json:"id"`
	Class     string    `json:"class"`
	Tenant    string    `json:"tenant"`
	Subject   string    `json:"subject"`
	CreatedAt time.Time `json:"created_at"`
	ExpiresAt time.Time `json:"expires_at"`
	RevokedAt time.Time `json:"revoked_at"`
}

func newTokenList(gateway *clientFlags) *cobra.Command {
	var (
		tenant string
		asJSON bool
	)
	cmd := &cobra.Command{
		Use:   "list",
		Short: "List the tokens that were issued, newest first; never their secrets",
		Args:  noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := gateway.client()
			if err != nil {
				return err
			}
			query := filter("tenant", tenant)
			if asJSON {
				return each(cmd.Context(), c, "tokens", query, func(items []json.RawMessage) error {
					return lines(cmd.OutOrStdout(), items)
				})
			}
			t := newTable(cmd.OutOrStdout(), "CREATED", "EXPIRES", "REVOKED", "CLASS", "TENANT", "SUBJECT", "ID")
			err = each(cmd.Context(), c, "tokens", query, func(items []listedToken) error {
				for _, k := range items {
					t.row(clock(k.CreatedAt), clock(k.ExpiresAt), clock(k.RevokedAt), k.Class, k.Tenant, k.Subject, k.ID)
				}
				return nil
			})
			return t.flush(err)
		},
	}
	cmd.Flags().StringVar(&tenant, "tenant", "", "of this tenant")
	cmd.Flags().BoolVar(&asJSON, "json", false, "one JSON object per line")
	return cmd
}

func newTokenInspect(gateway *clientFlags) *cobra.Command {
	return &cobra.Command{
		Use:   "inspect [TOKEN]",
		Short: "Print what a token says, without verifying it",
		Long: "Print what a token says, without verifying it. TOKEN is a bearer, or an access key id, which is a token too.\n" +
			"Without it: that of --token, --token-file, PARTWAY_TOKEN, PARTWAY_TOKEN_FILE or AWS_ACCESS_KEY_ID.",
		Args: oneAtMost("token"),
		RunE: func(cmd *cobra.Command, args []string) error {
			token, err := gateway.bearer()
			if err != nil {
				return err
			}
			if token == "" {
				token = os.Getenv("AWS_ACCESS_KEY_ID")
			}
			if len(args) == 1 {
				token = args[0]
			}
			if token == "" {
				return usagef("which token? Give it as an argument")
			}
			said, err := readToken(token)
			if err != nil {
				return err
			}
			encoder := json.NewEncoder(cmd.OutOrStdout())
			encoder.SetIndent("", "  ")
			return encoder.Encode(said)
		},
	}
}

// unverified is what a JWT says about itself.
type unverified struct {
	Header json.RawMessage `json:"header"`
	Claims json.RawMessage `json:"claims"`

	// For people: when it ends, and how long that is from now by this machine's clock.
	ExpiresAt time.Time `json:"expires_at,omitzero"`
	Left      string    `json:"left,omitempty"`
}

func readToken(token string) (*unverified, error) {
	segments := strings.Split(token, ".")
	if len(segments) != 3 {
		return nil, usagef("not a token: a JWT has three segments, this has %d", len(segments))
	}
	var said unverified
	for i, into := range []*json.RawMessage{&said.Header, &said.Claims} {
		text, err := base64.RawURLEncoding.DecodeString(segments[i])
		if err != nil || !json.Valid(text) {
			return nil, usagef("not a token: segment %d is not base64url of JSON", i+1)
		}
		*into = text
	}
	var times struct {
		Exp int64 `json:"exp"`
	}
	if json.Unmarshal(said.Claims, &times) == nil && times.Exp > 0 {
		said.ExpiresAt = time.Unix(times.Exp, 0).UTC()
		said.Left = "none: it has expired"
		if left := time.Until(said.ExpiresAt); left > 0 {
			said.Left = left.Truncate(time.Second).String()
		}
	}
	return &said, nil
}
