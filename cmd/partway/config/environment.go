package config

import (
	"fmt"
	"os"
	"reflect"
	"slices"
	"strings"
)

const prefix = "PARTWAY_CFG_"

// secrets are the keys that may also be read from a file named by PARTWAY_CFG_..._FILE: those that hold a secret somewhere.
var secrets = []string{"auth.master_keys", "storage.backends", "mongodb.uri", "redis.url", "notifications", "tracing.headers"}

// InEnvironment reports whether environ configures anything.
func InEnvironment(environ []string) bool {
	return slices.ContainsFunc(environ, func(pair string) bool { return strings.HasPrefix(pair, prefix) })
}

// readEnvironment lays PARTWAY_CFG_<SECTION>__<KEY> over c. A text key takes the value as it is, any other reads it as YAML.
func (c *Config) readEnvironment(environ []string, o *origin) error {
	settings := c.settings()
	for _, pair := range slices.Sorted(slices.Values(environ)) {
		name, value, _ := strings.Cut(pair, "=")
		if !strings.HasPrefix(name, prefix) {
			continue
		}
		s, ok := settings[name]
		if !ok {
			return fmt.Errorf("%s: no such setting", name)
		}
		if before := o.variables[s.key]; before != "" {
			return fmt.Errorf("%s: %s is already set by %s", name, s.key, before)
		}
		if s.fromFile {
			text, err := os.ReadFile(value)
			if err != nil {
				return fmt.Errorf("%s: %s: %w", name, s.key, err)
			}
			value = strings.TrimRight(string(text), "\r\n")
		}
		o.variables[s.key] = name
		if err := s.set(value); err != nil {
			return o.locate(err)
		}
	}
	return nil
}

// setting is one key that a variable can set.
type setting struct {
	key      string
	field    reflect.Value
	fromFile bool
}

func (s setting) set(value string) error {
	if s.field.Kind() == reflect.String {
		s.field.SetString(value)
		return nil
	}
	d, err := parse([]byte(value), s.key)
	if err != nil {
		return err
	}
	// What stands in the file under this key is replaced, not merged into.
	s.field.SetZero()
	return d.decode(s.field.Addr().Interface(), s.key)
}

// settings lists c's keys by the name of their variable.
func (c *Config) settings() map[string]setting {
	all := map[string]setting{}
	add := func(key string, field reflect.Value) {
		name := prefix + strings.ToUpper(strings.ReplaceAll(key, ".", "__"))
		all[name] = setting{key: key, field: field}
		if slices.Contains(secrets, key) {
			all[name+"_FILE"] = setting{key: key, field: field, fromFile: true}
		}
	}
	root := reflect.ValueOf(c).Elem()
	for i := range root.NumField() {
		section, key := root.Field(i), root.Type().Field(i).Tag.Get("yaml")
		if section.Kind() != reflect.Struct {
			add(key, section)
			continue
		}
		for j := range section.NumField() {
			add(key+"."+section.Type().Field(j).Tag.Get("yaml"), section.Field(j))
		}
	}
	return all
}
