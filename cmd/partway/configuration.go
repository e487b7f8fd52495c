package main

import (
	"errors"
	"fmt"
	"os"

	"partway/cmd/partway/config"
)

// errNoConfiguration: neither a file nor a variable was given, as when somebody tries what a command does.
var errNoConfiguration = errors.New("there is no configuration: give --config FILE, or PARTWAY_CFG_... variables. config.example.yaml explains every key")

// loadConfig reads the configuration that a command works with. locate says where in it a mistake stands.
func loadConfig(file string) (*config.Config, config.Locate, error) {
	c, locate, err := config.LoadWithPlaces(file, os.Environ())
	switch {
	case err == nil:
		return c, locate, nil
	case file == "" && !config.InEnvironment(os.Environ()):
		return nil, nil, &usageError{errNoConfiguration}
	case file == "":
		err = fmt.Errorf("%w\nno file was read, variables alone: --config FILE names one", err)
	}
	return nil, nil, &usageError{err}
}

// tryDemo leads whoever has no configuration yet to what needs none.
func tryDemo(err error) error {
	if !errors.Is(err, errNoConfiguration) {
		return err
	}
	if !hasStorage {
		return usagef("%w. To try a gateway without any: `go run ./cmd/partway demo` in a clone", err)
	}
	return usagef("%w. To try a gateway without any: partway demo", err)
}
