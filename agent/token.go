package agent

import (
	"fmt"
	"os"
	"strings"
)

// Token is the tenant's bearer: as it was given, or in a file that whoever renews it writes.
type Token struct{ Text, File string }

// Get returns the token of this moment. A file is read each time, so that a renewed token counts at once.
func (t Token) Get() (string, error) {
	if t.File == "" {
		return t.Text, nil
	}
	text, err := os.ReadFile(t.File)
	if err != nil {
		return "", fmt.Errorf("reading the token: %w", err)
	}
	return strings.TrimSpace(string(text)), nil
}
