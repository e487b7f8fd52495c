package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"partway/tracking"
)

const verifyLong = `Check the audit trail of a running gateway, or a file that "partway audit export" wrote, against its seals. It names the first event of
each writer (one run of one gateway) that was edited, is missing, is not in its place, or was erased without a record that says so, and
then exits with 1.

Anchors are files that gateways append to (audit.anchor_file), copied to where nobody who can write to the store can change them. With them,
what was cut off from the end of a chain up to the last anchor shows too, and what was rewritten with the key.

A file is checked here, without a gateway: --config names the master keys, or --keys a file that "partway keys chain" wrote.`

func newAuditVerify(gateway *clientFlags) *cobra.Command {
	var (
		file, configFile, keysFile string
		anchorFiles                []string
		asJSON                     bool
	)
	cmd := &cobra.Command{
		Use:   "verify",
		Short: "Check that nothing in the trail was edited, removed or moved",
		Long:  verifyLong,
		Args:  noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if file == "" && (configFile != "" || keysFile != "") {
				return usagef("--config and --keys go with --file: a running gateway checks with its own keys")
			}
			anchors, err := readAnchors(anchorFiles)
			if err != nil {
				return err
			}
			found := &verdict{anchors: len(anchors)}
			if file == "" {
				err = found.ask(cmd, gateway, anchors)
			} else {
				err = found.read(file, configFile, keysFile, anchors)
			}
			if err != nil {
				return err
			}
			if asJSON {
				found.Faults = append([]*tracking.ChainError{}, found.Faults...)
				err = lines(cmd.OutOrStdout(), []*tracking.Verification{&found.Verification})
			} else {
				found.print(cmd.OutOrStdout())
			}
			if err == nil && len(found.Faults) > 0 {
				return fmt.Errorf("the audit trail is not as it was written: %w", found.Faults[0])
			}
			return err
		},
	}
	cmd.Flags().StringVar(&file, "file", "", "an export, in place of a running gateway")
	cmd.Flags().StringVar(&configFile, "config", "", "with --file: configuration file with the master keys")
	cmd.Flags().StringVar(&keysFile, "keys", "", "with --file: file of partway keys chain")
	cmd.Flags().StringArrayVar(&anchorFiles, "anchors", nil, "file of anchors; may be given several times")
	cmd.Flags().BoolVar(&asJSON, "json", false, "one JSON object")
	return cmd
}

// verdict is what was found, and what it was found of.
type verdict struct {
	tracking.Verification
	head    *tracking.ExportHead // nil: of the whole trail
	anchors int                  // writers that are anchored in the files given
}

// ask has the gateway check, part by part.
func (v *verdict) ask(cmd *cobra.Command, gateway *clientFlags, anchors map[string]tracking.Anchor) error {
	c, err := gateway.client()
	if err != nil {
		return err
	}
	ask := struct {
		Cursor  string            `json:"cursor"`
		Anchors []tracking.Anchor `json:"anchors"`
	}{}
	for _, a := range anchors {
		ask.Anchors = append(ask.Anchors, a)
	}
	for {
		var part tracking.Verification
		if err := c.call(cmd.Context(), http.MethodPost, "audit/verify", ask, &part); err != nil {
			return err
		}
		v.Plus(part.Counts)
		v.Faults = append(v.Faults, part.Faults...)
		if part.Next == "" {
			return nil
		}
		ask.Cursor = part.Next
	}
}

// read checks an export here.
func (v *verdict) read(file, configFile, keysFile string, anchors map[string]tracking.Anchor) error {
	keys, err := offlineKeys(configFile, keysFile)
	if err != nil {
		return err
	}
	f, err := os.Open(file)
	if err != nil {
		return &usageError{err}
	}
	defer f.Close()
	head, found, err := tracking.CheckExport(f, keys, anchors)
	if err != nil {
		return err
	}
	v.head, v.Verification = head, *found
	return nil
}

