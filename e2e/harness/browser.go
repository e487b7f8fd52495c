package harness

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
)

// Browser is Debian's Chromium, driven by e2e/browser/driver.js: one scenario at a time, each in a profile of its own.
type Browser struct {
	AppOrigin string // of the applications that are not ours

	cmd *exec.Cmd
	in  io.WriteCloser
	out *bufio.Reader
	log string
}

// StartBrowser starts the driver and the browser. They end with Close, and at the latest with the test process.
func StartBrowser(dir string) (*Browser, error) {
	bundles, err := Tool("browser/bundles")
	if err != nil {
		return nil, err
	}
	chromium, err := exec.LookPath("chromium")
	if err != nil {
		return nil, err
	}
	b := &Browser{cmd: exec.Command("node", "browser/driver.js"), log: filepath.Join(dir, "browser.log")}
	b.cmd.Env = append(CleanEnv(), "CHROMIUM="+chromium, "BUNDLES="+bundles, "HOME="+dir)
	b.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	log, err := os.Create(b.log)
	if err != nil {
		return nil, err
	}
	defer log.Close() // the child has its own
	b.cmd.Stderr = log
	if b.in, err = b.cmd.StdinPipe(); err != nil {
		return nil, err
	}
	out, err := b.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	b.out = bufio.NewReader(out)
	if err := b.cmd.Start(); err != nil {
		return nil, err
	}
	var hello struct {
		AppOrigin string `json:"app_origin"`
	}
	if err := b.read(&hello); err != nil {
		return nil, errors.Join(err, b.Close())
	}
	b.AppOrigin = hello.AppOrigin
	return b, nil
}

// Do runs a scenario and reads what it found into result. When ctx ends first the browser is ended, and is of no more use.
func (b *Browser) Do(ctx context.Context, scenario string, args map[string]any, result any) error {
	line, err := json.Marshal(map[string]any{"scenario": scenario, "args": args})
	if err != nil {
		return err
	}
	stop := context.AfterFunc(ctx, func() { _ = b.cmd.Process.Kill() })
	defer stop()
	if _, err := b.in.Write(append(line, '\n')); err != nil {
		return fmt.Errorf("browser: %w", err)
	}
	if err := b.read(result); err != nil {
		return fmt.Errorf("%s: %w", scenario, err)
	}
	return nil
}

func (b *Browser) read(result any) error {
	line, err := b.out.ReadBytes('\n')
	if err != nil {
		log, _ := os.ReadFile(b.log)
		return fmt.Errorf("the browser's driver ended: %w\n%s", err, log)
	}
	var answer struct {
		OK     bool            `json:"ok"`
		Error  string          `json:"error"`
		Result json.RawMessage `json:"result"`
	}
	if err := json.Unmarshal(line, &answer); err != nil {
		return fmt.Errorf("the browser's driver said %q: %w", line, err)
	}
	if !answer.OK {
		return errors.New(answer.Error)
	}
	return json.Unmarshal(answer.Result, result)
}

// Close ends the driver and the browser.
func (b *Browser) Close() error {
	b.in.Close()
	return b.cmd.Wait()
}
