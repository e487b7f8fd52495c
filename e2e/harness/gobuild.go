package harness

import (
	"fmt"
	"os/exec"
)

// GoBuild builds packages of the module in dir.
func GoBuild(dir, out string, packages ...string) error {
	cmd := exec.Command("go", append([]string{"build", "-o", out}, packages...)...)
	cmd.Dir = dir
	if text, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("go build in %s: %w\n%s", dir, err, text)
	}
	return nil
}
