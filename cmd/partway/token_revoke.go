package main

import (
	"fmt"
	"net/http"
	"net/url"

	"github.com/spf13/cobra"
)

func newTokenRevoke(gateway *clientFlags) *cobra.Command {
	var tenant, kid string
	cmd := &cobra.Command{
		Use:   "revoke ID | revoke --tenant T | revoke --kid K",
		Short: "End a token, all that a tenant has until now, or all that a key signed",
		Long: "End a token, every token of a tenant that was issued until now, or every token that a signing key ever signed. Every gateway\n" +
			"refuses them within five seconds. Transfers under way finish, and signed URLs that were handed out work until they expire:\n" +
			"after transfer.url_ttl, five minutes at most.\n\n" +
			"With --kid that is for good, also for tokens that name another time. If it is the active key, rotate it first (partway\n" +
			"keys rotate): its tokens include yours.",
		Args: oneAtMost("token id"),
		RunE: func(cmd *cobra.Command, args []string) error {
			var path string
			given := 0
			for _, end := range []struct{ what, name string }{{"tokens", first(args)}, {"tenants", tenant}, {"keys", kid}} {
				if end.name != "" {
					path = end.what + "/" + url.PathEscape(end.name) + "/revoke"
					given++
				}
			}
			if given != 1 {
				return usagef("give a token's id, --tenant or --kid, one of them")
			}
			if err := administer(cmd, gateway, path); err != nil || tenant == "" {
				return err
			}
			sayOfTenant(cmd, tenant, "the tokens that it had until now are refused")
			return nil
		},
	}
	cmd.Flags().StringVar(&tenant, "tenant", "", "every token of this tenant, until now")
	cmd.Flags().StringVar(&kid, "kid", "", "every token that this key signed (partway token inspect shows it)")
	return cmd
}

func newTokenFreeze(gateway *clientFlags) *cobra.Command {
	return ofTenant(gateway, "freeze", "every token is refused until it is thawed", "Refuse every token of a tenant, new ones too, until it is thawed",
		"Refuse every token of a tenant, those that are issued later included, until partway token thaw. Every gateway does so within five\n"+
			"seconds. Transfers under way finish, and signed URLs work until they expire, as with partway token revoke.")
}

func newTokenThaw(gateway *clientFlags) *cobra.Command {
	return ofTenant(gateway, "thaw", "its tokens work again", "Let a frozen tenant's tokens work again",
		"Let a frozen tenant's tokens work again, within five seconds, but for those that were revoked.")
}

// ofTenant is a command that does one thing to a tenant.
func ofTenant(gateway *clientFlags, verb, done, short, long string) *cobra.Command {
	var tenant string
	cmd := &cobra.Command{
		Use:   verb + " --tenant T",
		Short: short,
		Long:  long,
		Args:  noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if tenant == "" {
				return usagef("which tenant? Give --tenant")
			}
			if err := administer(cmd, gateway, "tenants/"+url.PathEscape(tenant)+"/"+verb); err != nil {
				return err
			}
			sayOfTenant(cmd, tenant, done)
			return nil
		},
	}
	cmd.Flags().StringVar(&tenant, "tenant", "", "this tenant")
	return cmd
}

// sayOfTenant names the tenant that was meant: the gateway has no list of them, so it takes a misspelt one for another.
func sayOfTenant(cmd *cobra.Command, tenant, done string) {
	fmt.Fprintf(cmd.ErrOrStderr(), "tenant %s: %s, within five seconds\n", tenant, done)
}

// administer does what the path says, and prints nothing.
func administer(cmd *cobra.Command, gateway *clientFlags, path string) error {
	c, err := gateway.client()
	if err != nil {
		return err
	}
	return c.call(cmd.Context(), http.MethodPost, path, nil, nil)
}

// first is the argument, or "" for none.
func first(args []string) string {
	if len(args) == 0 {
		return ""
	}
	return args[0]
}
