package main

import (
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"partway/auth"
	"partway/tracking"
)

// The shells' completion (`partway completion bash`, zsh, fish, powershell) is cobra's. It knows commands and flags; these are the words that
// some flags take.

// completes makes a flag of cmd complete these words.
func completes(cmd *cobra.Command, flag string, words ...string) {
	must(cmd.RegisterFlagCompletionFunc(flag, cobra.FixedCompletions(words, cobra.ShellCompDirectiveNoFileComp)))
}

// completesActions makes a flag complete a list of actions, the last of which is being written.
func completesActions(cmd *cobra.Command, flag string) {
	must(cmd.RegisterFlagCompletionFunc(flag, func(_ *cobra.Command, _ []string, typed string) ([]cobra.Completion, cobra.ShellCompDirective) {
		before := typed[:strings.LastIndexByte(typed, ',')+1]
		var all []cobra.Completion
		for _, action := range auth.Actions {
			all = append(all, before+strings.TrimPrefix(action, "s3:"))
		}
		return all, cobra.ShellCompDirectiveNoFileComp | cobra.ShellCompDirectiveNoSpace
	}))
}

// must is for what fails only if a command has no such flag, at the first run of any command.
func must(err error) {
	if err != nil {
		panic(err)
	}
}

var uploadStates = []string{
	string(tracking.StateOpen), string(tracking.StatePaused), string(tracking.StateCompleting), string(tracking.StateCompleted),
	string(tracking.StateAborting), string(tracking.StateAborted), string(tracking.StateSuperseded), string(tracking.StateUnknown),
}

// withoutFiles takes the shell's default, the names of files, from commands whose arguments are none.
func withoutFiles(cmd *cobra.Command, names ...string) {
	for _, child := range cmd.Commands() {
		path := strings.TrimPrefix(child.CommandPath(), "partway ")
		if child.ValidArgsFunction == nil && len(child.ValidArgs) == 0 && !slices.Contains(names, path) {
			child.ValidArgsFunction = cobra.NoFileCompletions
		}
		withoutFiles(child, names...)
	}
}
