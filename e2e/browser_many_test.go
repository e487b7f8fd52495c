package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	"partway/e2e/harness"
)

// tree makes files, path to content, below a directory of its own.
func (w *person) tree(files map[string]string) (dir string) {
	w.t.Helper()
	dir = w.t.TempDir()
	for path, content := range files {
		path = filepath.Join(dir, path)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			w.t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			w.t.Fatal(err)
		}
	}
	return dir
}

func testDroppedFolder(w *person) {
	files := map[string]string{
		"season 1/note.txt": "of the season", "season 1/raw/day 1/note.txt": "of the day", "season 1/raw/empty.bin": "", "season 1/Füße & mehr?.txt": "no name for Windows",
		"one/note.txt": "the first", "two/note.txt": "the second", "three/note.txt": "the third",
	}
	dir := w.tree(files)
	want := map[string]string{"note.txt": "the first", "note (2).txt": "the second", "note (3).txt": "the third"}
	for path, content := range files {
		if strings.HasPrefix(path, "season 1/") {
			want[path] = content
		}
	}
	var names []string
	for name := range want {
		names = append(names, name)
	}
	var got struct{ Names, Alerts []string }
	w.run("droppedFolder", &got, map[string]any{"names": names,
		"drops": [][]string{
			{filepath.Join(dir, "season 1"), filepath.Join(dir, "one/note.txt")},
			{filepath.Join(dir, "two/note.txt")}, {filepath.Join(dir, "three/note.txt")}, // of one drop, Chromium itself renames them
		}})
	for name, content := range want {
		w.holds(name, []byte(content))
	}
	slices.Sort(names)
	slices.Sort(got.Names)
	if !slices.Equal(got.Names, names) || len(got.Alerts) > 0 {
		w.t.Errorf("%+v", got)
	}
}

func testDroppedAndReloaded(w *person) {
	args, content := w.file("film.bin", w.size)
	w.standStill()
	var got struct {
		Asked       bool
		Before, End progress
	}
	w.run("droppedAndReloaded", &got, args)
	w.holds("film.bin", content)
	w.resumed(got.Before, got.End)
	if got.Asked {
		w.t.Error("somebody had to choose the file")
	}
}

func testManyFiles(w *person) {
	files := map[string]string{}
	for i := range 2500 {
		files[fmt.Sprintf("many/%02d/%d.txt", i%40, i)] = ""
	}
	var got struct {
		Rows          int
		More, Summary string
	}
	w.run("manyFiles", &got, map[string]any{"drop": []string{filepath.Join(w.tree(files), "many")}})
	if got.Rows != 200 || !strings.HasPrefix(got.More, "and 2,300 more") || got.Summary != "0 of 2500 files" {
		w.t.Errorf("%+v", got)
	}
}

func testManyUploads(w *person) {
	const uploads, parts = 230, 450
	first := w.begun("aaa.bin", parts, 1)
	keys := make(chan string)
	var made sync.WaitGroup
	for range 16 {
		made.Go(func() {
			for key := range keys {
				w.ask("POST", "/_partway/s3/multipart", map[string]any{"filename": key}, nil)
			}
		})
	}
	for i := range uploads - 1 {
		keys <- fmt.Sprintf("b-%03d.bin", i)
	}
	close(keys)
	made.Wait()
	var got struct {
		Pages    [][]string
		Elements int
		Events   []int
	}
	w.run("manyUploads", &got, map[string]any{"first": first})
	if len(got.Pages) != 5 {
		w.t.Errorf("%d pages of uploads", len(got.Pages))
	}
	seen := map[string]bool{}
	for _, page := range got.Pages {
		if len(page) > 50 {
			w.t.Errorf("a page of %d uploads", len(page))
		}
		for _, key := range page {
			seen[key] = true
		}
	}
	if len(seen) != uploads || !seen[harness.Bucket+"/"+w.name+"/"+first] {
		w.t.Errorf("%d of %d uploads were shown", len(seen), uploads)
	}
	if !slices.Equal(got.Events, []int{200, 200, parts + 2 - 400}) {
		w.t.Errorf("pages of events: %v", got.Events)
	}
	if got.Elements > 1000 {
		w.t.Errorf("a page has %d elements", got.Elements)
	}
}
