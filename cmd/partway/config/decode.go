package config

import (
	"errors"
	"fmt"
	"reflect"
	"strings"
	"time"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"
	"github.com/goccy/go-yaml/token"
)

// Duration is a time.Duration that reads "30s", "5m" or "168h", and nothing without a unit.
type Duration time.Duration

// UnmarshalYAML implements yaml.NodeUnmarshaler, so that a bad value keeps its place in the file.
func (d *Duration) UnmarshalYAML(n ast.Node) error {
	if text, ok := n.(*ast.StringNode); ok {
		parsed, err := time.ParseDuration(text.Value)
		if err == nil {
			*d = Duration(parsed)
			return nil
		}
	}
	return &yaml.TypeError{DstType: reflect.TypeFor[Duration](), Token: n.GetToken()}
}

func (d Duration) String() string { return time.Duration(d).String() }

// document is YAML text with the place of every key in it.
type document struct {
	body  ast.Node       // nil: nothing but comments
	lines map[string]int // "storage.backends[0].endpoint" -> line
}

// fault is a problem at one key. Line is 0 where there is none to name.
type fault struct {
	line    int
	key     string // "" for the whole
	message string
	cause   error // nil: the message says all
}

func (f *fault) Error() string {
	if f.key == "" {
		return f.message
	}
	return f.key + ": " + f.message
}

func (f *fault) Unwrap() error { return f.cause }

// parse reads text; root is the key under which it stands ("" for a whole file).
func parse(text []byte, root string) (*document, error) {
	file, err := parser.ParseBytes(text, 0)
	if err != nil {
		return nil, asFault(err, nil, root)
	}
	d := &document{lines: map[string]int{}}
	for _, doc := range file.Docs {
		if doc.Body == nil || doc.Body.Type() == ast.CommentType {
			continue
		}
		if d.body != nil {
			return nil, &fault{line: doc.Body.GetToken().Position.Line, message: "more than one YAML document"}
		}
		d.body = doc.Body
	}
	if d.body == nil {
		return d, nil
	}
	places := visitor(func(n ast.Node) {
		switch n := n.(type) {
		case *ast.MappingValueNode:
			key := keyOf(n, root)
			d.lines[key] = n.Key.GetToken().Position.Line
			// A section may be empty: its keys are then commented out. A key may not: null would pass as zero.
			if n.Value.Type() == ast.NullType && strings.ContainsAny(key, ".[") && err == nil {
				err = &fault{line: d.lines[key], key: key, message: "no value: give it one or remove the key"}
			}
		case *ast.SequenceNode:
			for _, item := range n.Values {
				d.lines[keyOf(item, root)] = item.GetToken().Position.Line
			}
		}
	})
	ast.Walk(places, d.body)
	return d, err
}

// decode fills into, strictly. What the document does not mention keeps its value.
func (d *document) decode(into any, root string) error {
	if d.body == nil {
		return nil
	}
	if err := yaml.NodeToValue(d.body, into, yaml.Strict()); err != nil {
		return asFault(err, d.body, root)
	}
	return nil
}

// asFault turns an error of the YAML library into one that speaks of keys, not of Go types.
func asFault(err error, body ast.Node, root string) error {
	var located yaml.Error
	if !errors.As(err, &located) {
		return &fault{key: root, message: err.Error()}
	}
	at := located.GetToken()
	f := &fault{line: at.Position.Line, key: keyAt(at, body, root), message: located.GetMessage()}
	var (
		unknown    *yaml.UnknownFieldError
		wrongType  *yaml.TypeError
		overflow   *yaml.OverflowError
		unexpected *yaml.UnexpectedNodeTypeError
	)
	switch {
	case errors.As(err, &unknown):
		f.message = "unknown key"
	case errors.As(err, &wrongType):
		f.message = fmt.Sprintf("%s is not %s", shown(at), wanted(wrongType.DstType))
	case errors.As(err, &overflow):
		f.message = fmt.Sprintf("%s is out of range", shown(at))
	case errors.As(err, &unexpected):
		f.message = fmt.Sprintf("%s stands where a %s belongs", shown(at), strings.ToLower(unexpected.Expected.YAMLName()))
	}
	return f
}

func shown(t *token.Token) string {
	switch t.Type {
	case token.MappingStartType, token.MappingValueType:
		return "a mapping"
	case token.SequenceStartType, token.SequenceEntryType:
		return "a list"
	}
	return fmt.Sprintf("%q", t.Value)
}

func wanted(t reflect.Type) string {
	if t == reflect.TypeFor[Duration]() {
		return "a duration such as 30s or 5m"
	}
	if t == reflect.TypeFor[Texts]() {
		return "text or a list of texts"
	}
	switch t.Kind() {
	case reflect.Bool:
		return "true or false"
	case reflect.Int, reflect.Int64:
		return "a whole number"
	case reflect.Float64:
		return "a number"
	case reflect.String:
		return "text"
	}
	return "a " + t.Kind().String()
}

// keyAt is the key whose node begins with the token.
func keyAt(at *token.Token, body ast.Node, root string) string {
	key, found := root, false
	if body == nil {
		return key
	}
	ast.Walk(visitor(func(n ast.Node) {
		p := n.GetToken().Position
		if !found && p.Line == at.Position.Line && p.Column == at.Position.Column {
			key, found = keyOf(n, root), true
		}
	}), body)
	return key
}

// keyOf turns the library's "$.storage.buckets.'my.bucket'" into what a reader would write.
func keyOf(n ast.Node, root string) string {
	key := strings.ReplaceAll(strings.TrimPrefix(n.GetPath(), "$"), "'", "")
	if root == "" {
		key = strings.TrimPrefix(key, ".")
	}
	return root + key
}

type visitor func(ast.Node)

func (v visitor) Visit(n ast.Node) ast.Visitor {
	v(n)
	return v
}
