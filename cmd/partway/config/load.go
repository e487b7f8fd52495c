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
	c, _, err := LoadWithPlaces(file, environ)
	return c, err
}

// Locate puts the place in front of an error made by At, and of those that Keys and CheckKeys return: all of their lines.
type Locate func(error) error

// LoadWithPlaces is Load for whoever goes on to try what the configuration names, and wants to say where a mistake stands.
func LoadWithPlaces(file string, environ []string) (*Config, Locate, error) {
	c := Default()
	o := origin{file: file, lines: map[string]int{}, variables: map[string]string{}}
	if file != "" {
		if err := c.readFile(file, &o); err != nil {
			return nil, nil, err
		}
	}
	if err := c.readEnvironment(environ, &o); err != nil {
		return nil, nil, err
	}
	c.fillBackends()
	if c.DataDir == "" {
		dir, err := defaultDataDir(environ)
		if err != nil {
			return nil, nil, o.locate(&fault{key: "data_dir", message: err.Error()})
		}
		c.DataDir = dir
	}
	if err := c.validate(&o); err != nil {
		return nil, nil, err
	}
	return &c, o.locateAll, nil
}

// At says which key an error is about.
func At(key string, err error) error {
	if err == nil {
		return nil
	}
	return &fault{key: key, message: err.Error(), cause: err}
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
	return fmt.Errorf("%s: %w", o.place(f), f)
}

// locateAll locates each of errors that were joined.
func (o *origin) locateAll(err error) error {
	joined, ok := err.(interface{ Unwrap() []error })
	if !ok {
		return o.locate(err)
	}
	var all []error
	for _, one := range joined.Unwrap() {
		all = append(all, o.locateAll(one))
	}
	return errors.Join(all...)
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
