package main

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/spf13/cobra"

	"partway/cmd/partway/config"
)

// documents are what users read, by their place in the repository.
func documents(t *testing.T) map[string]string {
	t.Helper()
	top := filepath.Join("..", "..")
	files := []string{"README.md", "SECURITY.md", "CHANGELOG.md", "config.example.yaml", "cmd/partway/session.txt", "deploy/compose.yaml", "deploy/partway.service", "deploy/partway-agent.service", "deploy/kubernetes/secret.example.yaml"}
	for _, pattern := range []string{"docs/*.md", "clients/*/README.md"} {
		found, err := filepath.Glob(filepath.Join(top, filepath.FromSlash(pattern)))
		if err != nil || len(found) == 0 {
			t.Fatalf("%s: %v", pattern, err)
		}
		for _, file := range found {
			name, err := filepath.Rel(top, file)
			if err != nil {
				t.Fatal(err)
			}
			files = append(files, filepath.ToSlash(name))
		}
	}
	all := map[string]string{}
	for _, file := range files {
		text, err := os.ReadFile(filepath.Join(top, filepath.FromSlash(file)))
		if err != nil {
			t.Fatal(err)
		}
		all[file] = string(text)
	}
	return all
}

var (
	codeBlock = regexp.MustCompile("(?ms)^```(?:sh|console)\n(.*?)^```")
	codeSpan  = regexp.MustCompile("`(partway [^`]+)`")
	// A call of this program: at the start of a command, behind a prompt, an assignment or a substitution.
	programCall = regexp.MustCompile(`(?:^|[\s"(/])(?:partway|\{\{\.Partway\}\}|go run \./cmd/partway) ([a-z-][^\n]*)`)
)

// calls are the command lines of this program in a document.
func calls(file, text string) (all []string) {
	var lines []string
	if strings.HasSuffix(file, ".md") {
		for _, block := range codeBlock.FindAllStringSubmatch(text, -1) {
			for line := range strings.Lines(strings.ReplaceAll(block[1], "\\\n", " ")) {
				if line = strings.TrimSpace(line); !strings.HasPrefix(line, "#") {
					lines = append(lines, line)
				}
			}
		}
		for _, span := range codeSpan.FindAllStringSubmatch(text, -1) {
			lines = append(lines, strings.ReplaceAll(span[1], "\n", " "))
		}
	} else {
		for _, span := range codeSpan.FindAllStringSubmatch(text, -1) {
			lines = append(lines, span[1])
		}
		for line := range strings.Lines(text) {
			if strings.Contains(line, "{{.Partway}} ") || strings.HasPrefix(line, "ExecStart=") || strings.HasPrefix(line, "#   partway ") {
				lines = append(lines, strings.TrimSpace(line))
			}
		}
	}
	for _, line := range lines {
		for _, m := range programCall.FindAllStringSubmatch(line, -1) {
			all = append(all, m[1])
		}
	}
	return all
}

// words are those of a shell's command up to where it ends: a pipe, a redirection, a comment.
func words(line string) (all []string) {
	var word strings.Builder
	var quote rune
	begun := false
	end := func() {
		if begun {
			all = append(all, word.String())
		}
		word.Reset()
		begun = false
	}
	for _, r := range line {
		switch {
		case quote != 0:
			if r == quote {
				quote = 0
			} else {
				word.WriteRune(r)
			}
		case r == '\'' || r == '"':
			quote, begun = r, true
		case r == ' ' || r == '\t':
			end()
		case strings.ContainsRune("|><;&)", r), r == '#' && !begun:
			end()
			return all
		default:
			begun = true
			word.WriteRune(r)
		}
	}
	end()
	return all
}

// Whatever a document tells to type must be a command of this program, with flags that it has and as many arguments as it takes.
func TestDocumentsSayWhatTheCommandLineTakes(t *testing.T) {
	total := 0
	for file, text := range documents(t) {
		for _, call := range calls(file, text) {
			total++
			if err := understood(words(call)); err != nil {
				t.Errorf("%s: partway %s: %v", file, call, err)
			}
		}
	}
	if total < 50 {
		t.Errorf("only %d command lines: are they still found?", total)
	}
}

func understood(args []string) error {
	root, _ := newRoot()
	root.InitDefaultCompletionCmd(args...)
	cmd, rest, err := root.Find(args)
	if err != nil {
		return err
	}
	cmd.InitDefaultHelpFlag()
	root.InitDefaultVersionFlag()
	if n := len(rest); n > 0 && strings.HasPrefix(rest[n-1], "--") && cmd.Flag(rest[n-1][2:]) != nil {
		rest = rest[:n-1] // a flag that is mentioned
	}
	if err := cmd.ParseFlags(rest); err != nil {
		return err
	}
	given := cmd.Flags().Args()
	if len(given) == 0 || given[0] == "..." { // a command that is named, or whose rest is left to the reader
		if cmd.HasSubCommands() || cmd == root || len(given) == 0 {
			return nil
		}
	}
	return argsOf(cmd, given)
}

func argsOf(cmd *cobra.Command, given []string) error {
	if cmd.Name() == "rotate" && len(given) == 1 && given[0] == "signing|master" {
		return nil
	}
	return cmd.ValidateArgs(given)
}

func TestWordsOfACommandLine(t *testing.T) {
	for line, want := range map[string]string{
		"token list":                              "token,list",
		`uploads --tenant 'a b' # all of them`:    "uploads,--tenant,a b",
		"audit export >file":                      "audit,export",
		"token issue --prefix '' | tee x":         "token,issue,--prefix,",
		`token list)"`:                            "token,list",
		"exec -- aws s3 cp a s3://uploads/a && x": "exec,--,aws,s3,cp,a,s3://uploads/a",
	} {
		if got := strings.Join(words(line), ","); got != want {
			t.Errorf("%s: %s, want %s", line, got, want)
		}
	}
}

// What the README calls the least that a gateway needs to know is enough.
func TestTheLeastConfigurationOfTheReadmeIsTaken(t *testing.T) {
	block := regexp.MustCompile("(?ms)^```yaml\n(.*?)^```").FindStringSubmatch(documents(t)["README.md"])
	if block == nil {
		t.Fatal("README.md has no configuration")
	}
	file := filepath.Join(t.TempDir(), "partway.yaml")
	if err := os.WriteFile(file, []byte(block[1]), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, _, err := config.LoadWithPlaces(file, nil); err != nil {
		t.Error(err)
	}
}
