// Package web holds the pages that the gateway serves under /_partway/: the uploader and the console. `make web` builds them into dist with
// Node; a checkout where that was not done builds all the same, and serves a page that says how.
package web

import (
	"embed"
	"io/fs"
)

//go:embed all:dist
var dist embed.FS

//go:embed missing.html
var missing embed.FS

// Pages is what was built: index.html, console.html and what they load. built is false if that was not done; index.html then says how to.
func Pages() (pages fs.FS, built bool) {
	pages, err := fs.Sub(dist, "dist")
	if err != nil {
		panic(err) // the directive above names it
	}
	if _, err := fs.Stat(pages, "index.html"); err == nil {
		return pages, true
	}
	return notBuilt{}, false
}

// notBuilt has one page in place of both.
type notBuilt struct{}

func (notBuilt) Open(name string) (fs.File, error) {
	if name == "index.html" || name == "console.html" {
		return missing.Open("missing.html")
	}
	return nil, &fs.PathError{Op: "open", Path: name, Err: fs.ErrNotExist}
}
