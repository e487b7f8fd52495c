package main

import (
	"debug/buildinfo"
	"os"
	"os/exec"
	"regexp"
	"strings"
)

func cpuModel() string {
	_, after, _ := strings.Cut(read("/proc/cpuinfo"), "model name\t: ")
	model, _, _ := strings.Cut(after, "\n")
	return model
}

func kernel() string {
	version, _, _ := strings.Cut(read("/proc/sys/kernel/osrelease"), "-")
	return strings.TrimSpace(version)
}

func load() string {
	return strings.Join(strings.Fields(read("/proc/loadavg"))[:3], " ")
}

func read(path string) string {
	b, err := os.ReadFile(path)
	if err != nil {
		return err.Error() + " - -"
	}
	return string(b)
}

// revision is of the tree that is measured, if it is run from there.
func revision() string {
	out, err := exec.Command("git", "describe", "--always", "--dirty").Output()
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(out))
}

var versionNumber = regexp.MustCompile(`\d+\.\d+(\.\d+)?`)

// versions of the others. One that is not there is told so by the measurement that wants it.
func versions(o *options) map[string]string {
	out := map[string]string{}
	for name, command := range map[string][]string{
		"nginx": {inSbin("nginx"), "-v"}, "HAProxy": {inSbin("haproxy"), "-v"}, "aws-cli": {o.aws, "--version"},
	} {
		said, err := exec.Command(command[0], command[1:]...).CombinedOutput()
		if err == nil {
			out[name] = versionNumber.FindString(string(said))
		}
	}
	if built, err := buildinfo.ReadFile(o.versitygw); err == nil {
		out["versitygw"] = strings.TrimPrefix(built.Main.Version, "v")
	}
	return out
}

// inSbin finds a server where Debian keeps it, outside a plain user's PATH.
func inSbin(name string) string {
	if path, err := exec.LookPath(name); err == nil {
		return path
	}
	return "/usr/sbin/" + name
}
