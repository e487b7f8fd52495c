package config

import (
	"fmt"
	"reflect"
	"time"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"

	"partway/auth"
)

// Issuer is an OpenID Connect provider whose tokens roles let in.
type Issuer struct {
	Issuer     string   `yaml:"issuer"`
	Audiences  []string `yaml:"audiences"`
	JWKSURL    string   `yaml:"jwks_url"`
	Algorithms []string `yaml:"algorithms"`
}

// Role is what the tokens of an issuer that meet its conditions may do.
type Role struct {
	Name       string           `yaml:"name"`
	Issuer     string           `yaml:"issuer"`
	Conditions map[string]Texts `yaml:"conditions"`
	Tenant     string           `yaml:"tenant"`
	Scope      []Scope          `yaml:"scope"`
	MaxTTL     Duration         `yaml:"max_ttl"`
}

// Scope is one grant of a role: auth.Scope in the file's words.
type Scope struct {
	Bucket         string            `yaml:"bucket"`
	Prefix         string            `yaml:"prefix"`
	Actions        []string          `yaml:"actions"`
	MaxObjectBytes int64             `yaml:"max_object_bytes"`
	MaxPartBytes   int64             `yaml:"max_part_bytes"`
	MaxTenantBytes int64             `yaml:"max_tenant_bytes"`
	MaxOpenUploads int               `yaml:"max_open_uploads"`
	Transfer       []string          `yaml:"transfer"`
	Resume         bool              `yaml:"resume"`
	NoOverwrite    bool              `yaml:"no_overwrite"`
	ForceHeaders   map[string]string `yaml:"force_headers"`
}

// Texts is a text or a list of texts. A number and true or false stand for how they are written.
type Texts []string

// UnmarshalYAML implements yaml.NodeUnmarshaler.
func (t *Texts) UnmarshalYAML(n ast.Node) error {
	*t = nil
	nodes := []ast.Node{n}
	if list, ok := n.(*ast.SequenceNode); ok {
		nodes = list.Values
	}
	for _, item := range nodes {
		switch item := item.(type) {
		case *ast.StringNode:
			*t = append(*t, item.Value)
		case *ast.IntegerNode, *ast.BoolNode:
			*t = append(*t, item.GetToken().Value)
		default:
			return &yaml.TypeError{DstType: reflect.TypeFor[Texts](), Token: item.GetToken()}
		}
	}
	return nil
}

// ForeignIssuers are the issuers in auth's words.
func (a *Auth) ForeignIssuers() []auth.ForeignIssuer {
	var all []auth.ForeignIssuer
	for _, i := range a.Issuers {
		all = append(all, auth.ForeignIssuer(i))
	}
	return all
}

// ForeignRoles are the roles in auth's words.
func (a *Auth) ForeignRoles() []auth.Role {
	var all []auth.Role
	for _, r := range a.Roles {
		role := auth.Role{Name: r.Name, Issuer: r.Issuer, Tenant: r.Tenant, MaxTTL: time.Duration(r.MaxTTL), Conditions: map[string][]string{}}
		for claim, values := range r.Conditions {
			role.Conditions[claim] = values
		}
		for _, s := range r.Scope {
			role.Scopes = append(role.Scopes, auth.Scope(s))
		}
		all = append(all, role)
	}
	return all
}

func (c *Config) checkForeign(k *check) {
	before := len(k.found)
	issuers, roles := c.Auth.ForeignIssuers(), c.Auth.ForeignRoles()
	for i := range issuers {
		if err := issuers[i].Check(); err != nil {
			k.fail(fmt.Sprintf("auth.issuers[%d]", i), "%v", err)
		}
		k.require(issuers[i].Issuer != c.Auth.Issuer, fmt.Sprintf("auth.issuers[%d].issuer", i), "is auth.issuer, the gateway's own")
	}
	for i := range roles {
		if err := roles[i].Check(); err != nil {
			k.fail(fmt.Sprintf("auth.roles[%d]", i), "%v", err)
		}
	}
	if len(k.found) > before {
		return
	}
	// What is left to be wrong lies between them.
	if _, err := auth.NewForeign(auth.ForeignConfig{Issuers: issuers, Roles: roles}); err != nil {
		k.fail("auth", "%v", err)
	}
}
