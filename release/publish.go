package main

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
)

const (
	bomName     = "partway.cdx.json"
	noticesName = "THIRD-PARTY-LICENCES.txt"
)

// publish fills out with an archive and a bill of materials for each target, and SHA256SUMS.
func publish(root, out string, all []target) error {
	work, err := os.MkdirTemp("", "partway-release-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(work)
	common, err := documents(root)
	if err != nil {
		return err
	}
	completions, err := completions(root, work)
	if err != nil {
		return err
	}
	common = append(common, completions...)
	if err := os.RemoveAll(out); err != nil {
		return err
	}
	if err := os.MkdirAll(out, 0o755); err != nil {
		return err
	}
	var sums bytes.Buffer
	write := func(name string, data []byte) error {
		fmt.Fprintf(&sums, "%x  %s\n", sha256.Sum256(data), name)
		return os.WriteFile(filepath.Join(out, name), data, 0o644)
	}
	for _, t := range all {
		b, err := build(root, t, filepath.Join(work, t.os+"-"+t.arch, t.program()))
		if err != nil {
			return err
		}
		if err := b.checkNamed(); err != nil {
			return err
		}
		name := fmt.Sprintf("partway_%s_%s_%s", b.version, t.os, t.arch)
		files, bom, err := contents(root, b)
		if err != nil {
			return fmt.Errorf("%s: %w", t, err)
		}
		files = append(files, common...)
		zipped := t.os == "windows"
		packed, err := archive(zipped, name, b.time, files)
		if err != nil {
			return err
		}
		end := ".tar.gz"
		if zipped {
			end = ".zip"
		}
		if err := write(name+end, packed); err != nil {
			return err
		}
		if err := write(name+".cdx.json", bom); err != nil {
			return err
		}
		fmt.Printf("%s  %.1f MB\n", filepath.Join(out, name+end), float64(len(packed))/1e6)
	}
	return os.WriteFile(filepath.Join(out, "SHA256SUMS"), sums.Bytes(), 0o644)
}

// stageImage puts what the Dockerfile copies into dir: the binary, checked as those in archives are, and what must come along with it. What runs
// the image may be built outside of a clone, so the binary need not say which commit it is of.
func stageImage(root, dir string, t target) error {
	b, err := build(root, t, filepath.Join(dir, "partway"))
	if err != nil {
		return err
	}
	files, _, err := contents(root, b)
	if err != nil {
		return err
	}
	for _, f := range files {
		if f.name != b.program() {
			if err := os.WriteFile(filepath.Join(dir, f.name), f.data, f.mode); err != nil {
				return err
			}
		}
	}
	return nil
}

// contents are what every copy of a binary comes with, and its bill of materials.
func contents(root string, b *built) (files []file, bom []byte, err error) {
	all, err := parts(root, b)
	if err != nil {
		return nil, nil, err
	}
	program, err := os.ReadFile(b.file)
	if err != nil {
		return nil, nil, err
	}
	if bom, err = sbom(b, fmt.Sprintf("%x", sha256.Sum256(program)), all); err != nil {
		return nil, nil, err
	}
	licence, err := os.ReadFile(filepath.Join(root, "LICENSE"))
	if err != nil {
		return nil, nil, err
	}
	return []file{{b.program(), 0o755, program}, {"LICENSE", 0o644, licence}, {bomName, 0o644, bom}, {noticesName, 0o644, notices(all)}}, bom, nil
}

// notices are the texts that must come along, each part's below its name.
func notices(all []part) []byte {
	var out bytes.Buffer
	line := strings.Repeat("=", 80)
	fmt.Fprintln(&out, "What this binary contains of others, and under which terms.")
	for _, p := range all {
		for _, l := range p.licences {
			fmt.Fprintf(&out, "\n%s\n%s %s: %s", line, p.name, p.version, l.file)
			if len(l.ids) > 0 {
				fmt.Fprintf(&out, " (%s)", strings.Join(l.ids, ", "))
			}
			fmt.Fprintf(&out, "\n%s\n\n%s\n", line, strings.TrimSpace(l.text))
		}
	}
	return out.Bytes()
}

// completions are the scripts for the shells, as the program itself writes them on this machine; they are the same for all targets.
func completions(root, work string) ([]file, error) {
	here, err := build(root, target{runtime.GOOS, runtime.GOARCH}, filepath.Join(work, "here", "partway"))
	if err != nil {
		return nil, err
	}
	var all []file
	for _, shell := range []struct{ name, file string }{
		{"bash", "partway.bash"}, {"zsh", "_partway"}, {"fish", "partway.fish"}, {"powershell", "partway.ps1"},
	} {
		script, err := output(root, os.Environ(), here.file, "completion", shell.name)
		if err != nil {
			return nil, err
		}
		all = append(all, file{"completions/" + shell.file, 0o644, script})
	}
	return all, nil
}
