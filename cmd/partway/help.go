package main

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"
)

// helpColumns is how wide help is: what a terminal of 100 columns shows without breaking lines itself.
const helpColumns = 96

// fitHelp sets the help of a command, and of those below it, in helpColumns, so that the sources need not.
func fitHelp(cmd *cobra.Command) {
	cmd.Long = wrapped(cmd.Long, helpColumns)
	for _, c := range cmd.Commands() {
		fitHelp(c)
	}
	if !cmd.HasParent() {
		cmd.SetUsageTemplate(strings.ReplaceAll(cmd.UsageTemplate(), ".FlagUsages ", fmt.Sprintf(".FlagUsagesWrapped %d ", helpColumns)))
	}
}

// wrapped sets the paragraphs of a text anew, which are parted by empty lines.
func wrapped(text string, columns int) string {
	var paragraphs []string
	for paragraph := range strings.SplitSeq(text, "\n\n") {
		var b strings.Builder
		column := 0
		for i, word := range strings.Fields(paragraph) {
			switch {
			case i == 0:
			case column+1+len(word) > columns:
				b.WriteByte('\n')
				column = 0
			default:
				b.WriteByte(' ')
				column++
			}
			b.WriteString(word)
			column += len(word)
		}
		paragraphs = append(paragraphs, b.String())
	}
	return strings.Join(paragraphs, "\n\n")
}

// commandsOnly is for commands that only group others.
func commandsOnly(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	return fmt.Errorf("unknown command %q: %s has %s", args[0], cmd.CommandPath(), commandsBelow(cmd))
}

func commandsBelow(cmd *cobra.Command) string {
	var names []string
	for _, c := range cmd.Commands() {
		if c.IsAvailableCommand() {
			names = append(names, c.Name())
		}
	}
	return strings.Join(names, ", ")
}

// oneAtMost and exactlyOne say what the argument is, when there are too many or none.
func oneAtMost(what string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if len(args) > 1 {
			return fmt.Errorf("%s takes one %s, and was given %d", cmd.CommandPath(), what, len(args))
		}
		return nil
	}
}

func exactlyOne(what string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if len(args) == 0 {
			return fmt.Errorf("%s: which %s?", cmd.CommandPath(), what)
		}
		return oneAtMost(what)(cmd, args)
	}
}

// validArguments is cobra.OnlyValidArgs, and says which those are.
func validArguments(cmd *cobra.Command, args []string) error {
	for _, arg := range args {
		if !slices.Contains(cmd.ValidArgs, arg) {
			return fmt.Errorf("%s takes %s: there is no %q", cmd.CommandPath(), strings.Join(cmd.ValidArgs, " or "), arg)
		}
	}
	return nil
}

// someCommand is what exec needs.
func someCommand(_ *cobra.Command, args []string) error {
	if len(args) == 0 {
		return errors.New("which command? Give it behind --, as in partway exec -- aws s3 cp big.bin s3://uploads/acme/")
	}
	return nil
}

// noArguments is cobra.NoArgs, but does not call an argument an unknown command: `token freeze acme` lacks a --tenant. Only where there are
// commands below may one be meant.
func noArguments(cmd *cobra.Command, args []string) error {
	if len(args) > 0 && cmd.HasAvailableSubCommands() {
		return fmt.Errorf("%s takes flags alone, or is followed by one of %s: there is no %q", cmd.CommandPath(), commandsBelow(cmd), args[0])
	}
	if len(args) > 0 {
		return fmt.Errorf("%s takes flags alone, and was given %q", cmd.CommandPath(), args[0])
	}
	return nil
}

// fileAndObject are the two arguments of cp.
func fileAndObject(_ *cobra.Command, args []string) error {
	if len(args) != 2 {
		return errors.New("give a file and s3://BUCKET/KEY, in the order in which to copy")
	}
	return nil
}
