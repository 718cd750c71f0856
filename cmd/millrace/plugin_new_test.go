package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// What millrace plugin new makes compiles, is tidy to go vet, and passes its own
// test, which runs it on a node.
func TestPluginNew(t *testing.T) {
	root, err := filepath.Abs(filepath.Join("..", ".."))
	if err != nil {
		t.Fatal(err)
	}
	sums, err := os.ReadFile(filepath.Join(root, "go.sum"))
	if err != nil {
		t.Fatal(err)
	}
	for kind, class := range map[string]string{"source": "com.example.OrdersApiSourceConnector", "sink": "com.example.OrdersApiSinkConnector"} {
		t.Run(kind, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "orders-api")
			cmd := exec.Command(binary, "plugin", "new", "orders-api", "--kind", kind, "--dir", dir, "--replace", root)
			out, err := cmd.CombinedOutput()
			if err != nil || !strings.Contains(string(out), class) {
				t.Fatalf("%v\n%s", err, out)
			}
			// What go mod tidy would fetch is here already.
			if err := os.WriteFile(filepath.Join(dir, "go.sum"), sums, 0o644); err != nil {
				t.Fatal(err)
			}
			for _, args := range [][]string{{"vet", "-mod=mod", "./..."}, {"test", "-mod=mod", "./..."}} {
				cmd := exec.Command("go", args...)
				cmd.Dir = dir
				cmd.Env = append(os.Environ(), "GOFLAGS=-mod=mod", "GOPROXY=off", "GONOSUMDB=*", "GONOSUMCHECK=1", "GOWORK=off")
				if out, err := cmd.CombinedOutput(); err != nil {
					t.Fatalf("go %v: %v\n%s", args, err, out)
				}
			}
			if out, err := exec.Command("gofmt", "-l", "-s", dir).CombinedOutput(); err != nil || len(out) > 0 {
				t.Errorf("gofmt: %v %s", err, out)
			}
			again := exec.Command(binary, "plugin", "new", "orders-api", "--dir", dir)
			if out, err := again.CombinedOutput(); err == nil || !strings.Contains(string(out), "exists already") {
				t.Errorf("a second time into the directory: %v %s", err, out)
			}
		})
	}
	for _, args := range [][]string{{"Orders"}, {"orders_"}, {"orders", "--kind", "table"}, {"orders", "--class", "a b"}, {"orders", "--module", "../x y"}, {}} {
		cmd := exec.Command(binary, append([]string{"plugin", "new"}, args...)...)
		cmd.Dir = t.TempDir()
		if out, err := cmd.CombinedOutput(); err == nil || cmd.ProcessState.ExitCode() != exitUsage {
			t.Errorf("%v: %v %s", args, err, out)
		}
	}
}
