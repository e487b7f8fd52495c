package harness

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"time"
)

// Process is a child that a test started. Its output goes to Log; it ends by Stop or Kill, and at the latest with the test
// process itself.
type Process struct {
	Log  string // path of the file with its stdout and stderr
	cmd  *exec.Cmd
	done chan struct{} // closed once it was waited for
	err  error         // what Wait said; read after done
}

// Start runs a program with the given environment on top of a clean one.
func Start(log string, env []string, name string, args ...string) (*Process, error) {
	out, err := os.OpenFile(log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, err
	}
	defer out.Close() // the child has its own
	cmd := exec.Command(name, args...)
	cmd.Env = append(CleanEnv(), env...)
	cmd.Stdout, cmd.Stderr = out, out
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("start %s: %w", name, err)
	}
	p := &Process{Log: log, cmd: cmd, done: make(chan struct{})}
	go func() {
		p.err = cmd.Wait()
		close(p.done)
	}()
	return p, nil
}

// Signal sends a signal.
func (p *Process) Signal(sig os.Signal) error { return p.cmd.Process.Signal(sig) }

// PID of the process.
func (p *Process) PID() int { return p.cmd.Process.Pid }

// Done is closed when the process has ended.
func (p *Process) Done() <-chan struct{} { return p.done }

// Stop sends SIGTERM and waits for a good End.
func (p *Process) Stop(within time.Duration) error {
	if err := p.Signal(syscall.SIGTERM); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return err
	}
	return p.End(within)
}

// End waits for the process's end. Anything but exit status 0 in time is an error that carries the end of the log.
func (p *Process) End(within time.Duration) error {
	select {
	case <-p.done:
	case <-time.After(within):
		p.Kill()
		return fmt.Errorf("pid %d did not end within %v\n%s", p.PID(), within, p.Tail())
	}
	if p.err != nil {
		return fmt.Errorf("pid %d: %w\n%s", p.PID(), p.err, p.Tail())
	}
	return nil
}

// Kill is kill -9, and waits.
func (p *Process) Kill() {
	_ = p.cmd.Process.Kill() // fails only if it has ended
	<-p.done
}

// ExitCode of a process that has ended.
func (p *Process) ExitCode() int {
	<-p.done
	return p.cmd.ProcessState.ExitCode()
}

// Tail is the end of the log.
func (p *Process) Tail() string {
	b, err := os.ReadFile(p.Log)
	if err != nil {
		return err.Error()
	}
	if len(b) > 4000 {
		b = b[len(b)-4000:]
	}
	return string(b)
}

// CleanEnv is this process's environment without what would lead AWS tools or Partway elsewhere.
func CleanEnv() []string {
	var env []string
	for _, kv := range os.Environ() {
		if !strings.HasPrefix(kv, "AWS_") && !strings.HasPrefix(kv, "PARTWAY_") {
			env = append(env, kv)
		}
	}
	return env
}

// Await polls until done says true, the process (if any) ends, or the time is up.
func Await(ctx context.Context, what string, p *Process, done func() bool) error {
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	var ended <-chan struct{}
	if p != nil {
		ended = p.done
	}
	for !done() {
		select {
		case <-tick.C:
		case <-ended:
			return fmt.Errorf("waiting for %s: process ended: %w\n%s", what, p.err, p.Tail())
		case <-ctx.Done():
			err := fmt.Errorf("waiting for %s: %w", what, ctx.Err())
			if p != nil {
				err = fmt.Errorf("%w\n%s", err, p.Tail())
			}
			return err
		}
	}
	return nil
}
