package main

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

const mit = `MIT License

Copyright (c) 2026 Somebody

Permission is hereby granted, free of charge, to any person obtaining a copy
of this software and associated documentation files (the "Software"), to deal
in the Software without restriction, including without limitation the rights
to use, copy, modify, merge, publish, distribute, sublicense, and/or sell
copies of the Software, and to permit persons to whom the Software is
furnished to do so, subject to the following conditions:

The above copyright notice and this permission notice shall be included in all
copies or substantial portions of the Software.

THE SOFTWARE IS PROVIDED "AS IS", WITHOUT WARRANTY OF ANY KIND, EXPRESS OR
IMPLIED, INCLUDING BUT NOT LIMITED TO THE WARRANTIES OF MERCHANTABILITY,
FITNESS FOR A PARTICULAR PURPOSE AND NONINFRINGEMENT. IN NO EVENT SHALL THE
AUTHORS OR COPYRIGHT HOLDERS BE LIABLE FOR ANY CLAIM, DAMAGES OR OTHER
LIABILITY, WHETHER IN AN ACTION OF CONTRACT, TORT OR OTHERWISE, ARISING FROM,
OUT OF OR IN CONNECTION WITH THE SOFTWARE OR THE USE OR OTHER DEALINGS IN THE
SOFTWARE.
`

// The notice that a file under it begins with, as its text itself asks.
const agpl = `This program is free software: you can redistribute it and/or modify it under the terms of the GNU Affero General Public
License as published by the Free Software Foundation, either version 3 of the License, or (at your option) any later version.
`

// module writes a directory tree.
func module(t *testing.T, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range files {
		file := filepath.Join(dir, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func TestNothingIsReleasedUnderALicenceThatIsNotAllowed(t *testing.T) {
	for _, tt := range []struct {
		name  string
		files map[string]string
		want  string // in the error
	}{
		{"AGPL", map[string]string{"LICENSE": agpl}, "AGPL"},
		{"AGPL beside MIT", map[string]string{"LICENSE": mit, "COPYING": agpl}, "AGPL"},
		{"AGPL and MIT in one", map[string]string{"LICENSE": mit + "\n" + agpl}, "AGPL"},
		{"AGPL of a directory that is linked", map[string]string{"LICENSE": mit, "in/LICENSE.txt": agpl, "in/deep/x.go": ""}, "AGPL"},
		{"a text that nobody knows", map[string]string{"LICENSE": "All rights reserved. Ask us first."}, "known"},
		{"a licence with much behind it", map[string]string{"LICENSE": mit + strings.Repeat("and one condition more ", 100)}, "known"},
		{"none", map[string]string{"README": "MIT"}, "no licence"},
		{"a notice alone", map[string]string{"NOTICE": mit}, "no licence"},
		{"of a directory alone", map[string]string{"in/deep/LICENSE": mit}, "no licence"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			dir := module(t, tt.files)
			if err := os.MkdirAll(filepath.Join(dir, "in", "deep"), 0o755); err != nil {
				t.Fatal(err)
			}
			_, err := licences(dir, filepath.Join(dir, "in", "deep"))
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %v, want an error with %q", err, tt.want)
			}
		})
	}
}

func TestLicencesOfWhatIsLinkedComeAlong(t *testing.T) {
	dir := module(t, map[string]string{
		"LICENSE": mit, "NOTICE.txt": "made by many", "linked/LICENSE": mit, "linked/deep/x.go": "", "other/LICENSE": agpl, "license.go": "package x",
	})
	found, err := licences(dir, filepath.Join(dir, "linked", "deep"))
	if err != nil {
		t.Fatal(err)
	}
	var files []string
	for _, l := range found {
		files = append(files, l.file)
	}
	if want := []string{"LICENSE", "NOTICE.txt", "linked/LICENSE"}; !slices.Equal(files, want) {
		t.Errorf("got %v, want %v", files, want)
	}
	text := string(notices([]part{{name: "some/module", version: "v1", licences: found}}))
	for _, want := range []string{"some/module v1: linked/LICENSE (MIT)\n", "Permission is hereby granted", "made by many"} {
		if !strings.Contains(text, want) {
			t.Errorf("the notices do not have %q:\n%s", want, text)
		}
	}
}
