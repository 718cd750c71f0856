package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// cli runs a command in this process and returns its output and exit code.
func cli(t *testing.T, stdin string, args ...string) (string, int) {
	t.Helper()
	var out bytes.Buffer
	root := newRoot()
	root.SetArgs(args)
	root.SetIn(strings.NewReader(stdin))
	root.SetOut(&out)
	err := root.ExecuteContext(t.Context())
	code := exitDone
	if err != nil {
		code = exitCode(err)
		out.WriteString(err.Error())
	}
	return out.String(), code
}

func TestSchemaCommands(t *testing.T) {
	s := startServer(t, "--roles", "broker,registry")
	dir := t.TempDir()
	avsc, proto := filepath.Join(dir, "order.avsc"), filepath.Join(dir, "order.proto")
	for path, text := range map[string]string{
		avsc:  `{"type":"record","name":"Order","fields":[{"name":"id","type":"int"}]}`,
		proto: "syntax = \"proto3\";\nimport \"m.proto\";\nmessage Order { M m = 1; }\n",
	} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	const wider = `{"type":"record","name":"Order","fields":[{"name":"id","type":"long"},{"name":"note","type":"string"}]}`
	for _, tt := range []struct {
		name, args, stdin string
		code              int
		want              string
	}{
		{"nothing there", "list", "", 0, "SUBJECT"},
		{"register", "register orders-value -f " + avsc, "", 0, "orders-value  1        1   AVRO"},
		{"register from standard input", "register m -f - --type protobuf", `syntax = "proto3"; message M { int32 a = 1; }`, 0, "PROTOBUF"},
		{"with a reference", "register p-value -f " + proto + " --reference m.proto=m:1", "", 0, "p-value  1        3"},
		{"reference that is none", "register p-value -f " + proto + " --reference m.proto", "", 2, "must be NAME=SUBJECT:VERSION"},
		{"no file", "register p-value", "", 2, "-f FILE is missing"},
		{"missing file", "register p-value -f " + dir + "/none", "", 1, "no such file"},
		{"no schema", "register bad -f -", "nonsense", 1, "not JSON"},
		{"list", "list --prefix orders", "", 0, "orders-value  1        1   AVRO"},
		{"get", "get orders-value", "", 0, `{"type":"record","name":"Order"`},
		{"get by id as YAML", "get --id 1 -o yaml", "", 0, "schemaType: AVRO"},
		{"get nothing", "get", "", 2, "either a subject or --id"},
		{"get what is not there", "get nobody", "", 1, "Subject 'nobody' not found."},
		{"check", "check orders-value -f -", wider, 1, "READER_FIELD_MISSING_DEFAULT_VALUE"},
		{"check of the same", "check orders-value -f " + avsc + " --version latest -o json", "", 0, `"is_compatible": true`},
		{"config", "config", "", 0, "compatibilityLevel  BACKWARD"},
		{"set config", "config orders-value --set compatibility=NONE --set normalize=true", "", 0, "compatibilityLevel  NONE"},
		{"set nothing", "config orders-value --set compatibility", "", 2, "must be SETTING=VALUE"},
		{"bad level", "config orders-value --set compatibility=SOMETIMES", "", 1, "Invalid compatibility level"},
		{"unset config", "config orders-value --unset normalize -o json", "", 0, "\"compatibilityLevel\": \"NONE\"\n"},
		{"register without a check", "register orders-value -f -", wider, 0, "orders-value  2        4"},
		{"diff", "diff orders-value 1 latest", "", 0, "-       \"type\": \"int\"\n+       \"type\": \"long\""},
		{"reset config", "config orders-value --reset", "", 0, "compatibilityLevel  BACKWARD"},
		{"delete a version", "delete orders-value --version 1", "", 0, "deleted version(s) 1 of orders-value"},
		{"delete", "delete orders-value", "", 0, "deleted version(s) 2 of orders-value"},
		{"delete for good", "delete orders-value --permanent", "", 0, "deleted version(s) 1,2 of orders-value"},
		{"deleted", "get orders-value", "", 1, "not found"},
		{"wrong address", "list -r http://127.0.0.1:1", "", 1, "should --registry-url name another address?"},
		{"wrong form", "list -o toml", "", 2, "must be table, json or yaml"},
	} {
		args := strings.Fields("schema -r http://" + s.addrs.Registry + " " + tt.args)
		if out, code := cli(t, tt.stdin, args...); code != tt.code || !strings.Contains(out, tt.want) {
			t.Errorf("%s: exit code %d, want %d; output\n%s\nwant %q", tt.name, code, tt.code, out, tt.want)
		}
	}
}

func TestDiffLines(t *testing.T) {
	lines := func(text string) []string { return strings.Split(text, " ") }
	for _, tt := range []struct{ a, b, want string }{
		{"a b c", "a b c", " a b c"},
		{"a b c", "a c", " a-b c"},
		{"a c", "a b c", " a+b c"},
		{"a b c d", "a x c y d", " a-b+x c+y d"},
	} {
		var got strings.Builder
		for _, l := range diffLines(lines(tt.a), lines(tt.b)) {
			got.WriteString(l.Change + l.Text)
		}
		if got.String() != tt.want {
			t.Errorf("%q to %q: %q, want %q", tt.a, tt.b, got.String(), tt.want)
		}
	}
}
