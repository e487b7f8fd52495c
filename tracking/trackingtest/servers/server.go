//go:build servers

package servers

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// Server is a server under test. It ends with the test that started it.
type Server struct {
	Name string
	URI  string // without a database

	command func() *exec.Cmd // nil: not ours to start and to kill
	log     string           // its stdout and stderr
	addr    string
	bus     int // the port of a cluster's server for the others
	running *exec.Cmd
	ended   chan struct{} // closed once running was waited for
}

// startDeadline is generous: a JVM's start competes with every package that is tested at the same time.
const startDeadline = time.Minute

// start runs command on a free port and in a directory of its own. The server keeps both when it is killed and restarted.
func start(t testing.TB, name, scheme string, command func(port int, dir string) *exec.Cmd) *Server {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := l.Addr().(*net.TCPAddr)
	l.Close()
	dir := t.TempDir()
	s := &Server{
		Name:    name,
		URI:     scheme + addr.String(),
		command: func() *exec.Cmd { return command(addr.Port, dir) },
		log:     filepath.Join(t.TempDir(), name+".log"),
		addr:    addr.String(),
	}
	t.Cleanup(s.Kill)
	s.Start(t)
	return s
}

// Ours reports whether Start, Hang and Kill work on the server.
func (s *Server) Ours() bool { return s.command != nil }

// Start runs the server and returns once it accepts connections.
func (s *Server) Start(t testing.TB) {
	t.Helper()
	log, err := os.OpenFile(s.log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close() // the child has its own
	c := s.command()
	c.Stdout, c.Stderr = log, log
	// A test binary that panics or times out runs no cleanup.
	c.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := c.Start(); err != nil {
		t.Fatalf("start %s: %v", s.Name, err)
	}
	ended := make(chan struct{})
	go func() {
		_ = c.Wait() // how it ended is in the log
		close(ended)
	}()
	s.running, s.ended = c, ended
	if err := s.await(); err != nil {
		output, _ := os.ReadFile(s.log)
		t.Fatalf("%s on %s: %v\n%s", s.Name, s.addr, err, output)
	}
}

// await polls the port until the server accepts, ends, or is too late.
func (s *Server) await() error {
	late := time.After(startDeadline)
	poll := time.NewTicker(10 * time.Millisecond)
	defer poll.Stop()
	for {
		if conn, err := net.Dial("tcp", s.addr); err == nil {
			return conn.Close()
		}
		select {
		case <-poll.C:
		case <-s.ended:
			return fmt.Errorf("ended: %v", s.running.ProcessState)
		case <-late:
			return fmt.Errorf("does not accept connections after %v", startDeadline)
		}
	}
}

// Kill ends the server as a crash would, and waits for its end.
func (s *Server) Kill() {
	if s.running != nil {
		_ = s.running.Process.Kill() // an error says that it has ended by itself
		<-s.ended
	}
}

// Hang stops the server in its tracks: it holds its connections and answers nothing. Kill ends it all the same.
func (s *Server) Hang(t testing.TB) {
	t.Helper()
	if err := s.running.Process.Signal(syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	// The signal stops one thread after the other; the last might still answer.
	if err := unix.Waitid(unix.P_PID, s.running.Process.Pid, nil, unix.WSTOPPED|unix.WNOWAIT, nil); err != nil {
		t.Fatal(err)
	}
}
