package main

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"time"

	"github.com/spf13/cobra"

	"partway/tracking"
)

func newAuditExport(gateway *clientFlags) *cobra.Command {
	var tenant, since, until, out string
	cmd := &cobra.Command{
		Use:   "export",
		Short: "Write the trail to a file that can be checked without a gateway",
		Long: "Write the trail, or a part of it, as JSON lines that \"partway audit verify --file\" checks anywhere. An export of one tenant has that\n" +
			"tenant's events and nothing of others'.",
		Args: noArguments,
		RunE: func(cmd *cobra.Command, _ []string) (err error) {
			now := time.Now()
			from, err := moment("--since", since, now)
			if err != nil {
				return err
			}
			to, err := moment("--until", until, now)
			if err != nil {
				return err
			}
			c, err := gateway.client()
			if err != nil {
				return err
			}
			to = orNow(to, now)
			query := filter("tenant", tenant, "since", from, "until", to)
			if out == "" {
				return export(cmd.Context(), c, query, cmd.OutOrStdout())
			}
			return writeNew(out, func(w io.Writer) error { return export(cmd.Context(), c, query, w) })
		},
	}
	cmd.Flags().StringVar(&tenant, "tenant", "", "of this tenant")
	cmd.Flags().StringVar(&since, "since", "", "from then on: a duration back from now (1h) or a time (RFC 3339)")
	cmd.Flags().StringVar(&until, "until", "", "before then: as --since [now]")
	cmd.Flags().StringVar(&out, "out", "", "a file, which must not exist yet, in place of standard output")
	return cmd
}

// orNow: without an end, an export of a busy gateway would run after its own events.
func orNow(until string, now time.Time) string {
	if until == "" {
		return now.UTC().Format(time.RFC3339Nano)
	}
	return until
}

// export writes part after part.
func export(ctx context.Context, c *client, query url.Values, w io.Writer) error {
	out := bufio.NewWriter(w)
	for {
		var part struct {
			Head    *tracking.ExportHead `json:"head"`
			Batches []tracking.Batch     `json:"batches"`
			Part    *tracking.ExportPart `json:"part"`
		}
		if err := c.call(ctx, http.MethodGet, "audit/export?"+query.Encode(), nil, &part); err != nil {
			return err
		}
		if part.Part == nil {
			return fmt.Errorf("%s does not answer like a Partway gateway", c.endpoint)
		}
		if part.Head != nil {
			if err := tracking.WriteExportHead(out, part.Head); err != nil {
				return err
			}
		}
		if err := tracking.WriteExportPart(out, part.Batches, part.Part); err != nil {
			return err
		}
		if part.Part.Next == "" {
			return out.Flush()
		}
		query.Set("cursor", part.Part.Next)
	}
}

func newAuditErase(gateway *clientFlags) *cobra.Command {
	var tenant, until string
	cmd := &cobra.Command{
		Use:   "erase --tenant T",
		Short: "Erase the personal fields of a tenant's events, for good",
		Long: "Erase, for good, subject, object keys, copy sources, client addresses and user agents from the events that a tenant has until now, and\n" +
			"subject, key and answer from the records of its uploads that have been over for a day. The rest stays, and partway audit verify\n" +
			"shows that nothing else was changed. docs/audit.md says what is out of reach: backups, for one.",
		Args: noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if tenant == "" {
				return usagef("whose? Give --tenant")
			}
			to, err := moment("--until", until, time.Now())
			if err != nil {
				return err
			}
			c, err := gateway.client()
			if err != nil {
				return err
			}
			ask := map[string]string{}
			if to != "" {
				ask["until"] = to
			}
			var done tracking.Erased
			for {
				var part struct {
					tracking.Erased
					Until string `json:"until"`
					Next  string `json:"next_cursor"`
				}
				if err := c.call(cmd.Context(), http.MethodPost, "tenants/"+url.PathEscape(tenant)+"/erase", ask, &part); err != nil {
					return err
				}
				done.Events, done.Uploads = done.Events+part.Events, done.Uploads+part.Uploads
				if part.Next == "" {
					_, err := fmt.Fprintf(cmd.OutOrStdout(), "erased the personal fields of %d events and %d upload records from before %s\n", done.Events, done.Uploads, part.Until)
					return err
				}
				ask["until"], ask["cursor"] = part.Until, part.Next
			}
		},
	}
	cmd.Flags().StringVar(&tenant, "tenant", "", "the tenant")
	cmd.Flags().StringVar(&until, "until", "", "before then alone: a duration back from now (24h) or a time (RFC 3339) [now]")
	return cmd
}
