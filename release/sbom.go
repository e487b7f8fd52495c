package main

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"strings"
	"time"

	cdx "github.com/CycloneDX/cyclonedx-go"
)

// sbom is the bill of materials of a binary, CycloneDX 1.6 as JSON.
func sbom(b *built, sha256 string, all []part) ([]byte, error) {
	const ref = "partway"
	var components []cdx.Component
	var refs []string
	for _, p := range all {
		c, err := p.component()
		if err != nil {
			return nil, err
		}
		components, refs = append(components, c), append(refs, c.BOMRef)
	}
	bom := cdx.NewBOM()
	bom.Metadata = &cdx.Metadata{
		Timestamp: b.time.Format(time.RFC3339),
		Component: &cdx.Component{
			BOMRef: ref, Type: cdx.ComponentTypeApplication, Name: "partway", Version: b.version, Licenses: spdx("Apache-2.0"),
			Hashes: &[]cdx.Hash{{Algorithm: cdx.HashAlgoSHA256, Value: sha256}},
			Properties: &[]cdx.Property{
				{Name: "partway:target", Value: b.String()},
				{Name: "partway:commit", Value: b.commit},
				{Name: "partway:tags", Value: tags},
			},
		},
	}
	bom.Components = &components
	bom.Dependencies = &[]cdx.Dependency{{Ref: ref, Dependencies: &refs}}
	var out bytes.Buffer
	err := cdx.NewBOMEncoder(&out, cdx.BOMFileFormatJSON).SetPretty(true).EncodeVersion(bom, cdx.SpecVersion1_6)
	return out.Bytes(), err
}

func (p *part) component() (cdx.Component, error) {
	c := cdx.Component{Type: cdx.ComponentTypeLibrary, Name: p.name, Version: p.version, PackageURL: p.purl(), BOMRef: p.purl(), Licenses: spdx(p.ids()...)}
	if p.digest != "" {
		raw, err := base64.StdEncoding.DecodeString(p.digest)
		if err != nil {
			return c, fmt.Errorf("%s: its digest: %w", p.name, err)
		}
		c.Hashes = &[]cdx.Hash{{Algorithm: cdx.HashAlgoSHA512, Value: hex.EncodeToString(raw)}}
	}
	return c, nil
}

// purl is the package's URL (github.com/package-url/purl-spec).
func (p *part) purl() string {
	escape := strings.NewReplacer("@", "%40", "+", "%2B").Replace
	return "pkg:" + p.ecosystem + "/" + escape(p.name) + "@" + escape(p.version)
}

func spdx(ids ...string) *cdx.Licenses {
	var all cdx.Licenses
	for _, id := range ids {
		all = append(all, cdx.LicenseChoice{License: &cdx.License{ID: id}})
	}
	return &all
}
