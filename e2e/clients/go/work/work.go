// Package work is what the programs for Go SDKs share: arguments, comparing bytes, and a way to say what went wrong.
package work

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"os"
	"runtime/debug"
)

// Job is BUCKET PREFIX FILE of the command line. FILE has 11 MiB or more.
type Job struct {
	Bucket, Prefix, Path string
	Content              []byte
}

// Args reads the command line and the file.
func Args() Job {
	if len(os.Args) != 4 {
		Fail("usage: %s BUCKET PREFIX FILE", os.Args[0])
	}
	content, err := os.ReadFile(os.Args[3])
	Must(err, "read FILE")
	return Job{os.Args[1], os.Args[2], os.Args[3], content}
}

// Fail ends the program.
func Fail(format string, args ...any) {
	fmt.Fprintf(os.Stderr, format+"\n", args...)
	os.Exit(1)
}

// Must ends the program if what was done has failed.
func Must(err error, what string) {
	if err != nil {
		Fail("%s: %v", what, err)
	}
}

// Same demands that a body, which it closes, is what was sent.
func Same(body io.ReadCloser, want []byte, what string) {
	got, err := io.ReadAll(body)
	Must(err, what)
	Must(body.Close(), what)
	if !bytes.Equal(got, want) {
		Fail("%s: %d bytes that differ from the %d sent", what, len(got), len(want))
	}
}

// Presigned sends one request to a presigned URL, with the body if there is one, and returns the answer's body.
func Presigned(client *http.Client, method, url string, header http.Header, body []byte) io.ReadCloser {
	req, err := http.NewRequest(method, url, bytes.NewReader(body))
	Must(err, "presigned URL")
	for name, values := range header {
		req.Header[name] = values
	}
	resp, err := client.Do(req)
	Must(err, "presigned "+method)
	if resp.StatusCode != http.StatusOK {
		Fail("presigned %s: %s", method, resp.Status)
	}
	return resp.Body
}

// Version of a module that this program is built with.
func Version(module string) string {
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, m := range info.Deps {
			if m.Path == module {
				return m.Version
			}
		}
	}
	return "unknown"
}
