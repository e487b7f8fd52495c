package main

import (
	"cmp"
	"encoding/json"
	"time"

	"github.com/spf13/cobra"

	"partway/proxy"
	"partway/tracking"
)

func newAudit() *cobra.Command {
	var (
		gateway                     clientFlags
		uploadID, tenant, operation string
		since, until                string
		asJSON                      bool
	)
	cmd := &cobra.Command{
		Use:   "audit",
		Short: "Show what was asked, by whom, by which road and with what outcome, oldest first",
		Args:  noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
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
			query := filter("upload_id", uploadID, "tenant", tenant, "operation", operation, "since", from, "until", to)
			if asJSON {
				return each(cmd.Context(), c, "events", query, func(items []json.RawMessage) error {
					return lines(cmd.OutOrStdout(), items)
				})
			}
			t := newTable(cmd.OutOrStdout(), "TIME", "TENANT", "OPERATION", "BUCKET", "KEY", "PART", "BYTES", "ROAD", "REASON", "OUTCOME", "STATUS", "MS")
			err = each(cmd.Context(), c, "events", query, func(items []tracking.Event) error {
				for _, e := range items {
					t.row(clock(e.Time), e.Tenant, e.Operation, e.Bucket, cmp.Or(e.Key, e.Target, erased(e)), number(e.PartNumber),
						number(cmp.Or(e.Bytes, e.BytesDeclared)), e.Road, e.Reason, e.Outcome, number(e.Status), number(e.DurationMS))
				}
				return nil
			})
			return t.flush(err)
		},
	}
	gateway.add(cmd)
	cmd.AddCommand(newAuditVerify(&gateway), newAuditExport(&gateway), newAuditErase(&gateway))
	cmd.Flags().StringVar(&uploadID, "upload-id", "", "of this upload")
	cmd.Flags().StringVar(&tenant, "tenant", "", "of this tenant")
	cmd.Flags().StringVar(&operation, "operation", "", "of this kind, named as the events name it: UploadPart, partway:IssueToken, ...")
	completes(cmd, "operation", proxy.RecordedOperations()...)
	cmd.Flags().StringVar(&since, "since", "", "from then on: a duration back from now (1h) or a time (RFC 3339)")
	cmd.Flags().StringVar(&until, "until", "", "before then: as --since")
	cmd.Flags().BoolVar(&asJSON, "json", false, "one JSON object per line")
	return cmd
}

// erased stands for what is no longer there.
func erased(e tracking.Event) string {
	if e.Erased == nil {
		return ""
	}
	return "(erased)"
}

// moment reads "1h" (that long before now) or an RFC 3339 time, and returns RFC 3339; "" stays "".
func moment(flag, value string, now time.Time) (string, error) {
	if value == "" {
		return "", nil
	}
	if back, err := time.ParseDuration(value); err == nil && back >= 0 {
		return now.Add(-back).UTC().Format(time.RFC3339Nano), nil
	}
	at, err := time.Parse(time.RFC3339, value)
	if err != nil {
		return "", usagef("%s %q is neither a duration such as 1h nor a time such as 2026-11-22T15:04:05Z", flag, value)
	}
	return at.UTC().Format(time.RFC3339Nano), nil
}
