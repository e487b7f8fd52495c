package main

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/google/licensecheck"
)

// allowed are the licences, by their SPDX names, under which something may be part of a binary that is Apache-2.0 itself. They ask for
// nothing but that their text comes along; MPL-2.0 also asks that changes to its own files be published, and there are none.
var allowed = []string{"Apache-2.0", "MIT", "BSD-2-Clause", "BSD-3-Clause", "ISC", "0BSD", "MPL-2.0", "Unlicense", "CC0-1.0", "Zlib"}

// licence is a text that must come along.
type licence struct {
	file string // relative to what it is of
	text string
	ids  []string // SPDX names in it; none for a notice
}

var (
	licenceName = regexp.MustCompile(`(?i)^(un)?(licen[cs]e|copying)([-._].*)?$`)
	noticeName  = regexp.MustCompile(`(?i)^notice(\.(md|txt))?$`)
	sourceName  = regexp.MustCompile(`(?i)\.(go|s|c|h|js|ts|sh|py)$`)
)

// licences are what dir holds, and the directories between it and those of dirs that are below it. A module without any, one with a text
// that nobody can tell and one with a licence that is not allowed are errors.
func licences(dir string, dirs ...string) ([]licence, error) {
	var found []licence
	terms := false
	for _, d := range upTo(dir, dirs) {
		entries, err := os.ReadDir(d)
		if err != nil {
			return nil, err
		}
		for _, e := range entries {
			isLicence := licenceName.MatchString(e.Name()) && !sourceName.MatchString(e.Name())
			if !e.Type().IsRegular() || !isLicence && !noticeName.MatchString(e.Name()) {
				continue
			}
			file := filepath.Join(d, e.Name())
			text, err := os.ReadFile(file)
			if err != nil {
				return nil, err
			}
			l := licence{text: string(text)}
			if l.file, err = filepath.Rel(dir, file); err != nil {
				return nil, err
			}
			l.file = filepath.ToSlash(l.file)
			if isLicence {
				if l.ids, err = identify(text); err != nil {
					return nil, fmt.Errorf("%s: %w", l.file, err)
				}
				terms = terms || d == dir
			}
			found = append(found, l)
		}
	}
	if !terms {
		return nil, fmt.Errorf("no licence in %s", dir)
	}
	return found, nil
}

// identify names the licences in a text.
func identify(text []byte) (ids []string, err error) {
	cover := licensecheck.Scan(text)
	for _, m := range cover.Match {
		if m.IsURL {
			continue
		}
		if !slices.Contains(allowed, m.ID) {
			return nil, fmt.Errorf("%s is not allowed", m.ID)
		}
		if !slices.Contains(ids, m.ID) {
			ids = append(ids, m.ID)
		}
	}
	if cover.Percent < 75 || len(ids) == 0 {
		return nil, fmt.Errorf("only %.0f %% of it is a licence that is known (%s)", cover.Percent, strings.Join(ids, ", "))
	}
	return ids, nil
}

// upTo lists top, and every directory between it and those of dirs that are below it.
func upTo(top string, dirs []string) []string {
	all := []string{top}
	for _, d := range dirs {
		for ; d != top && strings.HasPrefix(d, top+string(filepath.Separator)); d = filepath.Dir(d) {
			all = append(all, d)
		}
	}
	slices.Sort(all)
	return slices.Compact(all)
}
