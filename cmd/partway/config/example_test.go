package config

import (
	"os"
	"reflect"
	"regexp"
	"testing"
)

const example = "../../../config.example.yaml"

// switchedOn uncomments every "#key" of the example.
func switchedOn(t *testing.T) []byte {
	t.Helper()
	text, err := os.ReadFile(example)
	if err != nil {
		t.Fatal(err)
	}
	return regexp.MustCompile(`(?m)^(\s*)#( {2,}- | {2,}[a-z_]+:|[a-z_]+:)`).ReplaceAll(text, []byte("$1$2"))
}

func TestExampleShowsTheDefaults(t *testing.T) {
	got, err := Load(example, []string{"HOME=/home/gateway"})
	if err != nil {
		t.Fatal(err)
	}
	want := Default()
	want.Storage, want.DataDir = got.Storage, got.DataDir
	// An empty list in the example and no list at all mean the same.
	want.Server.TrustedProxies = []string{}
	want.CORS.Origins = []string{}
	want.Web.SignIn.Origins = []string{}
	want.Tracing.Headers = map[string]string{}
	if !reflect.DeepEqual(*got, want) {
		t.Errorf("the example says\n%+v\nthe defaults are\n%+v", *got, want)
	}
}

func TestExampleLoadsWithEverySettingOn(t *testing.T) {
	if _, err := load(t, string(switchedOn(t))); err != nil {
		t.Error(err)
	}
}

func TestExampleHasEveryKey(t *testing.T) {
	d, err := parse(switchedOn(t), "")
	if err != nil {
		t.Fatal(err)
	}
	var visit func(reflect.Type, string)
	visit = func(of reflect.Type, at string) {
		for of.Kind() == reflect.Pointer {
			of = of.Elem()
		}
		if of.Kind() == reflect.Slice && of.Elem().Kind() == reflect.Struct {
			of, at = of.Elem(), at+"[0]"
		}
		if of.Kind() != reflect.Struct {
			return
		}
		for i := range of.NumField() {
			key := of.Field(i).Tag.Get("yaml")
			if at != "" {
				key = at + "." + key
			}
			if d.lines[key] == 0 {
				t.Errorf("%s is missing", key)
			}
			visit(of.Field(i).Type, key)
		}
	}
	visit(reflect.TypeFor[Config](), "")
}
