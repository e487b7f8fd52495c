package main

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// process is a server under measurement.
type process struct {
	cmd *exec.Cmd
	log string // file with what it said; "": nobody listens
}

func start(log string, cmd *exec.Cmd) (*process, error) {
	if log != "" {
		out, err := os.Create(log)
		if err != nil {
			return nil, err
		}
		defer out.Close() // the child has its own
		cmd.Stderr = out
		if cmd.Stdout == nil {
			cmd.Stdout = out
		}
	}
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("start %s: %w", cmd.Path, err)
	}
	return &process{cmd: cmd, log: log}, nil
}

// startListening starts a server that is told its address, and waits until somebody answers there.
func startListening(log, address string, cmd *exec.Cmd) (*process, error) {
	p, err := start(log, cmd)
	if err != nil {
		return nil, err
	}
	return p, p.await(func() bool {
		c, err := net.Dial("tcp", address)
		if err == nil {
			c.Close()
		}
		return err == nil
	})
}

// startSelf runs this binary as one of its children, which prints one line when it serves.
func startSelf(log string, env []string, args ...string) (p *process, line string, err error) {
	self, err := os.Executable()
	if err != nil {
		return nil, "", err
	}
	cmd := exec.Command(self, args...)
	cmd.Env = append(os.Environ(), env...)
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, "", err
	}
	if p, err = start(log, cmd); err != nil {
		return nil, "", err
	}
	line, err = bufio.NewReader(out).ReadString('\n')
	if err != nil {
		p.stop()
		return nil, "", fmt.Errorf("bench %s: %w\n%s", args[0], err, p.said())
	}
	return p, strings.TrimSpace(line), nil
}

// await waits until done, or stops p.
func (p *process) await(done func() bool) error {
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for !done() {
		select {
		case <-tick.C:
		case <-ctx.Done():
			p.stop()
			return fmt.Errorf("waiting for %s: %w\n%s", p.cmd.Path, ctx.Err(), p.said())
		}
	}
	return nil
}

func (p *process) said() string {
	said, _ := os.ReadFile(p.log) // nothing was said, then
	return string(said)
}

func (p *process) stop() {
	_ = p.cmd.Process.Signal(syscall.SIGTERM)
	_ = p.cmd.Wait() // how it ended is not what is measured
}

// family is the process and its children: nginx works in its children.
func (p *process) family() []int {
	pids := []int{p.cmd.Process.Pid}
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/task/%[1]d/children", pids[0]))
	if err != nil {
		return pids
	}
	for _, f := range strings.Fields(string(b)) {
		if pid, err := strconv.Atoi(f); err == nil {
			pids = append(pids, pid)
		}
	}
	return pids
}

// cpu is the user and system time of the process and its children so far.
func (p *process) cpu() (sum time.Duration) {
	for _, pid := range p.family() {
		sum += cpuOf(pid)
	}
	return sum
}

// own is that of the process alone.
func (p *process) own() time.Duration { return cpuOf(p.cmd.Process.Pid) }

// cpuOf reads the process's CPU clock, clock_getcpuclockid(3): proc(5)'s stat counts in hundredths of a second.
func cpuOf(pid int) time.Duration {
	const perProcessSched = 2
	var t unix.Timespec
	if unix.ClockGettime(int32(^pid<<3|perProcessSched), &t) != nil {
		return 0
	}
	return time.Duration(t.Nano())
}

// peak is the largest resident set so far, in MiB, summed over the children.
func (p *process) peak() float64 { return p.memory("VmHWM:") / 1024 }

// resident is the resident set now, in KiB.
func (p *process) resident() float64 { return p.memory("VmRSS:") }

// memory sums a line of proc(5)'s status over the family, in KiB.
func (p *process) memory(line string) float64 {
	var kib int64
	for _, pid := range p.family() {
		_, after, _ := strings.Cut(read(fmt.Sprintf("/proc/%d/status", pid)), line)
		if fields := strings.Fields(after); len(fields) > 0 {
			n, _ := strconv.ParseInt(fields[0], 10, 64)
			kib += n
		}
	}
	return float64(kib)
}

// freeAddress is for servers that must be told their port.
func freeAddress() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	defer l.Close()
	return l.Addr().String(), nil
}
