package main

import (
	"encoding/json"
	"errors"
	"io"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

const module = "github.com/millrace/millrace/"

// layers is the import diagram: what each package may import of this module.
// A trailing /* stands for every package below. Tests are exempt.
var layers = map[string]string{
	"cmd/millrace": "*",

	"rest":             "rest/*",
	"rest/reply":       "",
	"rest/basicauth":   "rest/reply",
	"rest/header":      "",
	"rest/connectapi":  "rest/reply connect connect/connector connect/signature",
	"rest/front":       "",
	"rest/registryapi": "rest/front rest/reply schema-registry",
	"rest/adminapi":    "rest/reply broker",
	"rest/metrics":     "broker broker/latency connect schema-registry",
	"rest/console":     "",

	"connect":                "connect/* plugins/*",
	"connect/connecttest":    "broker/brokertest connect connect/client connect/connector plugins/catalog plugins/host plugins/proto plugins/sdk",
	"connect/connector":      "",
	"connect/client":         "plugins/configdef",
	"connect/herder":         "connect/connector connect/store connect/rebalance connect/signature connect/worker plugins/configdef",
	"connect/rebalance":      "connect/connector",
	"connect/signature":      "",
	"connect/loggers":        "",
	"connect/store":          "connect/connector",
	"connect/provider":       "",
	"connect/worker":         "connect/client connect/connector connect/provider connect/trial connect/task connect/converter connect/converter/rule connect/transform plugins/host plugins/catalog plugins/configdef plugins/data",
	"connect/task":           "connect/connector connect/converter connect/transform plugins/data",
	"connect/converter":      "plugins/data plugins/configdef",
	"connect/transform":      "connect/expr connect/timescale plugins/data plugins/configdef",
	"connect/timescale":      "",
	"connect/trial":          "connect/transform plugins/data",
	"connect/converter/rule": "connect/expr plugins/data",
	"connect/expr":           "plugins/data",

	"schema-registry":             "schema-registry/*",
	"schema-registry/jsontext":    "",
	"schema-registry/tag":         "",
	"schema-registry/avro":        "schema-registry/jsontext schema-registry/tag",
	"schema-registry/jsonschema":  "schema-registry/jsontext schema-registry/tag",
	"schema-registry/protobuf":    "schema-registry/tag",
	"schema-registry/store":       "",
	"schema-registry/elect":       "",
	"schema-registry/verdicttest": "",

	"broker":       "broker/*",
	"broker/api":   "broker/wire broker/group broker/group/consumer broker/txn broker/replica broker/metadata broker/auth broker/quota broker/latency broker/recordbatch",
	"broker/wire":  "",
	"broker/group": "",

	"broker/group/consumer": "broker/group/assignor",
	"broker/group/assignor": "",

	"broker/txn":         "",
	"broker/replica":     "broker/commitlog broker/latency broker/metadata broker/recordbatch",
	"broker/quorum":      "broker/metadata",
	"broker/metadata":    "",
	"broker/auth":        "broker/metadata",
	"broker/quota":       "broker/metadata",
	"broker/commitlog":   "broker/recordbatch broker/latency",
	"broker/latency":     "",
	"broker/recordbatch": "",
	"broker/brokertest":  "broker",

	"plugins/sdk":       "plugins/data plugins/configdef plugins/proto plugins/resident",
	"plugins/resident":  "",
	"plugins/data":      "",
	"plugins/configdef": "",
	"plugins/proto":     "plugins/data plugins/configdef",
	"plugins/host":      "plugins/data plugins/configdef plugins/proto plugins/catalog",
	"plugins/catalog":   "plugins/configdef",
	"plugins/sdktest":   "plugins/sdk plugins/data plugins/configdef plugins/proto",

	// What several connectors are made of is in packages of its own.
	"connectors/textfield":    "plugins/data",
	"connectors/objectfile/*": "plugins/data connectors/textfield",
	"connectors/*":            "plugins/sdk plugins/data plugins/configdef connectors/textfield connectors/objectfile/*",
	// Signals come by a topic, whose brokers are spoken to under the settings that
	// Kafka's clients have.
	"connectors/postgres/channel": "connect/client plugins/configdef",
	"bench/*":                     "bench/* broker/brokertest plugins/* connectors/*",
}

// goPackage is what go list tells of a package.
type goPackage struct {
	ImportPath string
	Imports    []string
	Doc        string
	Name       string
}

func listPackages(t *testing.T) []goPackage {
	t.Helper()
	cmd := exec.Command("go", "list", "-json=ImportPath,Imports,Doc,Name", module+"...")
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	var all []goPackage
	dec := json.NewDecoder(strings.NewReader(string(out)))
	for {
		var p goPackage
		err := dec.Decode(&p)
		if errors.Is(err, io.EOF) {
			return all
		}
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, p)
	}
}

// TestLayers holds the import diagram of docs/architecture.md: imports point
// down only.
func TestLayers(t *testing.T) {
	for _, p := range listPackages(t) {
		name := strings.TrimPrefix(p.ImportPath, module)
		allowed, ok := layerOf(name)
		if !ok {
			t.Errorf("package %s is not in the import diagram: say in layers what it may import", name)
			continue
		}
		for _, imp := range p.Imports {
			target, own := strings.CutPrefix(imp, module)
			if own && !allows(allowed, target) && !within(target, name) {
				t.Errorf("%s imports %s, which the import diagram does not allow", name, target)
			}
		}
	}
}

// layerOf finds a package's line in the diagram, by name or by the wildcard
// of a folder above it.
func layerOf(name string) (string, bool) {
	if a, ok := layers[name]; ok {
		return a, true
	}
	for dir := name; strings.Contains(dir, "/"); {
		dir = dir[:strings.LastIndexByte(dir, '/')]
		if a, ok := layers[dir+"/*"]; ok {
			return a, true
		}
	}
	return "", false
}

func allows(allowed, target string) bool {
	return slices.ContainsFunc(strings.Fields(allowed), func(a string) bool {
		dir, wild := strings.CutSuffix(a, "*")
		return a == target || wild && strings.HasPrefix(target, dir)
	})
}

// within reports whether target is a package below name: a connector may be
// split over several.
func within(target, name string) bool { return strings.HasPrefix(target, name+"/") }

// TestPackageComments holds that every package says what it is for.
func TestPackageComments(t *testing.T) {
	for _, p := range listPackages(t) {
		if p.Doc == "" {
			t.Errorf("package %s has no package comment", p.ImportPath)
		}
	}
}

func TestLayerRules(t *testing.T) {
	for _, tt := range []struct {
		name, imports string
		want          bool
	}{
		{"connect/task", "plugins/data", true},
		{"connect/task", "plugins/host", false},
		{"connect", "plugins/host", true},
		{"connectors/postgres", "connect", false},
		{"connectors/postgres", "plugins/sdk", true},
		{"broker/commitlog", "broker/replica", false},
	} {
		a, ok := layerOf(tt.name)
		if !ok {
			t.Errorf("%s is not in the diagram", tt.name)
		}
		if got := allows(a, tt.imports); got != tt.want {
			t.Errorf("%s importing %s: %v, want %v", tt.name, tt.imports, got, tt.want)
		}
	}
}
