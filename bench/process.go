package main

import (
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// process is a server under measurement, with its address.
type process struct {
	cmd  *exec.Cmd
	addr string
}

func start(log string, cmd *exec.Cmd) (*process, error) {
	if log != "" {
		out, err := os.Create(log)
		if err != nil {
			return nil, err
		}
		defer out.Close() // the child has its own
		cmd.Stdout, cmd.Stderr = out, out
	}
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("start %s: %w", cmd.Path, err)
	}
	return &process{cmd: cmd}, nil
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
func (p *process) cpu() time.Duration { return cpuOf(p.family()...) }

// own is that of the process alone.
func (p *process) own() time.Duration { return cpuOf(p.cmd.Process.Pid) }

// cpuOf sums fields 14 and 15 of proc(5)'s stat, in ticks of 1/100 s.
func cpuOf(pids ...int) time.Duration {
	var ticks int64
	for _, pid := range pids {
		b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
		if err != nil {
			continue
		}
		// The command may hold spaces; what follows its closing bracket starts at field 3.
		fields := strings.Fields(string(b[strings.LastIndexByte(string(b), ')')+1:]))
		for _, f := range fields[11:13] {
			n, _ := strconv.ParseInt(f, 10, 64)
			ticks += n
		}
	}
	return time.Duration(ticks) * 10 * time.Millisecond
}

// peak is the largest resident set so far, in MiB, summed over the children.
func (p *process) peak() float64 { return p.memory("VmHWM:") }

// anonymous is what is resident now and not backed by a file, in MiB: peak counts the pages of the program itself as well.
func (p *process) anonymous() float64 { return p.memory("RssAnon:") }

// memory sums a line of proc(5)'s status over the family.
func (p *process) memory(line string) float64 {
	var kib int64
	for _, pid := range p.family() {
		b, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
		if err != nil {
			continue
		}
		_, after, _ := strings.Cut(string(b), line)
		if fields := strings.Fields(after); len(fields) > 0 {
			n, _ := strconv.ParseInt(fields[0], 10, 64)
			kib += n
		}
	}
	return float64(kib) / 1024
}