// offlineKeys reads the chain keys from a file of keys or, if none is named, derives them from the configuration's master keys.
func offlineKeys(configFile, keysFile string) (map[int][]byte, error) {
	if configFile != "" && keysFile != "" {
		return nil, usagef("give --config or --keys, not both")
	}
	if keysFile != "" {
		text, err := os.ReadFile(keysFile)
		if err != nil {
			return nil, usagef("reading the keys: %w", err)
		}
		keys := map[int][]byte{}
		if err := json.Unmarshal(text, &keys); err != nil || len(keys) == 0 {
			return nil, usagef("%s is not a file of partway keys chain", keysFile)
		}
		return keys, nil
	}
	c, _, err := loadConfig(configFile)
	if errors.Is(err, errNoConfiguration) {
		return nil, usagef("which keys is the file sealed with? Give --keys, a file of partway keys chain, or --config")
	}
	if err != nil {
		return nil, err
	}
	if _, err := c.KeyFiles(); err != nil { // Keys would make some where there are none
		return nil, err
	}
	gateways, err := c.Keys()
	if err != nil {
		return nil, err
	}
	keys, _ := chainKeys(gateways.Master)
	return keys, nil
}

func readAnchors(files []string) (map[string]tracking.Anchor, error) {
	var readers []io.Reader
	for _, name := range files {
		text, err := os.ReadFile(name)
		if err != nil {
			return nil, usagef("reading anchors: %w", err)
		}
		readers = append(readers, strings.NewReader(string(text)), strings.NewReader("\n"))
	}
	return tracking.ReadAnchors(io.MultiReader(readers...))
}

// print writes the verdict for people, with what it does not show.
func (v *verdict) print(w io.Writer) {
	fmt.Fprintf(w, "checked %s in %s of %s", many(v.Events, "event"), many(v.Batches, "batch"), many(v.Writers, "writer"))
	if !v.First.IsZero() {
		fmt.Fprintf(w, ", from %s to %s", clock(v.First), clock(v.Last))
	}
	fmt.Fprintln(w)
	if q := v.query(); q != "" {
		fmt.Fprintf(w, "exported: events%s\n", strings.TrimPrefix(q, ","))
	}
	if v.Erased > 0 {
		fmt.Fprintf(w, "erased, on record: the personal fields of %s\n", many(v.Erased, "event"))
	}
	if v.Cut > 0 {
		fmt.Fprintf(w, "dropped by retention: the older events of %s\n", many(v.Cut, "writer"))
	}
	if v.anchors > 0 {
		fmt.Fprintf(w, "anchored: %d of %s; %s behind their anchors\n", v.Anchored, many(v.Writers, "writer"), many(v.Behind, "batch"))
	}
	for _, fault := range v.Faults {
		fmt.Fprintf(w, "FAULT: %s\n", fault)
	}
	if len(v.Faults) == 0 {
		fmt.Fprintln(w, "no fault found")
	}
	fmt.Fprintln(w, "This cannot show:")
	if v.head != nil && v.head.Query.Tenant != "" {
		fmt.Fprintln(w, "- whether the trail had a fault outside of this tenant's events when it was exported: partway audit verify does.")
	}
	if v.anchors == 0 {
		fmt.Fprintln(w, "- what was cut off from the end of a writer's chain, or a writer that is gone as a whole: give --anchors.")
		fmt.Fprintln(w, "- what was rewritten by somebody who has a master key: give --anchors that they could not change.")
		return
	}
	fmt.Fprintln(w, "- what was cut off, or rewritten by somebody who has a master key, behind the last anchor of a writer.")
	fmt.Fprintln(w, "- a writer that is gone and was never anchored.")
}

// query says what part of the trail an export has; "" for all of it.
func (v *verdict) query() (is string) {
	if v.head == nil {
		return ""
	}
	q := v.head.Query
	if q.Tenant != "" {
		is += ", of tenant " + q.Tenant
	}
	if !q.Since.IsZero() {
		is += ", not before " + clock(q.Since)
	}
	if !q.Until.IsZero() {
		is += ", before " + clock(q.Until)
	}
	return is
}
