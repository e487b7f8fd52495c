package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"partway": main})
}

// TestCommandLine runs testdata/*.txtar: the command line as users type it, against a gateway that answers from files.
func TestCommandLine(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata",
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
		Setup: func(env *testscript.Env) error {
			fake := httptest.NewServer(&fakeGateway{dir: env.WorkDir})
			env.Defer(fake.Close)
			env.Setenv("PARTWAY_ENDPOINT", fake.URL)
			env.Setenv("PARTWAY_TOKEN", "operator-token")
			env.Setenv("BUSY", strings.TrimPrefix(fake.URL, "http://"))
			env.Setenv("HOME", env.WorkDir)
			return nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			// exits STATUS COMMAND ...: runs it and checks its exit status.
			"exits": func(ts *testscript.TestScript, _ bool, args []string) {
				err := ts.Exec(args[1], args[2:]...)
				status := 0
				var failed *exec.ExitError
				if errors.As(err, &failed) {
					status = failed.ExitCode()
				} else if err != nil {
					ts.Fatalf("%v", err)
				}
				if strconv.Itoa(status) != args[0] {
					ts.Fatalf("exit status %d, want %s", status, args[0])
				}
			},
			// await FILE TEXT: until the file is there with that text in it.
			"await": func(ts *testscript.TestScript, _ bool, args []string) {
				file, patience := ts.MkAbs(args[0]), time.After(30*time.Second)
				look := time.NewTicker(10 * time.Millisecond)
				defer look.Stop()
				for {
					if text, err := os.ReadFile(file); err == nil && strings.Contains(string(text), args[1]) {
						return
					}
					select {
					case <-look.C:
					case <-patience:
						ts.Fatalf("%s with %q did not appear", args[0], args[1])
					}
				}
			},
			// ready FILE: sets READY_<KEY> for each text in the ready file, READY_TENANT_<KEY> for those of its tenant and so on.
			"ready": func(ts *testscript.TestScript, _ bool, args []string) {
				var said map[string]any
				ts.Check(json.Unmarshal([]byte(ts.ReadFile(args[0])), &said))
				for key, value := range said {
					inner, ok := value.(map[string]any)
					if !ok {
						ts.Setenv("READY_"+strings.ToUpper(key), fmt.Sprint(value))
					}
					for name, text := range inner {
						ts.Setenv("READY_"+strings.ToUpper(key+"_"+name), fmt.Sprint(text))
					}
				}
			},
			// endpoint FILE: writes the gateway's URL wherever the file says @GATEWAY@.
			"endpoint": func(ts *testscript.TestScript, _ bool, args []string) {
				file := ts.MkAbs(args[0])
				text, err := os.ReadFile(file)
				ts.Check(err)
				ts.Check(os.WriteFile(file, []byte(strings.ReplaceAll(string(text), "@GATEWAY@", ts.Getenv("PARTWAY_ENDPOINT"))), 0o600))
			},
		},
	})
}

// fakeGateway answers METHOD /_partway/PATH from dir/answers/METHOD.PATH (slashes as dots, then "@" and the cursor), whose
// first line is the status, and appends what it was asked to dir/requests.
type fakeGateway struct{ dir string }

func (f *fakeGateway) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		panic(err)
	}
	log, err := os.OpenFile(filepath.Join(f.dir, "requests"), os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		panic(err)
	}
	defer log.Close()
	fmt.Fprintf(log, "%s %s %s %s\n", r.Method, r.RequestURI, r.Header.Get("Authorization"), body)

	name := r.Method + "." + strings.ReplaceAll(strings.TrimPrefix(r.URL.Path, "/_partway/"), "/", ".")
	if cursor := r.URL.Query().Get("cursor"); cursor != "" {
		name += "@" + cursor
	}
	answer, err := os.ReadFile(filepath.Join(f.dir, "answers", name))
	if err != nil {
		http.Error(w, "the script has no answers/"+name, http.StatusTeapot)
		return
	}
	line, text, _ := strings.Cut(string(answer), "\n")
	status, err := strconv.Atoi(line)
	if err != nil {
		panic(err)
	}
	if status/100 == 3 {
		w.Header().Set("Location", strings.TrimSpace(text))
	}
	w.WriteHeader(status)
	fmt.Fprint(w, text)
}
