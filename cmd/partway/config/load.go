package config

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// Load reads file ("" for none), lays the variables of environ ("NAME=value") over it, fills in the defaults and
// checks the whole. Every problem is one line of the error: "FILE:LINE: KEY: what is wrong", or the name of the
// variable in place of the file.
func Load(file string, environ []string) (*Config, error) {
	c := Default()
	o := origin{file: file, lines: map[string]int{}, variables: map[string]string{}}
	if file != "" {
		if err := c.readFile(file, &o); err != nil {
			return nil, err
		}
	}
	if err := c.readEnvironment(environ, &o); err != nil {
		return nil, err
	}
	c.fillBackends()
	if c.DataDir == "" {
		dir, err := defaultDataDir(environ)
		if err != nil {
			return nil, o.locate(&fault{key: "data_dir", message: err.Error()})
		}
		c.DataDir = dir
	}
	if err := c.validate(&o); err != nil {
		return nil, err
	}
	return &c, nil
}

func (c *Config) readFile(file string, o *origin) error {
	text, err := os.ReadFile(file)
	if err != nil {
		return fmt.Errorf("reading the configuration: %w", err)
	}
	d, err := parse(text, "")
	if err != nil {
		return o.locate(err)
	}
	o.lines = d.lines
	if err := d.decode(c, ""); err != nil {
		return o.locate(err)
	}
	return nil
}

func (c *Config) fillBackends() {
	yes := true
	for i := range c.Storage.Backends {
		b := &c.Storage.Backends[i]
		if b.PathStyle == nil {
			b.PathStyle = &yes
		}
		if b.AWSChunked == nil {
			b.AWSChunked = &yes
		}
		if b.Region == "" {
			b.Region = "us-east-1"
		}
	}
}

// defaultDataDir follows the XDG base directory specification, which has state outlive a restart and stay out of backups
// of settings.
func defaultDataDir(environ []string) (string, error) {
	var home string
	for _, pair := range environ {
		name, value, _ := strings.Cut(pair, "=")
		if name == "XDG_STATE_HOME" && filepath.IsAbs(value) {
			return filepath.Join(value, "partway"), nil
		}
		if name == "HOME" {
			home = value
		}
	}
	if home == "" {
		return "", errors.New("not set, and neither XDG_STATE_HOME nor HOME says where state belongs")
	}
	return filepath.Join(home, ".local", "state", "partway"), nil
}

// origin knows where each key's value came from.
type origin struct {
	file      string
	lines     map[string]int    // of keys in the file
	variables map[string]string // of keys set by the environment
}

// locate puts the place in front of a fault: that of its key or, when the key is missing, of the nearest key around it.
func (o *origin) locate(err error) error {
	var f *fault
	if !errors.As(err, &f) {
		return err
	}
	place := o.place(f)
	if f.key == "" {
		return fmt.Errorf("%s: %s", place, f.message)
	}
	return fmt.Errorf("%s: %s: %s", place, f.key, f.message)
}

func (o *origin) place(f *fault) string {
	for key := f.key; key != ""; key = parent(key) {
		if name := o.variables[key]; name != "" {
			return name
		}
	}
	if f.line > 0 {
		return fmt.Sprintf("%s:%d", o.file, f.line)
	}
	for key := f.key; key != ""; key = parent(key) {
		if line := o.lines[key]; line > 0 {
			return fmt.Sprintf("%s:%d", o.file, line)
		}
	}
	if o.file != "" {
		return o.file
	}
	return "configuration"
}

func parent(key string) string {
	return key[:max(strings.LastIndexAny(key, ".["), 0)]
}
