package main

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"partway/tracking"
)

func newUploads() *cobra.Command {
	var (
		gateway       clientFlags
		tenant, state string
		asJSON        bool
	)
	cmd := &cobra.Command{
		Use:   "uploads [ID]",
		Short: "List multipart uploads, newest first, or show one",
		Args:  oneAtMost("upload id"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) == 1 && (tenant != "" || state != "") {
				return usagef("--tenant and --state select from the list: leave them out with an id")
			}
			c, err := gateway.client()
			if err != nil {
				return err
			}
			if len(args) == 1 {
				return showUpload(cmd, c, args[0], asJSON)
			}
			return listUploads(cmd, c, filter("tenant", tenant, "state", state), asJSON)
		},
	}
	cmd.AddCommand(newUploadsAbort())
	gateway.add(cmd)
	cmd.Flags().StringVar(&tenant, "tenant", "", "of this tenant")
	cmd.Flags().StringVar(&state, "state", "", "in this state: open, completing, completed, aborted, ...")
	cmd.Flags().BoolVar(&asJSON, "json", false, "one JSON object per line")
	completes(cmd, "state", uploadStates...)
	return cmd
}

func newUploadsAbort() *cobra.Command {
	var gateway clientFlags
	cmd := &cobra.Command{
		Use:   "abort ID",
		Short: "Abort an upload: an operator any, a tenant its own where its token allows it",
		Args:  exactlyOne("upload id"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return administer(cmd, &gateway, "uploads/"+url.PathEscape(args[0])+"/abort")
		},
	}
	gateway.add(cmd)
	return cmd
}

func listUploads(cmd *cobra.Command, c *client, query url.Values, asJSON bool) error {
	if asJSON {
		return each(cmd.Context(), c, "uploads", query, func(items []json.RawMessage) error {
			return lines(cmd.OutOrStdout(), items)
		})
	}
	t := newTable(cmd.OutOrStdout(), "CREATED", "STATE", "TENANT", "BUCKET", "KEY", "PARTS", "BYTES", "ID")
	err := each(cmd.Context(), c, "uploads", query, func(items []tracking.Upload) error {
		for _, u := range items {
			t.row(clock(u.CreatedAt), string(u.State), u.Tenant, u.Bucket, u.Key, number(u.Parts), number(u.Bytes), u.ID)
		}
		return nil
	})
	return t.flush(err)
}

func showUpload(cmd *cobra.Command, c *client, id string, asJSON bool) error {
	var text json.RawMessage
	if err := c.call(cmd.Context(), http.MethodGet, "uploads/"+url.PathEscape(id), nil, &text); err != nil {
		return err
	}
	if asJSON {
		return lines(cmd.OutOrStdout(), []json.RawMessage{text})
	}
	var u tracking.Upload
	if err := json.Unmarshal(text, &u); err != nil {
		return err
	}
	t := newTable(cmd.OutOrStdout(), "id", u.ID)
	t.row("state", string(u.State))
	t.row("object", u.Bucket+"/"+u.Key)
	t.row("tenant", u.Tenant)
	t.row("subject", u.Subject)
	t.row("token", u.TokenID)
	t.row("backend", u.Backend)
	t.row("created", clock(u.CreatedAt))
	t.row("updated", clock(u.UpdatedAt))
	t.row("expires", clock(u.ExpiresAt))
	t.row("parts", number(u.Parts))
	t.row("bytes", number(u.Bytes))
	t.row("etag", u.ETag)
	t.row("checksum", u.ChecksumAlgorithm)
	t.row("result", u.ResultCode)
	roads, err := partsByRoad(cmd.Context(), c, u.ID)
	t.row("roads", roads)
	return t.flush(err)
}

// partsByRoad says by which roads an upload's parts were let through, and how many numbers by each: "redirect 11, relay 1".
func partsByRoad(ctx context.Context, c *client, id string) (string, error) {
	parts := map[string]map[int]bool{}
	err := each(ctx, c, "events", filter("upload_id", id), func(items []tracking.Event) error {
		for _, e := range items {
			if e.Operation != "UploadPart" && e.Operation != "UploadPartCopy" || e.Outcome != "ok" && e.Outcome != "granted" {
				continue
			}
			if parts[e.Road] == nil {
				parts[e.Road] = map[int]bool{}
			}
			parts[e.Road][e.PartNumber] = true
		}
		return nil
	})
	var roads []string
	for _, road := range slices.Sorted(maps.Keys(parts)) {
		roads = append(roads, fmt.Sprintf("%s %d", road, len(parts[road])))
	}
	return strings.Join(roads, ", "), err
}
