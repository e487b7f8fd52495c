package e2e

import (
	"slices"
	"testing"
)

// Stock clients at their everyday work, with the settings that a partner would use. docs/compatibility.md is made of this.
func TestClients(t *testing.T) {
	runClients(t, slices.Concat(
		awsCLI(), boto3(), mc(), goSDKs(), javaScript(), s3cmd(), rclone(), restic(),
	))
}
