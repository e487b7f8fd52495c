// Command partway is an S3 gateway for uploads that one does not want to carry.
//
// serve and demo run a gateway: they are the only place that reads files and environment and puts the parts together
// (wire.go). token, uploads and audit are HTTP clients of a running one (client.go), because the embedded store
// belongs to the gateway that has it open; token issue --offline and keys work on the gateway's keys alone. doctor reads the
// configuration as serve does and examines what it names, beside a running gateway.
//
// exec and agent bring the direct road to S3 tools (package agent).
//
// It exits with 0 when all went well, 1 when something failed, 2 when the command line or the configuration is wrong; exec with its
// child's status.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"

	"github.com/spf13/cobra"
)

func main() { os.Exit(run()) }

func run() int {
	root, begun := newRoot()
	cmd, err := root.ExecuteContextC(context.Background())
	if err == nil {
		return 0
	}
	var child *childError
	if errors.As(err, &child) { // which has said what there is to say
		return child.status
	}
	fmt.Fprintln(os.Stderr, "partway:", err)
	if !*begun {
		fmt.Fprintf(os.Stderr, "%s --help says how it is called\n", cmd.CommandPath())
		return 2
	}
	var usage *usageError
	if errors.As(err, &usage) {
		return 2
	}
	return 1
}

// usageError is a mistake in the command line or in the configuration: exit status 2.
type usageError struct{ error }

func (e *usageError) Unwrap() error { return e.error }

func usagef(format string, args ...any) error { return &usageError{fmt.Errorf(format, args...)} }

// newRoot returns the command tree. *begun turns true once flags and arguments were understood: an error before that is a
// mistake in the command line.
func newRoot() (root *cobra.Command, begun *bool) {
	begun = new(bool)
	root = &cobra.Command{
		Use:              "partway",
		Short:            "An S3 gateway for uploads that you do not want to carry",
		Args:             commandsOnly,
		RunE:             showHelp,
		SilenceErrors:    true,
		SilenceUsage:     true,
		Version:          versionText(),
		PersistentPreRun: func(*cobra.Command, []string) { *begun = true },
	}
	root.SetVersionTemplate("{{.Version}}")
	root.AddCommand(newServe(), newDemo(), newStorageChild(), newToken(), newKeys(), newUploads(), newAudit(), newDoctor(),
		newExec(), newAgent(), newCp(), newVersion())
	root.InitDefaultCompletionCmd()
	if completion, _, err := root.Find([]string{"completion"}); err == nil { // cobra's answers a shell that it does not know with help, and status 0
		completion.Args, completion.RunE = commandsOnly, showHelp
	}
	withoutFiles(root, "cp", "exec")
	fitHelp(root)
	return root, begun
}

// showHelp is what a command that only groups others does on its own.
func showHelp(cmd *cobra.Command, _ []string) error { return cmd.Help() }
